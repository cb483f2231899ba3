"""CPU threads and memory: a thread pool over tiles, single-threaded BLAS, reused buffers.

NumPy's ufuncs use one thread; like BLAS, they release the GIL. So work is cut into tiles
that fit a core's cache, and `for_each` distributes them over the threads. BLAS is
held at one thread meanwhile, because its own threads would wait for each other,
spinning, on cores that other tiles need. The calling thread works too, so a call from
within a tile, or from another Python thread while all workers are busy, makes progress
by itself and never deadlocks. How work is cut never depends on the number of threads,
so the results do not either.

Memory comes from `scratch` (buffers of one thread, for the duration of a tile) and from
`empty` (for results: released memory is handed out again, see `memory.py`). Importing
this module makes glibc do the same for arrays that NumPy and SciPy allocate themselves.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tinygrad_ckn.backend import Shape
from tinygrad_ckn.checks import integers
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.memory import Memory, keep_freed_memory
from tinygrad_ckn.memory import usable_bytes as _physical_memory

T = TypeVar("T")
# anything with `+=` in place
Total = TypeVar("Total")

# cache of one core, which the arrays of a tile should fit in
CACHE_BYTES = 2**20
# partial sums of a reduction over tiles, for any number of threads
GROUPS = 8
# maximum number of scratch arrays kept per thread
_MAX_SCRATCH_ARRAYS = 256


def _default_threads() -> int:
    setting = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if setting.isdecimal() and int(setting) > 0:
        return int(setting)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Blas:
    """A reentrant context that limits the BLAS libraries to one thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.depth = 0
        self.previous: list[tuple[Any, int]] = []
        self.libraries: list[Any] | None = None
        self.with_scipy = False

    def __enter__(self) -> None:
        with self.lock:
            if self.depth == 0:
                # SciPy brings a BLAS library of its own.
                loaded = "scipy.linalg" in sys.modules
                if self.libraries is None or loaded != self.with_scipy:
                    from threadpoolctl import ThreadpoolController

                    self.libraries = ThreadpoolController().select(user_api="blas").lib_controllers
                    self.with_scipy = loaded
                self.previous = [(library, library.get_num_threads()) for library in self.libraries]
                self._set((library, 1) for library, _ in self.previous)
            self.depth += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.depth -= 1
            if self.depth == 0:
                self._set(self.previous)

    def after_fork(self) -> None:
        """Restore the numbers of threads in the child of a fork, which has no other thread."""
        self.lock = threading.Lock()
        if self.depth:
            self.depth = 0
            self._set(self.previous)

    @staticmethod
    def _set(threads: Iterable[tuple[Any, int]]) -> None:
        for library, n in threads:
            if n > 1 or library.get_num_threads() > 1:
                library.set_num_threads(n)
                # From version 3.8 on, threadpoolctl lets a single thread set OpenBLAS's
                # number, and silently ignores the others.
                if library.get_num_threads() != n and hasattr(library, "clear_controlling_thread"):
                    library.clear_controlling_thread(force=True)
                    library.set_num_threads(n)


class _Scratch(threading.local):
    """The buffers of a thread, by name, and the arrays made of them.

    The arrays are kept because making one takes longer than some of the work on it.
    """

    def __init__(self) -> None:
        self.buffers: dict[str, NDArray[np.uint8]] = {}
        self.arrays: dict[tuple[str, Shape, DTypeLike], NDArray[Any]] = {}


_blas = _Blas()
_memory = Memory(_physical_memory())
_scratch = _Scratch()
_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()
_threads = _default_threads()


def get_num_threads() -> int:
    """Return the number of threads the library uses on the CPU.

    Examples
    --------
    >>> get_num_threads() >= 1
    True
    """
    return _threads


def set_num_threads(n: int) -> None:
    """Set the number of threads the library uses on the CPU.

    Results do not depend on it. The default is the environment variable
    OMP_NUM_THREADS if set, else the number of cores this process may use.

    Parameters
    ----------
    n
        Number of threads, >= 1.

    Raises
    ------
    ConfigError
        If n is not an integer >= 1.

    Examples
    --------
    >>> set_num_threads(get_num_threads())
    """
    global _pool, _threads  # noqa: PLW0603  # one pool for the process
    integers("set_num_threads", n=n)
    with _pool_lock:
        if n != _threads:
            _threads = int(n)
            if _pool is not None:
                _pool.shutdown(wait=False)
                _pool = None


def one_blas_thread() -> AbstractContextManager[None]:
    """Return a context in which BLAS uses one thread.

    It suits small matrices, for which threads would mostly wait.
    """
    return _blas


def _submit(helpers: int, work: Callable[[], None]) -> list[Future[None]]:
    """Submit work to the pool `helpers` times.

    Busy workers do not start it, and once the main thread has ended none do.
    """
    global _pool  # noqa: PLW0603
    futures: list[Future[None]] = []
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(1, _threads - 1), thread_name_prefix="tinygrad-ckn")
        try:
            for _ in range(helpers):
                futures.append(_pool.submit(work))
        except RuntimeError:
            # The interpreter is shutting down, or the system has no more threads: the
            # caller continues with the helpers that did start.
            pass
    return futures


def _cancel_or_wait(futures: list[Future[None]]) -> None:
    """Cancel what has not started, and wait for the rest, without raising its errors."""
    for future in futures:
        if not future.cancel():
            future.exception()


def for_each(function: Callable[[T], object], items: Sequence[T]) -> None:
    """Call a function with each item, on the threads of the pool and this one.

    Each thread uses single-threaded BLAS. The first error stops the loop and is raised
    here. Calls may be nested and may come from several threads.
    """
    with _blas:
        helpers = min(_threads, len(items)) - 1
        if helpers <= 0:
            for item in items:
                function(item)
            return
        # Shared by the threads: next() on it is atomic.
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

        # A helper that no worker has time for stays in the queue of the pool: there it
        # must not hold the work, nor the arrays of that, after this call.
        shared = [work]

        def help_out() -> None:
            for task in shared[:]:
                task()

        futures = _submit(helpers, help_out)
        try:
            work()
        finally:
            _cancel_or_wait(futures)
            shared.clear()
        for future in futures:
            if not future.cancelled():
                future.result()


def sum_of(
    function: Callable[[T, Total], object],
    items: Sequence[T],
    start: Callable[[], Total],
    finish: Callable[[Total], Total] = lambda total: total,
    groups: int | None = None,
) -> Total:
    """Sum over items, on all threads.

    Items are cut into runs of consecutive ones, each with a total of its own, and the
    totals are added in order, so the result is the same, bit for bit, for any number of
    threads.

    Parameters
    ----------
    function
        Called as function(item, total); adds the item's term to `total` in place.
    items
        What to sum over.
    start
        Returns a new total of zero.
    finish
        Called with the total of each run, on its thread; returns what is added up.
    groups
        Maximum number of runs; None: GROUPS.
    """
    count = max(1, min(groups or GROUPS, len(items)))
    bounds = [len(items) * i // count for i in range(count + 1)]
    totals: dict[int, Total] = {}

    def group(i: int) -> None:
        total = start()
        for item in items[bounds[i] : bounds[i + 1]]:
            function(item, total)
        totals[i] = finish(total)

    for_each(group, range(count))
    total: Any = totals[0]
    for i in range(1, count):
        total += totals[i]
    result: Total = total
    return result


def tiles(n: int, bytes_each: float, limit: float = CACHE_BYTES, minimum: int = 1) -> list[slice]:
    """Cut n items into slices of at most `limit` bytes, but at least `minimum` items."""
    return list(slices(n, max(minimum, int(limit // max(1, bytes_each)), 1)))


def scratch(name: str, shape: Shape, dtype: DTypeLike) -> NDArray[Any]:
    """Return an uninitialised array for this thread, valid until the name is used again."""
    key = name, shape, dtype
    cached = _scratch.arrays.get(key)
    if cached is not None:
        return cached
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = _scratch.buffers.get(name)
    grows = buffer is None or buffer.nbytes < size
    if buffer is None or grows:
        buffer = _scratch.buffers[name] = _memory.aligned(size)
    if grows or len(_scratch.arrays) >= _MAX_SCRATCH_ARRAYS:
        # Arrays of this name would keep the smaller buffer alive.
        _scratch.arrays.clear()
    array: NDArray[Any] = buffer[:size].view(dtype).reshape(shape)
    _scratch.arrays[key] = array
    return array


def empty(shape: Shape, dtype: DTypeLike) -> NDArray[Any]:
    """Return an uninitialised array; large ones reuse the memory of released arrays."""
    return _memory.empty(shape, dtype)


def _after_fork() -> None:
    """Reset the module in the child of a fork, where only the forking thread exists."""
    global _memory, _pool, _pool_lock  # noqa: PLW0603
    _pool = None
    _pool_lock = threading.Lock()
    _memory = Memory(_physical_memory())
    _blas.after_fork()


keep_freed_memory()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
