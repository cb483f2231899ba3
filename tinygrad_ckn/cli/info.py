"""`tinygrad-ckn info`: what a bug report or a benchmark has to say about the machine."""

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
    """Print versions, the BLAS library with its kernels and threads, the processor, and what there is of CUDA."""
    for name, value in _lines():
        echo_wrapped(f"{name:<14}{value}")


def _lines() -> Iterator[tuple[str, str]]:
    """Yield what to print, by name."""
    for name, version in versions().items():
        yield name, version or "not installed"
    yield "platform", platform.platform()
    yield "processor", f"{_processor()}, {os.cpu_count()} CPUs"
    for library in _blas():
        yield "BLAS", library
    yield from cuda.parts()


def _processor() -> str:
    """Return the name of the processor, as far as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _blas() -> list[str]:
    """Return a line for each BLAS library that NumPy and SciPy load."""
    from threadpoolctl import threadpool_info

    # brings its own
    importlib.import_module("scipy.linalg")
    return [
        f"{library['internal_api']} {library['version']}, kernels "
        f"{library.get('architecture') or 'unknown'}, {library['num_threads']} threads "
        f"({library['filepath']})"
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]
