"""Clocks for steps: the host's clock, or events of the device."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

from tinygrad_ckn.backend import use

# steps between two events, so that the device works while the host launches the next
REPETITIONS = 10
Clock: TypeAlias = Callable[[Callable[[], object]], tuple[float, float]]


def by_host(step: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of a step, twice, since the host computes it on the CPU."""
    begun = time.perf_counter()
    step()
    spent = time.perf_counter() - begun
    return spent, spent


def by_events(step: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds per step on the device, and those the host needs to launch it.

    If both are nearly equal, the device waits for Python. PyTorch works in the same
    stream, the default one.
    """
    cuda = use("cuda").xp.cuda
    before = cuda.Event()
    after = cuda.Event()
    begun = time.perf_counter()
    before.record()
    for _ in range(REPETITIONS):
        step()
    after.record()
    launched = time.perf_counter() - begun
    after.synchronize()
    return cuda.get_elapsed_time(before, after) / 1e3 / REPETITIONS, launched / REPETITIONS


def clock_of(device: str) -> Clock:
    """Return the clock for steps on a device."""
    return by_events if device == "cuda" else by_host
