"""Memory that results gave up, handed out again: fresh pages of the system cost more than the arithmetic on them.

What lies idle is bounded by a share of the memory that this process may use, of the
machine's or of its container's, as soon as it is given up; and it is let go where an
allocation would fail without.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_ckn.backend import Shape

# bytes from which results are taken from memory used before
_RECYCLED = 2**20
# bytes of memory kept for that at most, or an eighth of what this process may use
_IDLE = 2**29
_ALIGNMENT = 64
# bytes; glibc keeps as many by itself
_TRIMMED = 2**26
# bytes; malloc adds a little to them
_LARGEST_KEPT = 2**25 - 2**13


def usable_bytes(root: Path = Path("/")) -> int:
    """Return how many bytes of memory this process may use: the machine's, or its control group's limit if lower.

    0 where the system does not say. `root` is where /proc and /sys lie.
    """
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        machine = 0
    limits = [limit for limit in (machine, *_group_limits(root)) if limit > 0]
    return min(limits, default=0)


def _group_limits(root: Path) -> Iterator[int]:
    """Yield the limits of this process's control groups and of those above them, of version 1 and 2 (cgroups(7))."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, ValueError):
        return
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers == "":
            folder, name = mounted, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = mounted / "memory", "memory.limit_in_bytes"
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        # within a container its own group may be the root
        for count in range(len(parts), -1, -1):
            try:
                limit = (folder.joinpath(*parts[:count]) / name).read_text().strip()
            except (OSError, ValueError):
                continue
            # version 2 says "max" where there is none
            if limit.isdecimal():
                yield int(limit)


class Memory:
    """Blocks of memory that results gave up, to be handed out again; `limit`: what this process may use, 0: unknown."""

    def __init__(self, limit: int = 0) -> None:
        self.lent: dict[
            int, tuple[weakref.ref[Any], Any]
        ] = {}  # by the id of the reference: arrays have no hash
        self.returned: deque[Any] = (
            deque()
        )  # by garbage collection, in whatever thread, so nothing but appended to
        # the one given back last is at the end
        self.idle: list[Any] = []
        self.lock = threading.Lock()
        self.max_idle_bytes = max(min(_IDLE, limit // 4), limit // 8) if limit else _IDLE
        # bytes that malloc got back and may still hold
        self.freed = 0

    def empty(self, shape: Shape, dtype: Any) -> Any:
        """Return a new array with whatever is in it."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size < _RECYCLED:
            return self.allocate_or_release(lambda: np.empty(shape, dtype))
        block = self._take(size)
        if block is None:
            block = self.aligned(size)
        whole = np.frombuffer(
            memoryview(block)[:size], dtype
        )  # what all views of it have as base and keep alive
        reference = weakref.ref(whole, self._give_back)
        self.lent[id(reference)] = reference, block
        return whole.reshape(shape)

    def aligned(self, size: int) -> Any:
        """Return bytes that begin where a cache line does: vector instructions cross none."""
        block = self.allocate_or_release(lambda: np.empty(size + _ALIGNMENT, np.uint8))
        return block[-block.ctypes.data % _ALIGNMENT :][:size]

    def allocate_or_release(self, allocate: Any) -> Any:
        """Return what `allocate` makes; where memory is short, once more after all that is idle was let go."""
        try:
            return allocate()
        except MemoryError:
            self.release_idle()
            return allocate()

    def release_idle(self) -> None:
        """Give all memory that is idle back to the system."""
        gc.collect()
        with self.lock:
            self.returned.clear()
            self.idle.clear()
        self._trim()

    def _take(self, size: int) -> Any:
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
        """Count in what was returned, unless somebody is at it, who will look again after."""
        while self.returned and self.lock.acquire(blocking=False):
            # a collection may have come while it was held
            try:
                self._collect()
            finally:
                self.lock.release()
        if self.freed >= _TRIMMED:
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
        """Ask glibc to give freed memory back, which it keeps where something else lies behind it."""
        self.freed = 0
        trim = _malloc_trim()
        if trim is not None:
            trim(0)


@functools.cache
def _malloc_trim() -> Any:
    """Return malloc_trim(3), or None where the C library has none."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


def keep_freed_memory() -> None:
    """Let malloc keep what is freed: blocks up to 32 MB, and 64 MB in all.

    glibc gives large blocks back to the system, and then asks for fresh pages. What it
    takes for large is the size of the largest block that was freed so far, at most 32
    MB (mallopt(3), M_MMAP_THRESHOLD). So one of that size is freed.
    """
    np.empty(_LARGEST_KEPT, np.uint8)
