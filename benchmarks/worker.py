"""The process of a side: answers the requests of `process.Process` until its input ends.

A request is a pickled (method, arguments), an answer a pickled (kind, value): "done" with the result, "left out" with
a sentence, or "failed" with the traceback.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import sys
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from benchmarks.suite import Inputs, LeftOutError, Side, Work

SLOW = 1.0  # seconds from which a step needs no other before it: caches and threads are warm in a small part of it
_STATUS = Path("/proc/self/status")


def memory(name: str) -> int | None:
    """Return VmRSS or VmHWM (the most it has been) of this process in bytes; None where the system does not say."""
    if not _STATUS.is_file():
        return None
    for line in _STATUS.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    return None


def _forget_peak() -> None:
    """Make VmHWM begin anew: importing needs more for a moment than it keeps."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # another system, or a container that forbids it: then the peak of importing counts as well
        return


class Worker:
    """The methods that a request can name."""

    def __init__(self) -> None:
        self.work: Work
        self.before: int | None = None
        self.last = 0.0

    def start(self, side: Side, inputs: Inputs, device: str) -> None:
        """Import what the side needs, look at the memory, and make its work."""
        for module in side.imports:
            try:
                importlib.import_module(module)
            except ModuleNotFoundError as error:
                raise LeftOutError(f"{error.name} is not installed: pip install 'tinygrad-ckn[bench]'") from error
        gc.collect()
        _forget_peak()
        self.before = memory("VmRSS")
        self.work = side.make(inputs, device, **side.options)

    def outputs(self) -> dict[str, Any]:
        """Return what is compared with the other sides."""
        return dict(self.work.outputs())

    def warm_up(self, steps: int) -> None:
        """Take steps that are not timed."""
        for _ in range(steps):
            self._step()

    def turn(self, steps: int) -> list[float]:
        """Return the seconds of each step, after one that is not timed unless steps are slow."""
        if self.last < SLOW:
            self._step()
        return [self._step() for _ in range(steps)]

    def peak_memory(self) -> tuple[int | None, int | None]:
        """Return the most memory this process had, and how much that is over what it had before it began to work."""
        peak = memory("VmHWM")
        return peak, None if peak is None or self.before is None else peak - self.before

    def libraries(self) -> list[str]:
        """Return the BLAS and OpenMP libraries of this process, with their kernels and threads."""
        from threadpoolctl import threadpool_info

        return [
            f"{found['internal_api']} {found['version'] or ''} {found.get('architecture') or ''}".strip()
            + f", {found['num_threads']} threads"
            for found in threadpool_info()
        ]

    def _step(self) -> float:
        begun = time.perf_counter()
        self.work.step()
        self.last = time.perf_counter() - begun
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
        os.dup2(2, 1)  # what libraries print must not get between the answers
        serve(sys.stdin.buffer, pipe)
