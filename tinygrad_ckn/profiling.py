"""Where the time goes: seconds, calls and bytes of each operation, forward and backward apart, phase by phase.

While a profile is taken, the two functions through which all operations pass (`Primitive.compute` and `Node.pull`) are
replaced by others that look at the clock. Otherwise nothing of this file runs.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tinygrad_ckn._files import PathLike, atomic_write
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.graph import Node, raw
from tinygrad_ckn.primitive import Primitive

MOST_EVENTS = 200_000  # of a trace, for one of a long training would fit no viewer; totals count all

_on: Profile | None = None
_switch = threading.Lock()


@dataclass
class Row:
    """What one operation cost in one phase.

    Attributes
    ----------
    phase
        The name that `lap` gave to the time it ran in; "" for what came after the last lap.
    name, direction
        Of the operation; "forward", or "backward": in its rules, and what these call in their turn.
    calls
        How often it ran.
    seconds
        Its own: without the operations that it calls, which have rows of their own.
    bytes
        Of its results, or of the gradients that its rules returned; only where no other operation called it.
    """

    phase: str
    name: str
    direction: str
    calls: int = 0
    seconds: float = 0.0
    bytes: int = 0


class Profile:
    """What `profile()` measures; rows and phases can be read at any time, the trace be saved."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}  # seconds
        self._done: dict[tuple[str, str, str], Row] = {}
        self._open: dict[tuple[str, str], Row] = {}  # since the last lap, of a phase that has no name yet
        self._events: list[dict[str, Any]] = []
        self._start = self._lap = time.perf_counter()
        self._own = threading.local()  # a thread's stack: for each operation under way its children's seconds, and
        self._lock = threading.Lock()  # whether it is part of a backward

    def rows(self) -> list[Row]:
        """Return a row for each phase, operation and direction, the most expensive first."""
        with self._lock:
            rows = [*self._done.values(), *self._open.values()]
        return sorted(rows, key=lambda row: row.seconds, reverse=True)

    def lap(self, name: str) -> None:
        """Name the time since the last lap; phases of one name are added up."""
        now = time.perf_counter()
        with self._lock:
            since, self._lap = self._lap, now
            self.phases[name] = self.phases.get(name, 0.0) + now - since
            self._record(name, "phase", since, now - since, {})
            for (operation, direction), row in self._open.items():
                whole = self._done.setdefault((name, operation, direction), Row(name, operation, direction))
                whole.calls += row.calls
                whole.seconds += row.seconds
                whole.bytes += row.bytes
            self._open.clear()

    def trace(self) -> dict[str, Any]:
        """Return the events in the format of chrome://tracing and ui.perfetto.dev, times in microseconds.

        Source: Trace Event Format, Google; complete events ("ph": "X"), of which those of a thread are nested.
        """
        with self._lock:
            return {"traceEvents": list(self._events), "displayTimeUnit": "ms"}

    def save(self, path: PathLike) -> None:
        """Write the trace as JSON, to be opened in chrome://tracing or ui.perfetto.dev."""
        atomic_write(path, json.dumps(self.trace()).encode())

    def timed(self, name: str, backward: bool, call: Callable[[], Any], size: Callable[[Any], int]) -> Any:
        """Return call(), and enter what it cost."""
        stack: list[tuple[list[float], bool]] = self._own.__dict__.setdefault("stack", [])
        outermost = not stack
        backward = backward or (not outermost and stack[-1][1])
        children = [0.0]
        stack.append((children, backward))
        n_bytes = 0
        start = time.perf_counter()
        try:
            result = call()
            seconds = time.perf_counter() - start
            n_bytes = size(result) if outermost else 0
            return result
        except BaseException:
            seconds = time.perf_counter() - start
            raise
        finally:
            stack.pop()
            if stack:
                stack[-1][0][0] += seconds
            self._enter(name, "backward" if backward else "forward", start, seconds, seconds - children[0], n_bytes)

    def _enter(self, name: str, direction: str, start: float, seconds: float, own: float, n_bytes: int) -> None:
        with self._lock:
            row = self._open.setdefault((name, direction), Row("", name, direction))
            row.calls += 1
            row.seconds += own
            row.bytes += n_bytes
            self._record(name, direction, start, seconds, {"bytes": n_bytes})

    def _record(self, name: str, category: str, start: float, seconds: float, args: dict[str, Any]) -> None:
        if len(self._events) < MOST_EVENTS:
            times = {"ts": (start - self._start) * 1e6, "dur": seconds * 1e6}
            where = {"pid": os.getpid(), "tid": threading.get_ident()}
            self._events.append({"name": name, "cat": category, "ph": "X", **times, **where, "args": args})


@contextmanager
def profile() -> Iterator[Profile]:
    """Measure what the operations within the block cost, in all threads.

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
    >>> sorted((row.name, row.direction, row.calls, row.bytes) for row in profiled.rows() if row.name == "multiply")
    [('multiply', 'backward', 1, 32), ('multiply', 'forward', 1, 16)]
    """
    global _on  # noqa: PLW0603  # what it replaces is one for the process
    compute, pull = Primitive.compute, Node.pull
    with _switch:
        if _on is not None:
            raise ConfigError("profile: expected that no profile is being taken, got one inside another; leave one out")
        _on = current = Profile()

    def timed_compute(self: Primitive[Any], *args: Any) -> Any:
        return current.timed(self.name, False, lambda: compute(self, *args), lambda result: int(result[0].nbytes))

    def timed_pull(self: Node, *args: Any) -> Any:
        return current.timed(self.name, True, lambda: pull(self, *args), _size)

    replace: Any = setattr
    try:
        replace(Primitive, "compute", timed_compute)
        replace(Node, "pull", timed_pull)
        yield current
    finally:
        replace(Primitive, "compute", compute)
        replace(Node, "pull", pull)
        _on = None


def lap(name: str) -> None:
    """Name the time since the last lap of the profile that is being taken, if there is one."""
    if _on is not None:
        _on.lap(name)


def _size(gradients: Sequence[Any]) -> int:
    return sum(int(raw(gradient).nbytes) for gradient in gradients if gradient is not None)
