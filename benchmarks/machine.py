"""The environment that figures depend on: processor, system, versions, date."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import tinygrad_ckn
from tinygrad_ckn.cli import cuda as _cuda
from tinygrad_ckn.cli import info as _info

PACKAGES = ("numpy", "scipy", "threadpoolctl", "torch", "jax", "mygrad", "autograd", "cupy")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def describe(device: str) -> dict[str, str]:
    """Return the lines printed above every table; BLAS libraries are described per side."""
    lines = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_info._processor()}, {os.cpu_count()} CPUs",
        "platform": platform.platform(),
        "device": device,
        "python": platform.python_version(),
        "tinygrad-ckn": tinygrad_ckn.__version__,
    }
    if device == "cuda":
        lines |= dict(_cuda.parts())
    return lines | {package: _version(package) for package in PACKAGES}
