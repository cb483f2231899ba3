"""Progress events passed to `report` callbacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinygrad_ckn.models.learning.best_weights import FineTuningState

from tinygrad_ckn.errors import ConfigError


@dataclass(frozen=True)
class Progress:
    """Where a training stands: `done` of `total` steps of a phase, 0 <= done <= total.

    Phases are "k-means" (iterations, for a layer), "filters" (layers), "l2" (values
    tried), "classifier"; of a descent "start", "batch", "epoch", and "kept", at its
    end, with the epoch it goes back to (0: the start) and those it made.

    A "start" and an "epoch" come with the `state` of the descent, from which it could
    go on. The total of "l2" grows: how many values are tried is known at the end only.

    On a GPU not every "batch" has a "loss" among its values: it is told where it is
    read, every 100 steps.

    Raises
    ------
    ConfigError
        If `done` is negative or more than `total`.

    Examples
    --------
    >>> Progress("epoch", 1, 10, {"loss": 0.5}).values["loss"]
    0.5
    """

    phase: str
    done: int
    total: int
    values: dict[str, float] = field(default_factory=dict)
    state: FineTuningState | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.done <= self.total:
            raise ConfigError(
                f"Progress: argument done expected a number from 0 to the total of {self.total}, got {self.done} in "
                f"phase {self.phase!r}; report a total that grows with what is done"
            )


def no_report(progress: Progress) -> None:
    """Report nothing."""
