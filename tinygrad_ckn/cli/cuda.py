"""Packages and drivers that device "cuda" needs, and how to install missing ones."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from tinygrad_ckn.backend import use
from tinygrad_ckn.errors import BackendError, how_to_install

INSTALL = f"{how_to_install('cuda13')} ([cuda12] for older drivers)"


def parts() -> Iterator[tuple[str, str]]:
    """Yield CuPy, NVRTC, the driver and each GPU, or how to install it."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        yield "cupy", f"not installed ({error}); {INSTALL}"
        return
    yield "cupy", str(cupy.__version__)
    yield "nvrtc", _nvrtc(cupy)
    driver = cupy.cuda.runtime.driverGetVersion()
    yield (
        "driver",
        f"CUDA {_version(driver)}"
        if driver
        else "none; install NVIDIA's, see https://www.nvidia.com/drivers",
    )
    try:
        use("cuda")
    except BackendError as error:
        yield "cuda", str(error)
        return
    for number in range(cupy.cuda.runtime.getDeviceCount()):
        yield f"cuda:{number}", _device(cupy.cuda.runtime.getDeviceProperties(number))


def _nvrtc(cupy: Any) -> str:
    """Return the version of the kernel compiler."""
    try:
        return ".".join(map(str, cupy.cuda.nvrtc.getVersion()))
    except (ImportError, RuntimeError) as error:
        return f"not installed ({error}), and kernels cannot be compiled; {INSTALL}"


def _version(number: int) -> str:
    """Return "13.2" for CUDA's version number 13020."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _device(properties: dict[str, Any]) -> str:
    """Return name, memory and compute capability of a GPU."""
    name = properties["name"]
    return (
        f"{name.decode() if isinstance(name, bytes) else name}, "
        f"{properties['totalGlobalMem'] / 2**30:.0f} GiB, compute capability "
        f"{properties['major']}.{properties['minor']}"
    )
