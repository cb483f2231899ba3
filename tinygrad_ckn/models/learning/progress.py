"""Progress events passed to `report` callbacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinygrad_ckn.errors import ConfigError

if TYPE_CHECKING:
    from tinygrad_ckn.models.learning.state import TrainingState


@dataclass(frozen=True)
class Progress:
    """A progress event of a training run.

    Attributes
    ----------
    phase : str
        "k-means" (iterations in a layer), "filters" (layers), "l2" (values tried),
        "classifier"; of fine-tuning "start", "batch", "epoch" and, at its end, "kept",
        with the epoch restored (0: the start) of those done.
    done, total : int
        Steps of the phase, 0 <= done <= total. The total of "l2" grows, because the number
        of values to try is not known beforehand.
    values : dict[str, float]
        Measurements by name. On a GPU only every 100th "batch" has a "loss", so that steps
        do not wait.
    state : TrainingState or None
        With "filters", "start", "batch" and "epoch": what is needed to resume from there.

    Raises
    ------
    ConfigError
        If `done` is negative or greater than `total`.

    Examples
    --------
    >>> Progress("epoch", 1, 10, {"loss": 0.5}).values["loss"]
    0.5
    """

    phase: str
    done: int
    total: int
    values: dict[str, float] = field(default_factory=dict)
    state: TrainingState | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.done <= self.total:
            raise ConfigError(
                f"Progress: argument done expected an integer from 0 to total = {self.total}, "
                f"got {self.done} in phase {self.phase!r}; increase total along with done"
            )


def no_report(progress: Progress) -> None:
    """Ignore a progress event."""
