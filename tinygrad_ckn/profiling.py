"""Profiles: seconds, calls and bytes of each operation and direction, by phase.

A profile is a hook (`hooks.py`) around every forward and every rule. Other functions,
such as a pass of k-means, are timed where `@record_function` names them. While no
profile is being taken, that costs one look at a variable, and nothing else in this file
runs.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.files import PathLike, atomic_write
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.hooks import HOOKS, Direction

# Maximum number of events in a trace: that of a long training run would be too large for
# any viewer. The totals count every call.
MOST_EVENTS = 200_000

P = ParamSpec("P")
R = TypeVar("R")

_on: Profile | None = None
_switch = threading.Lock()


@dataclass
class Row:
    """Cost of one operation in one phase.

    Attributes
    ----------
    phase
        The name that `lap` gave to the time it ran in; "" for what came after the last lap.
    name, direction
        Name of an operation, and "forward" or "backward", which is the time in its rules
        and in what they call. For a function named by `record_function`: its name and "".
    calls
        How often it ran.
    seconds
        Its own time, without the operations and named functions that it calls in the same
        thread: they have rows of their own.
    bytes
        Size of its results, or of the gradients that its rules returned; counted only
        where no other operation called it.
    """

    phase: str
    name: str
    direction: str
    calls: int = 0
    seconds: float = 0.0
    bytes: int = 0


@dataclass
class _Frame:
    """An operation or named function that is running in a thread."""

    # whether it is an operation, or runs within one
    operation: bool
    backward: bool = False
    # seconds spent in the operations and functions that it called
    children: float = 0.0


class Profile:
    """Result of `profile()`: rows, phases and the trace can be read at any time."""

    def __init__(self) -> None:
        # seconds, by name
        self.phases: dict[str, float] = {}
        self._done: dict[tuple[str, str, str], Row] = {}
        # since the last lap: the phase has no name yet
        self._open: dict[tuple[str, str], Row] = {}
        self._events: list[dict[str, Any]] = []
        self._start = self._lap = time.perf_counter()
        # a thread's stack of frames
        self._own = threading.local()
        self._lock = threading.Lock()

    def rows(self) -> list[Row]:
        """Return a row for each phase, operation and direction, the most expensive first."""
        with self._lock:
            rows = [*self._done.values(), *self._open.values()]
        return sorted(rows, key=lambda row: row.seconds, reverse=True)

    def lap(self, name: str) -> None:
        """Name the time since the last lap; phases with the same name are added up."""
        now = time.perf_counter()
        with self._lock:
            since, self._lap = self._lap, now
            self.phases[name] = self.phases.get(name, 0.0) + now - since
            self._record(name, "phase", since, now - since, {})
            for (operation, direction), row in self._open.items():
                whole = self._done.setdefault(
                    (name, operation, direction), Row(name, operation, direction)
                )
                whole.calls += row.calls
                whole.seconds += row.seconds
                whole.bytes += row.bytes
            self._open.clear()

    def trace(self) -> dict[str, Any]:
        """Return the events for chrome://tracing and ui.perfetto.dev, in microseconds.

        Source: Trace Event Format, Google; complete events ("ph": "X"), nested within
        each thread.
        """
        with self._lock:
            return {"traceEvents": list(self._events), "displayTimeUnit": "ms"}

    def save(self, path: PathLike) -> None:
        """Write the trace as JSON, to be opened in chrome://tracing or ui.perfetto.dev."""
        atomic_write(path, json.dumps(self.trace()).encode())

    def timed(
        self,
        name: str,
        direction: str,
        call: Callable[[], R],
        size: Callable[[R], int] | None = None,
    ) -> R:
        """Return call() and record its cost; `size` counts the bytes of an operation's result."""
        stack: list[_Frame] = self._own.__dict__.setdefault("stack", [])
        outer = stack[-1] if stack else _Frame(operation=False)
        frame = _Frame(
            outer.operation or size is not None, outer.backward or direction == "backward"
        )
        stack.append(frame)
        n_bytes = 0
        seconds = 0.0
        start = time.perf_counter()
        try:
            result = call()
            seconds = time.perf_counter() - start
            n_bytes = 0 if size is None or outer.operation else size(result)
            return result
        except BaseException:
            seconds = time.perf_counter() - start
            raise
        finally:
            stack.pop()
            outer.children += seconds
            shown = "backward" if frame.backward and size is not None else direction
            self._enter(name, shown, start, seconds, seconds - frame.children, n_bytes)

    def operation(self, name: str, direction: Direction, call: Callable[[], R]) -> R:
        """Return call(), a forward or a rule, and record its cost: the engine's hook."""
        result: R = self.timed(name, direction, call, _SIZES[direction])
        return result

    def _enter(
        self, name: str, direction: str, start: float, seconds: float, own: float, n_bytes: int
    ) -> None:
        with self._lock:
            row = self._open.setdefault((name, direction), Row("", name, direction))
            row.calls += 1
            row.seconds += own
            row.bytes += n_bytes
            self._record(name, direction or "function", start, seconds, {"bytes": n_bytes})

    def _record(
        self, name: str, category: str, start: float, seconds: float, args: dict[str, Any]
    ) -> None:
        if len(self._events) < MOST_EVENTS:
            times = {"ts": (start - self._start) * 1e6, "dur": seconds * 1e6}
            where = {"pid": os.getpid(), "tid": threading.get_ident()}
            self._events.append(
                {"name": name, "cat": category, "ph": "X", **times, **where, "args": args}
            )


@contextmanager
def profile() -> Iterator[Profile]:
    """Measure the cost of the operations in the block, in all threads.

    Raises
    ------
    ConfigError
        If a profile is being taken already.

    Examples
    --------
    >>> from tinygrad_ckn import Tensor, profiling
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> with profiling.profile() as profiled:
    ...     (x * x).sum().backward()
    >>> rows = [row for row in profiled.rows() if row.name == "multiply"]
    >>> sorted((row.direction, row.calls, row.bytes) for row in rows)
    [('backward', 1, 32), ('forward', 1, 16)]
    """
    global _on  # noqa: PLW0603  # one profile for the process
    with _switch:
        if _on is not None:
            raise ConfigError(
                "profile: expected no other profile to be under way, got one inside another; "
                "leave one out"
            )
        _on = current = Profile()
    HOOKS.append(current.operation)
    try:
        yield current
    finally:
        HOOKS.remove(current.operation)
        _on = None


def lap(name: str) -> None:
    """Name the time since the last lap of the current profile, if any."""
    if _on is not None:
        _on.lap(name)


def record_function(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that gives a function its own row in profiles.

    Named after PyTorch's `record_function`.

    Examples
    --------
    >>> @record_function("halve")
    ... def halve(x):
    ...     return x / 2
    >>> with profile() as profiled:
    ...     halve(3.0)
    1.5
    >>> [(row.name, row.direction, row.calls) for row in profiled.rows()]
    [('halve', '', 1)]
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if _on is None:
                return function(*args, **kwargs)
            return _on.timed(name, "", lambda: function(*args, **kwargs))

        return call

    return decorate


def _size_of_result(result: Any) -> int:
    # with what the forward saved
    output = result[0] if isinstance(result, tuple) else result
    return int(output.nbytes)


def _size_of_gradients(gradients: Sequence[Any]) -> int:
    return sum(int(unwrap(gradient).nbytes) for gradient in gradients if gradient is not None)


_SIZES: dict[str, Callable[[Any], int]] = {
    "forward": _size_of_result,
    "backward": _size_of_gradients,
}
