"""How often the state of a training is saved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models import Progress
from tinygrad_ckn.models.learning.best_weights import FineTuningState


@dataclass(frozen=True)
class Interval:
    """How often the state of a descent is saved.

    Attributes
    ----------
    minutes : float or None
        After each epoch, and this long after the last time within one.
    epochs : int or None
        After this many epochs, after the last one, and after each that is the best so far.

    Examples
    --------
    >>> Interval.parse("10m"), Interval.parse("2e")
    (Interval(minutes=10.0, epochs=None), Interval(minutes=None, epochs=2))
    """

    minutes: float | None = None
    epochs: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the interval of a text: a number with m for minutes or e for epochs.

        Raises
        ------
        ConfigError
            If it is something else.
        """
        match = re.fullmatch(r"(\d+(?:\.\d+)?)m|([1-9]\d*)e", str(text))
        if match is None:
            raise ConfigError(
                "train: argument checkpoint_every expected a time such as 10m or a number of "
                f"epochs such as 2e, got {text!r}"
            )
        return cls(float(match[1])) if match[1] else cls(None, int(match[2]))

    def is_due(self, progress: Progress, seconds: float) -> bool:
        """Return whether the state of an event is to be saved, so long after the last time."""
        if progress.phase == "batch":
            return self.after_seconds(seconds)
        if progress.phase == "epoch":
            # checkpoint.safetensors has the best epoch at any time.
            return _is_best(progress) or self.after_epoch(progress.done, progress.total)
        return True

    def after_epoch(self, epoch: int, epochs: int) -> bool:
        """Return whether the state after an epoch is to be saved."""
        return self.epochs is None or epoch % self.epochs == 0 or epoch == epochs

    def after_seconds(self, seconds: float) -> bool:
        """Return whether the state within an epoch is, so long after the last time."""
        return self.minutes is not None and seconds >= 60 * self.minutes


def _is_best(progress: Progress) -> bool:
    """Return whether the weights after an epoch are the best so far."""
    descent = None if progress.state is None else progress.state.descent
    return isinstance(descent, FineTuningState) and descent.is_best
