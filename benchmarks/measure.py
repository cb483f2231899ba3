"""Measure a case: compare outputs first, then time the sides in turns, then read memory.

Times on a shared machine drift by a factor of two within minutes, so only times taken
in turns are comparable. There is a pause between turns, because idle threads of BLAS
libraries spin for a while on cores that the next side needs. Each turn begins with an
untimed step, because caches hold data of the previous side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from benchmarks.process import TUNED_MALLOC, Process
from benchmarks.suite import BenchmarkError, Case, LeftOutError, Settings, Side

# seconds between turns
PAUSE = 0.08


class Turns(Protocol):
    """An object whose steps can be timed in turns."""

    def turn(self, steps: int) -> list[float]:
        """Return the seconds of each step."""


@dataclass(frozen=True)
class Summary:
    """Four statistics of step times in seconds.

    Examples
    --------
    >>> Summary.of([4.0, 1.0, 2.0, 3.0, 5.0])
    Summary(median=3.0, minimum=1.0, lower=2.0, upper=4.0)
    """

    median: float
    minimum: float
    # quartiles
    lower: float
    upper: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Summary:
        """Summarise the seconds of at least one step."""
        lower, median, upper = (
            float(q) for q in np.quantile(np.asarray(seconds, dtype="float64"), (0.25, 0.5, 0.75))
        )
        return cls(median, min(seconds), lower, upper)


@dataclass
class Measured:
    """The measurements of one side.

    Peak and growth of memory are in bytes, errors are relative ones by output.
    """

    name: str
    seconds: list[float] = field(default_factory=list)
    errors: dict[str, float] = field(default_factory=dict)
    peak: int | None = None
    growth: int | None = None
    libraries: list[str] = field(default_factory=list)
    malloc: dict[str, str] = field(default_factory=dict)
    # seconds the host needs to launch a step
    host: float | None = None

    @property
    def time(self) -> Summary:
        """Summary of the step times."""
        return Summary.of(self.seconds)


@dataclass
class Result:
    """A case with its sides, ours first, and the reasons why others were left out."""

    case: Case
    threads: int
    sides: list[Measured] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def units(self, side: Measured) -> float:
        """Return the units that a side processes per step."""
        return next(s.units for s in self.case.sides if s.name == side.name)

    def ratio(self, peer: Measured) -> float:
        """Return our median time divided by the peer's."""
        return self.sides[0].time.median / peer.time.median

    def memory_ratio(self, peer: Measured) -> float | None:
        """Return our growth in memory divided by the peer's; None if it is not known."""
        ours = self.sides[0].growth
        theirs = peer.growth
        return None if ours is None or not theirs else ours / theirs


def relative_error(actual: Any, expected: Any, outliers: float = 0) -> float:
    """Return max |actual - expected| / max |expected|.

    It is infinity if shapes differ or a number is not finite. For lists of arrays it is
    the largest error. The share `outliers` of rows with the largest differences is
    ignored.

    Examples
    --------
    >>> relative_error([1.0, 2.5], [1.0, 2.0])
    0.25
    """
    if isinstance(expected, list) and expected and isinstance(expected[0], np.ndarray):
        return max(relative_error(a, e, outliers) for a, e in zip(actual, expected, strict=True))
    actual = np.asarray(actual, dtype="float64")
    expected = np.asarray(expected, dtype="float64")
    if actual.shape != expected.shape or not np.isfinite(actual).all():
        return float("inf")
    scale = float(np.abs(expected).max(initial=0))
    errors = np.abs(actual - expected)
    if outliers:
        rows = np.sort(errors.reshape(len(errors), -1).max(axis=1))
        errors = rows[: len(rows) - int(outliers * len(rows))]
    return float(errors.max(initial=0)) / (scale or 1.0)


def compare(
    case: Case, name: str, outputs: Mapping[str, Any], expected: Mapping[str, Any]
) -> dict[str, float]:
    """Return the error of each output.

    Raises
    ------
    BenchmarkError
        If an error exceeds its tolerance, or an output is missing.
    """
    errors = {}
    for output, tolerance in case.tolerances.items():
        if output not in outputs:
            raise BenchmarkError(
                f"{case.name}: {name} expected to return {output!r}, got {', '.join(outputs)}"
            )
        errors[output] = relative_error(
            outputs[output], expected[output], case.outliers.get(output, 0)
        )
        if not errors[output] <= tolerance:
            raise BenchmarkError(
                f"{case.name}: {name} expected {output} within {tolerance:g} of the reference, "
                f"got {errors[output]:.1e}; sides with different results are not timed"
            )
    return errors


def take_turns(
    sides: Sequence[Turns],
    *,
    rounds: int,
    steps: int,
    pause: float = PAUSE,
    rest: Callable[[float], None] = time.sleep,
) -> list[list[float]]:
    """Return the step times of each side; every round begins with another side."""
    seconds: list[list[float]] = [[] for _ in sides]
    for r in range(rounds):
        for i in range(len(sides)):
            which = (i + r) % len(sides)
            rest(pause)
            seconds[which] += sides[which].turn(steps)
    return seconds


def measure(case: Case, settings: Settings, say: Callable[[str], None] = lambda _: None) -> Result:
    """Measure a case.

    Raises
    ------
    BenchmarkError
        If a side fails, outputs differ, or our own side is left out.
    """
    result = Result(case, settings.threads)
    inputs = case.inputs()
    with ExitStack() as stack:

        def start(side: Side) -> Process | None:
            say(f"{case.name}: {side.name} starts")
            process = stack.enter_context(Process(side, settings.threads))
            try:
                process.start(inputs, side.device or settings.device)
            except LeftOutError as reason:
                result.left_out[side.name] = str(reason)
                return None
            return process

        started = [process for side in case.sides if (process := start(side)) is not None]
        if case.sides[0].name in result.left_out:
            raise BenchmarkError(
                f"{case.name}: expected {case.sides[0].name} to run, "
                f"got: {result.left_out[case.sides[0].name]}"
            )
        reference = start(case.reference) if case.reference is not None else None
        result.sides = _compared(case, started, reference, say)
        for process in started:
            say(f"{case.name}: {process.side.name} warms up")
            process.warm_up(case.warm_up)
        rounds = settings.rounds or case.rounds
        say(f"{case.name}: {rounds} rounds")
        times = take_turns(started, rounds=rounds, steps=case.steps)
        for measured, process, seconds in zip(result.sides, started, times, strict=True):
            measured.seconds = seconds
            measured.peak, measured.growth = process.peak_memory()
            measured.libraries = process.libraries()
            measured.host = process.host_time()
    return result


def _compared(
    case: Case, started: Sequence[Process], reference: Process | None, say: Callable[[str], None]
) -> list[Measured]:
    """Return the sides with their errors against the reference, or else the first side.

    The reference's process ends here.
    """
    expected = None
    if reference is not None:
        expected = reference.outputs()
        reference.stop()
    measured = []
    for process in started:
        side = process.side
        say(f"{case.name}: {side.name} is compared")
        outputs = process.outputs()
        expected = outputs if expected is None else expected
        errors = compare(case, side.name, outputs, expected)
        measured.append(
            Measured(side.name, errors=errors, malloc=TUNED_MALLOC if side.tuned_malloc else {})
        )
    return measured
