"""Training: from a data set to a run's folder with configuration, metrics and model; evaluation; checkpoints."""

from tinygrad_ckn.files import atomic_write
from tinygrad_ckn.training.checkpoint import load_model, save_model
from tinygrad_ckn.training.evaluation import evaluate, probabilities
from tinygrad_ckn.training.evaluation_images import EvaluationImages, evaluation_images, open_model
from tinygrad_ckn.training.loop import Result, train
from tinygrad_ckn.training.metrics import (
    accuracy,
    confusion_matrix,
    confusion_summary,
    most_confused,
    precision,
    recall,
)
from tinygrad_ckn.training.options import Options
from tinygrad_ckn.training.run import Run

__all__ = [
    "EvaluationImages",
    "Options",
    "Result",
    "Run",
    "accuracy",
    "atomic_write",
    "confusion_matrix",
    "confusion_summary",
    "evaluate",
    "evaluation_images",
    "load_model",
    "most_confused",
    "open_model",
    "precision",
    "probabilities",
    "recall",
    "save_model",
    "train",
]
