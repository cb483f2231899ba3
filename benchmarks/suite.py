"""The parts of a benchmark: suites of cases, cases of sides, and each side's work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from benchmarks.costs import Cost
from tinygrad_ckn.errors import CKNError

OURS = "tinygrad-ckn"
# inputs of all sides of a case: arrays by name, and a configuration
Inputs: TypeAlias = Mapping[str, Any]


class BenchmarkError(CKNError, RuntimeError):
    """A side failed, or computed other results, so that its time would be meaningless."""


class LeftOutError(Exception):
    """Raised by a side that cannot run on this machine; the sentence replaces its time."""


@dataclass(frozen=True)
class Work:
    """The work of a side, made from its inputs.

    Parameters
    ----------
    step
        The timed function. On a GPU it may return when all work is launched: the clock
        waits (`clock.py`).
    outputs
        Called once, before any step: arrays by name, which are compared with those of
        the other sides.
    """

    step: Callable[[], object]
    outputs: Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Side:
    """One of the implementations that are compared, run in a process of its own.

    Parameters
    ----------
    name
        Name in the table.
    make
        A function of a module, called as make(inputs, device, **options) in the side's
        process; returns its Work.
    options
        Keyword arguments for `make`.
    imports
        Modules that it needs. They are imported before memory is measured; if one is
        missing, the side is left out.
    tuned_malloc
        Make malloc keep freed memory (see `process.TUNED_MALLOC`) instead of returning
        it to the system.
    units
        Units processed per step, for times per unit.
    device
        Device it computes on; None: the one that the user chose.
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
    """A piece of work for several sides.

    Parameters
    ----------
    name
        Name in the table.
    sides
        The first one, ours, is compared with the others.
    inputs
        Makes the inputs of every side.
    tolerances
        Maximum relative error, max |y - reference| / max |reference|, of each output.
    outliers
        Share of an output's rows that may exceed it, because they depend on ties.
    reference
        An untimed side that computes the expected outputs in float64; None: the first
        side does.
    targets, memory_targets
        Maximum ratio of our median time (or peak memory) to that of a peer, by name.
    mean_targets
        Maximum geometric mean of the ratios of times in its group, by name of the peer.
    rounds, steps, warm_up
        Turns of each side, timed steps per turn, and steps before the first turn.
    unit
        Unit that sides process, if times per unit are compared: "image".
    group
        Cases of one group are shown as one table, one row each, with a column per side.
    costs
        Launches of our side on a GPU.
    """

    name: str
    sides: Sequence[Side]
    inputs: Callable[[], Inputs]
    tolerances: Mapping[str, float]
    outliers: Mapping[str, float] = field(default_factory=dict)
    reference: Side | None = None
    targets: Mapping[str, float] = field(default_factory=dict)
    memory_targets: Mapping[str, float] = field(default_factory=dict)
    mean_targets: Mapping[str, float] = field(default_factory=dict)
    rounds: int = 10
    steps: int = 2
    warm_up: int = 2
    unit: str = ""
    group: str = ""
    costs: Sequence[Cost] = ()


@dataclass(frozen=True)
class Settings:
    """Options chosen by the user."""

    device: str = "cpu"
    threads: int = 2
    rounds: int | None = None


@dataclass(frozen=True)
class Suite:
    """Cases that belong together.

    Parameters
    ----------
    name
        Name on the command line.
    title
        One line for `--list`.
    cases
        Makes the cases for the user's settings.
    threads
        Threads of every side, regardless of the user's setting; None: that setting.
    devices
        Devices it can run on.
    """

    name: str
    title: str
    cases: Callable[[Settings], Sequence[Case]]
    threads: int | None = None
    devices: Sequence[str] = ("cpu",)
