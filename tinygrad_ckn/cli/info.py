"""`tinygrad-ckn info`: facts on the machine for bug reports and benchmarks."""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from tinygrad_ckn.cli import cuda
from tinygrad_ckn.cli.console import echo_wrapped
from tinygrad_ckn.training.run import versions


def info() -> None:
    """Print versions, the processor, BLAS libraries, CuPy and GPUs."""
    for name, value in _lines():
        echo_wrapped(f"{name:<14}{value}")


def _lines() -> Iterator[tuple[str, str]]:
    """Yield the lines to print: name and value."""
    for name, version in versions().items():
        yield name, version or "not installed"
    yield "platform", platform.platform()
    yield "processor", f"{_processor()}, {os.cpu_count()} CPUs"
    for library in _blas():
        yield "BLAS", library
    yield from cuda.parts()


def _processor() -> str:
    """Return the name of the processor, if the system provides it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _blas() -> list[str]:
    """Return a line for each BLAS library of NumPy and SciPy."""
    from threadpoolctl import threadpool_info

    # SciPy has its own BLAS.
    importlib.import_module("scipy.linalg")
    return [
        f"{library['internal_api']} {library['version']}, kernels "
        f"{library.get('architecture') or 'unknown'}, {library['num_threads']} threads "
        f"({library['filepath']})"
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]
