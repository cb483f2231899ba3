"""Released memory, handed out again: fresh pages cost more than the arithmetic on them.

Idle memory is bounded by a share of the memory that this process may use, of the
machine or its container, and is returned to the system where an allocation would
otherwise fail.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import math
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tinygrad_ckn.backend import Shape

T = TypeVar("T", bound=np.generic)
Bytes: TypeAlias = NDArray[np.uint8]

# size in bytes from which results reuse released memory
_MIN_RECYCLED = 2**20
# Maximum number of idle bytes; an eighth of the usable memory if that is more.
_MAX_IDLE = 2**29
_ALIGNMENT = 64
# bytes of freed memory after which glibc is asked to return it; glibc keeps as many itself
_TRIM_THRESHOLD = 2**26
# bytes of the largest block that malloc keeps, less its own header
_LARGEST_KEPT = 2**25 - 2**13


def usable_bytes(root: Path = Path("/")) -> int:
    """Return the bytes of memory this process may use; 0 if the system does not say.

    This is the machine's memory, or the limit of the process's control group if lower.
    `root` holds /proc and /sys.
    """
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        machine = 0
    limits = [limit for limit in (machine, *_group_limits(root)) if limit > 0]
    return min(limits, default=0)


def _group_limits(root: Path) -> Iterator[int]:
    """Yield the limits of this process's control groups and their parents.

    Versions 1 and 2 are read (cgroups(7)).
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, ValueError):
        return
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers == "":
            folder = mounted
            name = "memory.max"
        elif "memory" in controllers.split(","):
            folder = mounted / "memory"
            name = "memory.limit_in_bytes"
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        # Within a container, its own group may be mounted as the root.
        for count in range(len(parts), -1, -1):
            try:
                limit = (folder.joinpath(*parts[:count]) / name).read_text().strip()
            except (OSError, ValueError):
                continue
            # Version 2 says "max" for no limit.
            if limit.isdecimal():
                yield int(limit)


class Memory:
    """Memory blocks released by results, to be handed out again.

    Parameters
    ----------
    limit
        Bytes that this process may use; 0: unknown.
    """

    def __init__(self, limit: int = 0) -> None:
        # blocks in use, by the id of the reference, because arrays have no hash
        self.lent: dict[int, tuple[weakref.ref[NDArray[Any]], Bytes]] = {}
        # Blocks released by garbage collection, in any thread, so it is only appended to.
        self.returned: deque[Bytes] = deque()
        # released blocks ready for reuse, the last released at the end
        self.idle: list[Bytes] = []
        self.lock = threading.Lock()
        self.max_idle_bytes = max(min(_MAX_IDLE, limit // 4), limit // 8) if limit else _MAX_IDLE
        # bytes returned to malloc, which may still hold them
        self.freed = 0

    def empty(self, shape: Shape, dtype: DTypeLike) -> NDArray[Any]:
        """Return a new uninitialised array."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size < _MIN_RECYCLED:
            return self.allocate_or_release(lambda: np.empty(shape, dtype))
        block = self._take(size)
        if block is None:
            block = self.aligned(size)
        # All views have this array as their base and keep it alive.
        whole: NDArray[Any] = np.frombuffer(block.data[:size], dtype)
        reference = weakref.ref(whole, self._give_back)
        self.lent[id(reference)] = reference, block
        return whole.reshape(shape)

    def aligned(self, size: int) -> Bytes:
        """Return a new block that begins at a cache line, which vector loads then never cross."""
        block = self.allocate_or_release(lambda: np.empty(size + _ALIGNMENT, np.uint8))
        return block[-block.ctypes.data % _ALIGNMENT :][:size]

    def allocate_or_release(self, allocate: Callable[[], NDArray[T]]) -> NDArray[T]:
        """Call `allocate`; if memory is short, release all idle blocks and try again."""
        try:
            return allocate()
        except MemoryError:
            self.release_idle()
            return allocate()

    def release_idle(self) -> None:
        """Return all idle memory to the system."""
        gc.collect()
        with self.lock:
            self.returned.clear()
            self.idle.clear()
        self._trim()

    def _take(self, size: int) -> Bytes | None:
        """Return the idle block that fits best, at most a quarter too large; None: none."""
        with self.lock:
            self._collect()
            fitting = [
                i for i, block in enumerate(self.idle) if size <= block.nbytes <= size + size // 4
            ]
            taken = (
                self.idle.pop(min(reversed(fitting), key=lambda i: self.idle[i].nbytes))
                if fitting
                else None
            )
        self._settle()
        return taken

    def _give_back(self, reference: weakref.ref[Any]) -> None:
        self.returned.append(self.lent.pop(id(reference))[1])
        self._settle()

    def _settle(self) -> None:
        """Move returned blocks to the idle ones, unless another thread is doing so.

        The loop repeats because garbage collection may return more while it holds the
        lock.
        """
        while self.returned and self.lock.acquire(blocking=False):
            try:
                self._collect()
            finally:
                self.lock.release()
        if self.freed >= _TRIM_THRESHOLD:
            self._trim()

    def _collect(self) -> None:
        while self.returned:
            self.idle.append(self.returned.popleft())
        total = sum(block.nbytes for block in self.idle)
        while total > self.max_idle_bytes:
            size = self.idle.pop(0).nbytes
            total -= size
            self.freed += size

    def _trim(self) -> None:
        """Ask glibc to return freed memory that it keeps below other blocks."""
        self.freed = 0
        trim = _malloc_trim()
        if trim is not None:
            trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Return malloc_trim(3), or None if the C library does not have it."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
        return trim
    except (AttributeError, OSError, TypeError):
        return None


def keep_freed_memory() -> None:
    """Make malloc keep freed memory: blocks up to 32 MB, and 64 MB in all.

    glibc returns large blocks to the system and later asks for fresh pages. Its
    threshold is the size of the largest block freed so far, at most 32 MB (mallopt(3),
    M_MMAP_THRESHOLD). So one block of that size is allocated and freed.
    """
    np.empty(_LARGEST_KEPT, np.uint8)
