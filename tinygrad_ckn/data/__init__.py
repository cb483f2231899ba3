"""Data sets: embedded digits, published ones, .npz, CSV, pictures and arrays."""

from tinygrad_ckn.data.augment import AUGMENTATIONS, crop_flip
from tinygrad_ckn.data.cifar import load_cifar10
from tinygrad_ckn.data.dataset import Dataset, Split, batches, split_off
from tinygrad_ckn.data.digits import load_digits
from tinygrad_ckn.data.idx import load_fashion_mnist, load_idx, read_idx
from tinygrad_ckn.data.in_memory import from_arrays
from tinygrad_ckn.data.kaggle import load_labels, load_pixels, save_labels
from tinygrad_ckn.data.loading import load, load_images, load_test
from tinygrad_ckn.data.minibatches import minibatches
from tinygrad_ckn.data.npz_csv import load_csv, load_npz
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.lazy_images import LazyImages

__all__ = [
    "AUGMENTATIONS",
    "DataFormat",
    "Dataset",
    "LazyImages",
    "Split",
    "batches",
    "crop_flip",
    "from_arrays",
    "load",
    "load_cifar10",
    "load_csv",
    "load_digits",
    "load_fashion_mnist",
    "load_idx",
    "load_images",
    "load_labels",
    "load_npz",
    "load_pixels",
    "load_test",
    "minibatches",
    "read_idx",
    "save_labels",
    "split_off",
]


def __dir__() -> list[str]:
    return __all__
