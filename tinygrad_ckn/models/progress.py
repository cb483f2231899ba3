"""What those are told who watch a training."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """Where a training stands: `done` of `total` steps of a phase.

    Phases are "k-means" (iterations, for a layer), "filters" (layers), "l2" (values tried), "classifier", "batch" and
    "epoch".

    On a GPU not every "batch" has a "loss" among its values: it is told where it is read, every 100 steps.

    Examples
    --------
    >>> Progress("epoch", 1, 10, {"loss": 0.5}).values["loss"]
    0.5
    """

    phase: str
    done: int
    total: int
    values: dict[str, float] = field(default_factory=dict)


def quiet(progress: Progress) -> None:
    """Report nothing."""
