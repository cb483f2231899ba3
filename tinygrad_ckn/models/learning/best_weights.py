"""The best epoch of fine-tuning so far, and the state of a descent."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_ckn.backend import NDArray, asarray, to_numpy
from tinygrad_ckn.errors import DataError, GradientError, LinearAlgebraError, TrainingWarning
from tinygrad_ckn.models.learning.nonfinite import describe_first_nonfinite
from tinygrad_ckn.models.learning.state import SavedState
from tinygrad_ckn.models.network_base import NetworkBase
from tinygrad_ckn.optim import MovingAverage, Optimizer, Scheduler

# A validation accuracy that falls by more than this below the best gives a warning.
FALL = 0.02
# Names of arrays of a saved descent.
OPTIMIZER = "optimizer."
AVERAGE = "average."
HELD_OUT = "held_out"
STEPS = "steps"


@dataclass(frozen=True, eq=False)
class FineTuningState:
    """The state of a descent, besides the weights and the generator.

    Attributes
    ----------
    epoch, epochs : int
        Epochs done, 0 at the start, and in total.
    best : BestWeights
        The best epoch; without a validation set the last one.
    l2 : float
        Factor of |W|^2 / 2 in the loss, W the classifier's weights.
    lr : float
        Learning rate after the warm-up.
    optimizer, scheduler
        Their state.
    held_out : array
        Indices of the validation images, ascending.
    batches : BatchState or None
        Within an epoch: what was done of it.
    average : MovingAverage or None
        If the weights are averages, these and what the descent goes on from.
    """

    epoch: int
    epochs: int
    best: BestWeights
    l2: float
    lr: float
    optimizer: Optimizer
    scheduler: Scheduler
    held_out: NDArray[Any]
    batches: BatchState | None = None
    average: MovingAverage | None = None

    @property
    def is_best(self) -> bool:
        """Whether the present weights are those of the best epoch."""
        return self.batches is None and self.epoch == self.best.epoch

    def record(self) -> dict[str, Any]:
        """Return the numbers as JSON values."""
        best = self.best
        measured = math.isfinite(best.loss)
        return {
            "epoch": self.epoch,
            "epochs": self.epochs,
            "best_epoch": best.epoch,
            "best_accuracy": best.accuracy if measured else None,
            "best_loss": best.loss if measured else None,
            "best_temperature": best.temperature,
            "temperature": best.model.temperature,
            "has_fallen": best.has_fallen,
            "l2": self.l2,
            "base_lr": self.lr,
            "optimizer": type(self.optimizer).__name__,
            "lr": self.optimizer.lr,
            "scheduler": self.scheduler.state_dict(),
            **({} if self.batches is None else {"epoch_generator": self.batches.generator}),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays on the host.

        They are "held_out", those of the optimiser and of the average for each parameter,
        and within an epoch "steps", the objective and hits of its batches.
        """
        arrays: dict[str, Any] = {
            f"{OPTIMIZER}{name}": value
            for name, value in self.optimizer.state_dict().items()
            if name != "lr"
        }
        averages: dict[str, Any] = {} if self.average is None else self.average.state_dict()
        arrays |= {f"{AVERAGE}{name}": value for name, value in averages.items()}
        arrays[HELD_OUT] = to_numpy(self.held_out)
        if self.batches is not None:
            arrays[STEPS] = self.batches.steps()
        return arrays


@dataclass(frozen=True, eq=False)
class BatchState:
    """The part of an epoch that is done.

    Attributes
    ----------
    generator : Mapping
        State of the generator at the start of the epoch, from which the order of the
        images is drawn.
    steps : callable
        Returns the objective and the hits of the batches done, (3, batches) on the host.
    """

    generator: Mapping[str, Any]
    steps: Callable[[], NDArray[np.float64]]


class BestWeights:
    """Parameters of the best epoch so far; without a validation set those of the last.

    Parameters
    ----------
    model : Network
        Its current parameters are saved as those of epoch 0.
    """

    def __init__(self, model: NetworkBase) -> None:
        self.model = model
        self.accuracy = -math.inf
        self.loss = math.inf
        self.has_fallen = False
        self.save(0)

    def save(self, epoch: int) -> None:
        """Save the current parameters as those of the best epoch."""
        self.epoch = epoch
        self.temperature = self.model.temperature
        self.arrays: list[tuple[Any, NDArray[Any]]] = [
            (p, p.data.copy()) for p in self.model.parameters()
        ]

    def resume(self, saved: SavedState) -> None:
        """Continue from a saved descent, whose best weights may be of an earlier epoch."""
        record = saved.record
        if record["best_loss"] is not None:
            self.accuracy = float(record["best_accuracy"])
            self.loss = float(record["best_loss"])
        self.has_fallen = bool(record["has_fallen"])
        self.epoch = int(record["best_epoch"])
        self.temperature = record["best_temperature"]
        self.model.temperature = record["temperature"]
        weights = saved.best_weights or saved.weights
        self.arrays = [
            (p, asarray(weights[name], device=p.device))
            for name, p in self.model.named_parameters()
        ]

    def update(self, epoch: int, accuracy: float, loss: float) -> None:
        """Save the parameters if the accuracy is the best so far (ties: loss)."""
        if (accuracy, -loss) > (self.accuracy, -self.loss):
            self.accuracy = accuracy
            self.loss = loss
            self.save(epoch)

    def begins_to_fall(self, accuracy: float) -> bool:
        """Return whether an accuracy, other than the last, is more than FALL below the best."""
        had_fallen = self.has_fallen
        self.has_fallen = accuracy < self.accuracy - FALL
        return self.has_fallen and not had_fallen

    def warn_of_fall(self, epoch: int, accuracy: float, lr: float) -> None:
        """Warn of an accuracy below the best."""
        best = f"epoch {self.epoch}" if self.epoch else "the start"
        warnings.warn(
            f"fit: expected a rising validation accuracy, got {accuracy:.4f} in epoch {epoch} "
            f"after {self.accuracy:.4f} of {best}, which is kept unless a later epoch is "
            f"better; lower lr ({lr:g})",
            TrainingWarning,
            stacklevel=3,
        )

    def restore(self) -> None:
        """Set the model's parameters to those of the best epoch."""
        self.model.temperature = self.temperature
        for parameter, array in self.arrays:
            parameter.data = array

    @contextmanager
    def restoring_on_failure(self, when: str, batch: NDArray[Any], lr: float) -> Iterator[None]:
        """On NaN, infinity or a failed factorization restore the parameters and say where.

        Raises
        ------
        GradientError
            In place of the error that occurred, with the time `when` and the first array
            that is not finite.
        """
        try:
            yield
        except (DataError, GradientError, LinearAlgebraError) as error:
            located = isinstance(error, GradientError)
            first = error if located else f"{describe_first_nonfinite(self.model, batch)}: {error}"
            self.restore()
            raise GradientError(
                f"fit: expected a finite loss and gradient, got NaN or infinity in {when} "
                f"({first}); lower lr ({lr:g}); the parameters are those of epoch {self.epoch}"
            ) from error
