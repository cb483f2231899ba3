"""The process of a side: answers the requests of `process.Process` until its input ends.

A request is a pickled (method, arguments), an answer a pickled (kind, value): "done"
with the result, "left out" with a sentence, or "failed" with the traceback.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import statistics
import sys
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from benchmarks.clock import Clock, by_host, clock_of
from benchmarks.suite import Inputs, LeftOutError, Side, Work

# seconds of untimed steps, at least one, at the beginning of a turn
REWARM = 0.01
# seconds above which a step needs no untimed one before it: caches and threads are warm
# after a small part of it
SLOW = 1.0
_STATUS = Path("/proc/self/status")
MACHINE = Path("/proc/meminfo")


def memory(name: str, source: Path = _STATUS) -> int | None:
    """Return a field of a system file in bytes, or None if there is no such field.

    Fields of this process are VmRSS, its resident memory, and VmHWM, the peak of it;
    /proc/meminfo has MemAvailable.
    """
    if not source.is_file():
        return None
    for line in source.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    return None


def _forget_peak() -> None:
    """Reset VmHWM, because importing needs more memory than it keeps."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        # Another system, or a container that forbids it: then the peak of importing counts
        # as well.
        return


def align(inputs: Any) -> None:
    """Replace arrays in a dict or list by aligned copies.

    Unpickled arrays are unaligned parts of another object's memory.
    """
    for key, value in inputs.items() if isinstance(inputs, dict) else enumerate(inputs):
        if isinstance(value, np.ndarray):
            inputs[key] = value.copy()
        elif isinstance(value, dict | list):
            align(value)


def _of_torch(torch: Any) -> list[str]:
    """Describe PyTorch's built-in libraries, which threadpoolctl does not see."""
    built = [line.strip(" -") for line in torch.__config__.show().splitlines()]
    libraries = [
        line.split(" for Intel")[0].split(" (Git")[0] for line in built if line.startswith("Intel")
    ]
    return [
        f"torch {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads",
        *libraries,
    ]


class Worker:
    """The methods that a request can name."""

    def __init__(self) -> None:
        self.work: Work
        self.before: int | None = None
        self.clock: Clock = by_host
        self.last = 0.0
        # seconds the host needed to launch each step
        self.launching: list[float] = []

    def start(self, side: Side, inputs: Inputs, device: str) -> None:
        """Import the side's modules, read the memory, and make its work."""
        for module in side.imports:
            try:
                importlib.import_module(module)
            except ModuleNotFoundError as error:
                raise LeftOutError(
                    f"{error.name} is not installed: "
                    "pip install -e '.[bench]' in a checkout of tinygrad-ckn"
                ) from error
        align(inputs)
        self.clock = clock_of(device)
        gc.collect()
        _forget_peak()
        self.before = memory("VmRSS")
        self.work = side.make(inputs, device, **side.options)

    def outputs(self) -> dict[str, Any]:
        """Return the outputs to compare with the other sides."""
        return dict(self.work.outputs())

    def warm_up(self, steps: int) -> None:
        """Run untimed steps."""
        for _ in range(steps):
            self._step()

    def turn(self, steps: int) -> list[float]:
        """Return the seconds of each step, after some untimed ones unless steps are slow."""
        begun = time.perf_counter()
        while self.last < SLOW and time.perf_counter() - begun < REWARM:
            self._step()
        return [self._step() for _ in range(steps)]

    def host_time(self) -> float:
        """Return the median time that the host needed to launch a step."""
        return statistics.median(self.launching)

    def peak_memory(self) -> tuple[int | None, int | None]:
        """Return the peak memory of this process, and its growth since the work began."""
        peak = memory("VmHWM")
        return peak, None if peak is None or self.before is None else peak - self.before

    def libraries(self) -> list[str]:
        """Return the BLAS and OpenMP libraries of this process, with kernels and threads."""
        from threadpoolctl import threadpool_info

        lines = [] if "torch" not in sys.modules else _of_torch(sys.modules["torch"])
        for library in threadpool_info():
            version = library["version"] or ""
            architecture = library.get("architecture") or ""
            name = f"{library['internal_api']} {version} {architecture}".strip()
            lines.append(f"{name}, {library['num_threads']} threads")
        return lines

    def _step(self) -> float:
        self.last, launching = self.clock(self.work.step)
        self.launching.append(launching)
        return self.last


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    worker = Worker()
    while True:
        try:
            method, arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            answer = ("done", getattr(worker, method)(*arguments))
        except LeftOutError as reason:
            answer = ("left out", str(reason))
        except Exception:
            answer = ("failed", traceback.format_exc())
        pickle.dump(answer, answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "wb") as pipe:
        # Output of libraries must not mix with the answers.
        os.dup2(2, 1)
        serve(sys.stdin.buffer, pipe)
