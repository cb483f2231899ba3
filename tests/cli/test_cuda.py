import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import numpy
import pytest

from tinygrad_ckn import backend


def fake_cupy(
    monkeypatch: pytest.MonkeyPatch, driver: int, nvrtc: Callable[[], tuple[int, int]]
) -> None:
    """Stand for a CuPy of a machine with two GPUs, or with no driver."""
    gpus = [
        {"name": b"H200", "totalGlobalMem": 141 * 2**30, "major": 9, "minor": 0},
        {"name": "L4", "totalGlobalMem": 24 * 2**30, "major": 8, "minor": 9},
    ]
    cupy = ModuleType("cupy")
    cupy.__dict__.update(
        __version__="14.0",
        ndarray=Foreign,
        asnumpy=numpy.asarray,
        cuda=SimpleNamespace(
            is_available=lambda: bool(driver),
            nvrtc=SimpleNamespace(getVersion=nvrtc),
            runtime=SimpleNamespace(
                driverGetVersion=lambda: driver,
                getDeviceCount=lambda: 2,
                getDeviceProperties=gpus.__getitem__,
            ),
        ),
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(backend, "_BY_TYPE", dict(backend._BY_TYPE))


class Foreign:
    """Arrays of the CuPy that stands in."""


def test_gpus_by_name_memory_and_capability(info_lines, monkeypatch: pytest.MonkeyPatch):
    fake_cupy(monkeypatch, driver=13020, nvrtc=lambda: (13, 0))
    assert info_lines()[-5:] == [
        ("cupy", "14.0"),
        ("nvrtc", "13.0"),
        ("driver", "CUDA 13.2"),
        ("cuda:0", "H200, 141 GiB, compute capability 9.0"),
        ("cuda:1", "L4, 24 GiB, compute capability 8.9"),
    ]


def test_no_driver_and_no_compiler(info_lines, monkeypatch: pytest.MonkeyPatch):
    def nvrtc() -> tuple[int, int]:
        raise RuntimeError("libnvrtc.so.13 not printed")

    fake_cupy(monkeypatch, driver=0, nvrtc=nvrtc)
    printed = dict(info_lines())
    assert "libnvrtc.so.13 not printed" in printed["nvrtc"]
    assert "pip install -e '.[cuda13]'" in printed["nvrtc"]
    assert printed["driver"].startswith("none; install NVIDIA's")
    assert printed["cuda"].startswith("device 'cuda' needs a GPU with its driver")
