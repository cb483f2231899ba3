"""Convolutional kernel networks (Mairal, NIPS 2016), and CNNs to compare them with."""

from tinygrad_ckn.models import kernels, preprocessing
from tinygrad_ckn.models.ckn import CKN
from tinygrad_ckn.models.clustering.spherical_kmeans import Clustering, spherical_kmeans
from tinygrad_ckn.models.cnn import CNN
from tinygrad_ckn.models.exact import exact_kernel
from tinygrad_ckn.models.factory import build, from_config
from tinygrad_ckn.models.layers.ckn_layer import CKNLayer
from tinygrad_ckn.models.layers.conv_layer import ConvLayer
from tinygrad_ckn.models.layers.nystrom import nystrom_error
from tinygrad_ckn.models.learning.callbacks import Callback, StopTraining
from tinygrad_ckn.models.learning.finetuning_options import FineTuning
from tinygrad_ckn.models.learning.patches import sample_patches
from tinygrad_ckn.models.learning.progress import Progress
from tinygrad_ckn.models.learning.progress_bar import ProgressBar
from tinygrad_ckn.models.linear.kernel_ridge import KernelRidgeClassifier
from tinygrad_ckn.models.linear.logistic import LinearFit, fit_linear
from tinygrad_ckn.models.linear.ridge import fit_ridge
from tinygrad_ckn.models.network import Network
from tinygrad_ckn.models.presets import PRESETS, Preset

__all__ = [
    "CKN",
    "CNN",
    "PRESETS",
    "CKNLayer",
    "Callback",
    "Clustering",
    "ConvLayer",
    "FineTuning",
    "KernelRidgeClassifier",
    "LinearFit",
    "Network",
    "Preset",
    "Progress",
    "ProgressBar",
    "StopTraining",
    "build",
    "exact_kernel",
    "fit_linear",
    "fit_ridge",
    "from_config",
    "kernels",
    "nystrom_error",
    "preprocessing",
    "sample_patches",
    "spherical_kmeans",
]


def __dir__() -> list[str]:
    return sorted(__all__)
