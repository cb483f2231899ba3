"""Client of a side's process: sets its environment, sends requests and reads answers."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.suite import BenchmarkError, Inputs, LeftOutError, Side

ROOT = Path(__file__).parent.parent
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
# glibc requests large blocks from the system and returns them at every operation, and
# the page faults take longer than the arithmetic. These settings make it keep them. Our
# own sides do without, because the library reuses its memory by itself.
TUNED_MALLOC = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "17179869184"}


def environment(threads: int, *, tuned_malloc: bool) -> dict[str, str]:
    """Return the environment of a side: the user's, with threads, malloc and imports set."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))
    }
    variables = {
        **inherited,
        **dict.fromkeys(THREADS, str(threads)),
        **(TUNED_MALLOC if tuned_malloc else {}),
    }
    # XLA has its own option.
    if threads == 1:
        variables["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return {
        **variables,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
    }


class Process:
    """Starts a side and sends it requests; `with` ends it."""

    def __init__(self, side: Side, threads: int) -> None:
        self.side = side
        self._child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(threads, tuned_malloc=side.tuned_malloc),
            # Ctrl-C reaches only the parent, which ends its children.
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if error is not None:
            self._child.kill()
        self.stop()

    def stop(self) -> None:
        """End the process, which frees its memory."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._child.wait()

    def start(self, inputs: Inputs, device: str) -> None:
        """Let the side make its work from the inputs.

        Raises
        ------
        LeftOutError
            If it cannot take part.
        BenchmarkError
            If it fails, here and in all other methods.
        """
        self._ask("start", self.side, inputs, device)

    def outputs(self) -> Mapping[str, Any]:
        """Return the outputs to compare with the other sides."""
        outputs: Mapping[str, Any] = self._ask("outputs")
        return outputs

    def warm_up(self, steps: int) -> None:
        """Run untimed steps."""
        self._ask("warm_up", steps)

    def turn(self, steps: int) -> list[float]:
        """Return the seconds of each step."""
        seconds: list[float] = self._ask("turn", steps)
        return seconds

    def host_time(self) -> float:
        """Return the median time that the host needs to launch a step."""
        seconds: float = self._ask("host_time")
        return seconds

    def peak_memory(self) -> tuple[int | None, int | None]:
        """Return the peak resident memory in bytes, and its growth since the work began."""
        peak, growth = self._ask("peak_memory")
        return peak, growth

    def libraries(self) -> list[str]:
        """Return the BLAS and OpenMP libraries with their kernels and threads."""
        libraries: list[str] = self._ask("libraries")
        return libraries

    def _ask(self, method: str, *arguments: object) -> Any:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            pickle.dump((method, arguments), self._child.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._child.stdin.flush()
            kind, value = pickle.load(self._child.stdout)
        except (EOFError, BrokenPipeError) as error:
            raise BenchmarkError(
                f"{self.side.name}: expected an answer to {method}, got none; its process ended "
                f"with status {self._child.wait()}, perhaps for lack of memory"
            ) from error
        if kind == "left out":
            raise LeftOutError(value)
        if kind == "failed":
            last = value.strip().splitlines()[-1]
            raise BenchmarkError(f"{self.side.name}: {method} failed with {last}\n{value}")
        return value
