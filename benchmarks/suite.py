"""What a benchmark consists of: suites of cases, cases of sides, and the work that a side does in its own process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.costs import Cost
from tinygrad_ckn.errors import CKNError

OURS = "tinygrad-ckn"
Inputs = Mapping[
    str, Any
]  # what all sides of a case are given: arrays by name, and a configuration


class BenchmarkError(CKNError, RuntimeError):
    """A side that failed, or computed something else than the others, so that its time would say nothing."""


class LeftOutError(Exception):
    """Raised by a side that cannot take part on this machine; the sentence is shown instead of its time."""


@dataclass(frozen=True)
class Work:
    """What a side has made of its inputs.

    Parameters
    ----------
    step
        What is timed. On a GPU it may return when all is asked for: the clock waits
        (`clock.py`).
    outputs
        Called once, before any step: arrays by name, which are compared with those of
        the other sides.
    """

    step: Callable[[], object]
    outputs: Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Side:
    """One of those that are compared; it runs in a process of its own.

    Parameters
    ----------
    name
        What the table calls it.
    make
        A function of a module, called as make(inputs, device, **options) in the side's
        process; returns its Work.
    options
        Keyword arguments for `make`.
    imports
        Modules that it needs. They are imported before memory is looked at; without
        them the side is left out.
    tuned_malloc
        Whether malloc keeps what is freed (see `process.TUNED_MALLOC`) instead of
        giving it back to the system.
    units
        What a step gets through, in the case's unit, for times per unit.
    device
        Where it computes; None: where the user asked for.
    """

    name: str
    make: Callable[..., Work]
    options: Mapping[str, Any] = field(default_factory=dict)
    imports: Sequence[str] = ()
    tuned_malloc: bool = False
    units: float = 0
    device: str | None = None


@dataclass(frozen=True)
class Case:
    """A piece of work that several sides do.

    Parameters
    ----------
    name
        What the table calls it.
    sides
        The first one is what the others are compared with: ours.
    inputs
        Makes what every side is given.
    tolerances
        Largest relative error, max |y - reference| / max |reference|, allowed for each
        output.
    outliers
        Of an output, the share of rows for which that does not count: they hang on a
        choice between equals.
    reference
        A side that is not timed and says what the outputs should be, in float64;
        without it the first side does.
    targets, memory_targets
        For a peer's name, what the ratio of our median time (or peak memory) to its is
        to be at most.
    rounds, steps, warm_up
        Turns of each side, timed steps a turn, and steps before the first turn.
    unit
        What the sides get through, if what is compared is the time per unit: "image".
    group
        Cases of one group are shown as one table, a row each, a column for each side.
    costs
        What our side launches on a GPU.
    """

    name: str
    sides: Sequence[Side]
    inputs: Callable[[], Inputs]
    tolerances: Mapping[str, float]
    outliers: Mapping[str, float] = field(default_factory=dict)
    reference: Side | None = None
    targets: Mapping[str, float] = field(default_factory=dict)
    memory_targets: Mapping[str, float] = field(default_factory=dict)
    rounds: int = 10
    steps: int = 2
    warm_up: int = 2
    unit: str = ""
    group: str = ""
    costs: Sequence[Cost] = ()


@dataclass(frozen=True)
class Settings:
    """What the user asked for."""

    device: str = "cpu"
    threads: int = 2
    rounds: int | None = None


@dataclass(frozen=True)
class Suite:
    """Cases that belong together.

    Parameters
    ----------
    name
        What the command line calls it.
    about
        One line for `--list`.
    cases
        Makes the cases for what the user asked for.
    threads
        How many threads every side has, whatever the user asked for; None: what the
        user asked for.
    devices
        Where it can run.
    """

    name: str
    about: str
    cases: Callable[[Settings], Sequence[Case]]
    threads: int | None = None
    devices: Sequence[str] = ("cpu",)
