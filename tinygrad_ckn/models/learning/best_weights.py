"""The best epoch of fine-tuning so far, and the state needed to resume."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tinygrad_ckn.backend import Generator, NDArray, to_numpy
from tinygrad_ckn.errors import DataError, GradientError, LinearAlgebraError, TrainingWarning
from tinygrad_ckn.models.learning.moving_average import MovingAverage
from tinygrad_ckn.models.learning.nonfinite import describe_first_nonfinite
from tinygrad_ckn.models.network_base import NetworkBase
from tinygrad_ckn.optim import Optimizer, Scheduler

# A validation accuracy that falls by more than this below the best gives a warning.
FALL = 0.02


@dataclass(frozen=True, eq=False)
class FineTuningState:
    """The state, besides the weights, that resuming fine-tuning after an epoch needs.

    Attributes
    ----------
    epoch, epochs : int
        Epochs done, 0 at the start, and in total.
    best_epoch : int
        The epoch with the best validation accuracy (ties: loss); without a validation set
        the last one.
    best_accuracy, best_loss : float
        Of that epoch on the validation set; minus infinity and infinity without one.
    l2 : float
        Factor of |W|^2 / 2 in the loss, W the classifier's weights.
    optimizer, scheduler, rng
        Their state after the epoch.
    held_out : array
        Indices of the validation images, ascending.
    average : MovingAverage or None
        If the weights are averages, these and what the descent goes on from.
    """

    epoch: int
    epochs: int
    best_epoch: int
    best_accuracy: float
    best_loss: float
    l2: float
    optimizer: Optimizer
    scheduler: Scheduler
    rng: Generator
    held_out: NDArray[Any]
    average: MovingAverage | None = None

    def record(self) -> dict[str, Any]:
        """Return the numbers as JSON values."""
        measured = math.isfinite(self.best_loss)
        return {
            "epoch": self.epoch,
            "epochs": self.epochs,
            "best_epoch": self.best_epoch,
            "best_accuracy": self.best_accuracy if measured else None,
            "best_loss": self.best_loss if measured else None,
            "l2": self.l2,
            "optimizer": type(self.optimizer).__name__,
            "lr": self.optimizer.lr,
            "scheduler": self.scheduler.state_dict(),
            "generator": self.rng.bit_generator.state,
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return arrays on the host: "held_out", the optimiser's and those of the average."""
        buffers: dict[str, Any] = {
            f"optimizer.{name}": value
            for name, value in self.optimizer.state_dict().items()
            if name != "lr"
        }
        averages: dict[str, Any] = {} if self.average is None else self.average.state_dict()
        buffers |= {f"average.{name}": value for name, value in averages.items()}
        return {"held_out": to_numpy(self.held_out), **buffers}


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
        self._has_fallen = False
        self.save(0)

    def save(self, epoch: int) -> None:
        """Save the current parameters as those of the best epoch."""
        self.epoch = epoch
        self.temperature = self.model.temperature
        self.arrays: list[tuple[Any, NDArray[Any]]] = [
            (p, p.data.copy()) for p in self.model.parameters()
        ]

    def update(self, epoch: int, accuracy: float, loss: float) -> None:
        """Save the parameters if the accuracy is the best so far (ties: loss)."""
        if (accuracy, -loss) > (self.accuracy, -self.loss):
            self.accuracy = accuracy
            self.loss = loss
            self.save(epoch)

    def warn_of_fall(self, epoch: int, accuracy: float, lr: float) -> None:
        """Warn, once for each fall, if an accuracy is more than FALL below the best."""
        falls = accuracy < self.accuracy - FALL
        if falls and not self._has_fallen:
            best = f"epoch {self.epoch}" if self.epoch else "the start"
            warnings.warn(
                f"fit: expected a rising validation accuracy, got {accuracy:.4f} in epoch {epoch} "
                f"after {self.accuracy:.4f} of {best}, which is kept unless a later epoch is "
                f"better; lower lr ({lr:g})",
                TrainingWarning,
                stacklevel=3,
            )
        self._has_fallen = falls

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
