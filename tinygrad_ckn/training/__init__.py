"""Training of presets into run folders, saved models, and evaluation.

`train` turns a data set into the folder of a `Run`: configuration, metrics, model.
`evaluate` and `probabilities` apply a trained model; `save_model` and `load_model` keep
one in a file.
"""

from tinygrad_ckn.training.checkpoint import load_model, save_model
from tinygrad_ckn.training.checkpoints import Checkpoints
from tinygrad_ckn.training.csv_log import CSVLog
from tinygrad_ckn.training.evaluation import evaluate, probabilities
from tinygrad_ckn.training.loop import train
from tinygrad_ckn.training.metrics import accuracy, confusion_matrix, precision, recall
from tinygrad_ckn.training.options import Options
from tinygrad_ckn.training.result import Result
from tinygrad_ckn.training.resume import resume
from tinygrad_ckn.training.run import Run
from tinygrad_ckn.training.tensorboard import TensorBoard

__all__ = [
    "CSVLog",
    "Checkpoints",
    "Options",
    "Result",
    "Run",
    "TensorBoard",
    "accuracy",
    "confusion_matrix",
    "evaluate",
    "load_model",
    "precision",
    "probabilities",
    "recall",
    "resume",
    "save_model",
    "train",
]


def __dir__() -> list[str]:
    return __all__
