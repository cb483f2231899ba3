"""The best epoch of a descent so far, and what a descent needs to go on from where it is."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinygrad_ckn.backend import Generator, to_numpy
from tinygrad_ckn.errors import DataError, GradientError, LinearAlgebraError, TrainingWarning
from tinygrad_ckn.models.learning.nonfinite import describe_first_nonfinite
from tinygrad_ckn.optim import Optimizer, Scheduler

if TYPE_CHECKING:
    from tinygrad_ckn.models.network import Network

# A validation accuracy that falls by more than this below the best one is worth a warning.
FALL = 0.02


@dataclass(frozen=True, eq=False)
class FineTuningState:
    """What a descent needs to go on after an epoch, beside the network's weights.

    Attributes
    ----------
    epoch, epochs
        Epochs done, and all. 0: the start.
    best_epoch, best_accuracy, best_loss
        The best epoch so far by accuracy, then loss, on the images held out; without
        such images the last one, and minus infinity and infinity.
    l2
        The factor of |W|^2 / 2 in the loss, for the classifier's weights as they are.
    optimizer, scheduler, rng
        As they are after the epoch.
    held_out
        Numbers of the training images that are held out, ascending.
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
    held_out: Any

    def record(self) -> dict[str, Any]:
        """Return the numbers, as JSON takes them."""
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

    def arrays(self) -> dict[str, Any]:
        """Return the arrays, on the host: "held_out", and what the optimiser keeps for each parameter."""
        kept = {
            f"optimizer.{name}": value
            for name, value in self.optimizer.state_dict().items()
            if name != "lr"
        }
        return {"held_out": to_numpy(self.held_out), **kept}


class BestWeights:
    """The parameters to go back to: those of the best epoch, or without images held out of the last one.

    Parameters
    ----------
    model
        Whose parameters are saved, at once: those of epoch 0.
    """

    def __init__(self, model: Network) -> None:
        self.model = model
        self.accuracy, self.loss = -math.inf, math.inf
        self._has_fallen = False
        self.save(0)

    def save(self, epoch: int) -> None:
        """Take the parameters of an epoch for the best."""
        self.epoch = epoch
        self.arrays = [(p, p.data.copy()) for p in self.model.parameters()]

    def update(self, epoch: int, accuracy: float, loss: float) -> None:
        """Save the parameters if accuracy, or with an equal one the loss, is better than ever before."""
        if (accuracy, -loss) > (self.accuracy, -self.loss):
            self.accuracy, self.loss = accuracy, loss
            self.save(epoch)

    def warn_of_fall(self, epoch: int, accuracy: float, lr: float) -> None:
        """Warn, once for each fall, if the accuracy of an epoch is more than FALL below the best."""
        falls = accuracy < self.accuracy - FALL
        if falls and not self._has_fallen:
            best = f"epoch {self.epoch}" if self.epoch else "the start"
            warnings.warn(
                f"fit: expected a validation accuracy that rises, got {accuracy:.4f} in epoch {epoch} after "
                f"{self.accuracy:.4f} of {best}, which is kept if none is better; lower lr ({lr:g})",
                TrainingWarning,
                stacklevel=3,
            )
        self._has_fallen = falls

    def restore(self) -> None:
        """Give the model the parameters of the best epoch."""
        for parameter, array in self.arrays:
            parameter.data = array

    @contextmanager
    def restoring_on_failure(self, when: str, batch: Any, lr: float) -> Iterator[None]:
        """Where NaN, infinity or what leads to them is met, restore the parameters and say when and where it was."""
        try:
            yield
        except (DataError, GradientError, LinearAlgebraError) as error:
            known = isinstance(error, GradientError)
            first = error if known else f"{describe_first_nonfinite(self.model, batch)}: {error}"
            self.restore()
            raise GradientError(
                f"fit: expected a finite loss and gradient, got NaN or infinity in {when} ({first}); "
                f"lower lr ({lr:g}); the parameters are those of epoch {self.epoch}"
            ) from error
