"""How the CPU's cores and memory are used: a pool of threads over tiles, BLAS at one thread, memory used again.

NumPy's ufuncs use one thread and release the GIL, as BLAS does. So work is cut into
tiles that fit a core's cache, and `for_each` spreads them over the threads; BLAS is
held at one thread meanwhile, for its own threads would wait for each other, spinning,
on cores that others need. The caller works too, so a call from within a tile, or from
another Python thread while all workers are busy, goes on by itself and never waits for
ever. How work is cut never depends on the number of threads, so that results do not
either.

Memory comes from `scratch` (each thread's own, for the length of a tile) and from
`empty` (for results: what was given up is handed out again, see `memory.py`). For the
arrays that NumPy and SciPy make themselves, importing this module gets glibc to do the
same.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from tinygrad_ckn.backend import Shape, is_whole
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.memory import Memory, keep_freed_memory
from tinygrad_ckn.memory import usable_bytes as _physical_memory

T = TypeVar("T")

# of a core: what the arrays of a tile should fit in
CACHE_BYTES = 2**20
# partial sums of a reduction over tiles, whatever the number of threads
GROUPS = 8
# arrays of scratch kept made
_KNOWN = 256


def _default_threads() -> int:
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if given.isdecimal() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Blas:
    """Holds the BLAS libraries at one thread while anybody is inside."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.depth = 0
        self.before: list[tuple[Any, int]] = []
        self.libraries: list[Any] | None = None
        self.with_scipy = False

    def __enter__(self) -> None:
        with self.lock:
            if self.depth == 0:
                # which brings a BLAS library of its own
                loaded = "scipy.linalg" in sys.modules
                if self.libraries is None or loaded != self.with_scipy:
                    from threadpoolctl import ThreadpoolController

                    self.libraries = ThreadpoolController().select(user_api="blas").lib_controllers
                    self.with_scipy = loaded
                self.before = [(library, library.get_num_threads()) for library in self.libraries]
                self._set((library, 1) for library, _ in self.before)
            self.depth += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.depth -= 1
            if self.depth == 0:
                self._set(self.before)

    def forked(self) -> None:
        """Take back, in the child of a fork, what threads that do not exist there had set."""
        self.lock = threading.Lock()
        if self.depth:
            self.depth = 0
            self._set(self.before)

    @staticmethod
    def _set(threads: Iterable[tuple[Any, int]]) -> None:
        for library, n in threads:
            if n > 1 or library.get_num_threads() > 1:
                library.set_num_threads(n)
                # threadpoolctl from 3.8 on lets one thread only set OpenBLAS's number,
                # and says nothing to others
                if library.get_num_threads() != n and hasattr(library, "clear_controlling_thread"):
                    library.clear_controlling_thread(force=True)
                    library.set_num_threads(n)


class _Scratch(threading.local):
    """A thread's buffers, by name, and the arrays made of them: making one takes longer than some work on it."""

    def __init__(self) -> None:
        self.buffers: dict[str, Any] = {}
        self.arrays: dict[tuple[str, Shape, Any], Any] = {}


_blas = _Blas()
_memory = Memory(_physical_memory())
_scratch = _Scratch()
_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()
_threads = _default_threads()


def get_num_threads() -> int:
    """Return how many threads the library computes with on the CPU.

    Examples
    --------
    >>> get_num_threads() >= 1
    True
    """
    return _threads


def set_num_threads(n: int) -> None:
    """Set how many threads the library computes with on the CPU; results do not depend on it.

    The default is OMP_NUM_THREADS, where the environment has it, else the number of
    cores this process may use.

    Raises
    ------
    ConfigError
        If n is not an integer of at least 1.

    Examples
    --------
    >>> set_num_threads(get_num_threads())
    """
    global _pool, _threads  # noqa: PLW0603  # one pool for the process
    if not is_whole(n, 1):
        raise ConfigError(f"set_num_threads: argument n expected an integer >= 1, got {n!r}")
    with _pool_lock:
        if n != _threads:
            _threads = int(n)
            if _pool is not None:
                _pool.shutdown(wait=False)
                _pool = None


def one_blas_thread() -> Any:
    """Return a context in which BLAS uses one thread: for small matrices, whose parts it would only wait for."""
    return _blas


def _submit(helpers: int, work: Callable[[], None]) -> list[Future[None]]:
    """Ask the pool for help; workers that are busy will not come, nor any once the main thread has ended."""
    global _pool  # noqa: PLW0603
    futures: list[Future[None]] = []
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(1, _threads - 1), thread_name_prefix="tinygrad-ckn")
        try:
            for _ in range(helpers):
                futures.append(_pool.submit(work))
        except RuntimeError:
            # the interpreter shuts down, or the system has no more threads: the caller
            # goes on with those it has
            pass
    return futures


def for_each(function: Callable[[T], object], items: Sequence[T]) -> None:
    """Call a function with each item, on the threads of the pool and this one, with one BLAS thread each.

    The first error of a call ends it and is raised here. Calls may be made from several
    threads and from within one.
    """
    with _blas:
        helpers = min(_threads, len(items)) - 1
        if helpers <= 0:
            for item in items:
                function(item)
            return
        # shared: next() on it is atomic
        remaining = iter(items)
        failed = threading.Event()

        def work() -> None:
            for item in remaining:
                if failed.is_set():
                    return
                try:
                    function(item)
                except BaseException:
                    failed.set()
                    raise

        futures = _submit(helpers, work)
        try:
            work()
        finally:
            for future in futures:
                if not future.cancel():
                    # waits
                    future.exception()
        for future in futures:
            if not future.cancelled():
                future.result()


def sum_of(
    function: Callable[[T, Any], object],
    items: Sequence[T],
    start: Callable[[], Any],
    finish: Callable[[Any], Any] = lambda total: total,
    groups: int | None = None,
) -> Any:
    """Return the sum over items of what function(item, total) adds to its total.

    Each of at most `groups` (else GROUPS) runs of consecutive items has a total of its
    own, start() to begin with and an array when finish(total) has seen it. These are
    added in order: the same bits for any number of threads.
    """
    count = max(1, min(groups or GROUPS, len(items)))
    bounds = [len(items) * i // count for i in range(count + 1)]
    totals: list[Any] = [None] * count

    def group(i: int) -> None:
        total = start()
        for item in items[bounds[i] : bounds[i + 1]]:
            function(item, total)
        totals[i] = finish(total)

    for_each(group, range(count))
    total = totals[0]
    for other in totals[1:]:
        total += other
    return total


def tiles(n: int, bytes_each: float, limit: float = CACHE_BYTES, minimum: int = 1) -> list[slice]:
    """Cut n things into slices of which each has at most `limit` bytes, but `least` things at least."""
    step = max(minimum, int(limit // max(1, bytes_each)), 1)
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]


def scratch(name: str, shape: Shape, dtype: Any) -> Any:
    """Return an array of this thread's own, with whatever is in it, until the name is asked for again."""
    key = name, shape, dtype
    known = _scratch.arrays.get(key)
    if known is not None:
        return known
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer: Any = _scratch.buffers.get(name)
    grows = buffer is None or buffer.nbytes < size
    if grows:
        buffer = _scratch.buffers[name] = _memory.aligned(size)
    if grows or len(_scratch.arrays) >= _KNOWN:
        # of those of this name, which keep the smaller buffer alive, and of what piles up
        _scratch.arrays.clear()
    array = _scratch.arrays[key] = buffer[:size].view(dtype).reshape(shape)
    return array


def empty(shape: Shape, dtype: Any) -> Any:
    """Return a new array with whatever is in it; large ones in memory that arrays given up had before."""
    return _memory.empty(shape, dtype)


def _forked() -> None:
    """Begin anew in the child of a fork, where no thread but the forking one exists."""
    global _memory, _pool, _pool_lock  # noqa: PLW0603
    _pool, _pool_lock = None, threading.Lock()
    _memory = Memory(_physical_memory())
    _blas.forked()


keep_freed_memory()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
