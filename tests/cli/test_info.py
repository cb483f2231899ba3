import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy
import pytest
from typer.testing import Result

import tinygrad_ckn
from tinygrad_ckn import backend
from tinygrad_ckn.cli import cuda as _cuda
from tinygrad_ckn.cli import info as _info

Invoke = Callable[..., Result]


def lines(result: Result) -> list[tuple[str, str]]:
    assert result.exit_code == 0
    return [
        (name, value)
        for name, value in (line.split(maxsplit=1) for line in result.stdout.splitlines())
    ]


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "cupy", None)


@pytest.mark.usefixtures("no_gpu")
def test_versions_blas_and_processor(invoke: Invoke):
    told = lines(invoke("info"))
    found = dict(told)
    assert found["tinygrad-ckn"] == tinygrad_ckn.__version__
    assert found["python"] == platform.python_version()
    assert found["numpy"] == numpy.__version__
    assert found["processor"].endswith(f", {os.cpu_count()} CPUs")
    assert found["cupy"].startswith("not installed")
    blas = [value for name, value in told if name == "BLAS"]
    assert blas
    assert all("kernels" in value and "threads" in value for value in blas)


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


def test_gpus_by_name_memory_and_capability(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    fake_cupy(monkeypatch, driver=13020, nvrtc=lambda: (13, 0))
    assert lines(invoke("info"))[-5:] == [
        ("cupy", "14.0"),
        ("nvrtc", "13.0"),
        ("driver", "CUDA 13.2"),
        ("cuda:0", "H200, 141 GiB, compute capability 9.0"),
        ("cuda:1", "L4, 24 GiB, compute capability 8.9"),
    ]


def test_no_driver_and_no_compiler(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    def nvrtc() -> tuple[int, int]:
        raise RuntimeError("libnvrtc.so.13 not found")

    fake_cupy(monkeypatch, driver=0, nvrtc=nvrtc)
    found = dict(lines(invoke("info")))
    assert "libnvrtc.so.13 not found" in found["nvrtc"]
    assert "pip install -e '.[cuda13]'" in found["nvrtc"]
    assert found["driver"].startswith("none; install NVIDIA's")
    assert found["cuda"].startswith("device 'cuda' needs a GPU with its driver")


@pytest.mark.usefixtures("no_gpu")
def test_no_cupy():
    (name, state), *others = _cuda.parts()
    assert (name, others) == ("cupy", [])
    assert "pip install -e '.[cuda13]'" in state


def test_processor_without_cpuinfo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(_info, "Path", lambda name: tmp_path / "none")
    assert _info._processor() == (platform.processor() or platform.machine())


def test_processor_of_cpuinfo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A: fast one\n")
    monkeypatch.setattr(_info, "Path", lambda name: tmp_path / "cpuinfo")
    assert _info._processor() == "A: fast one"
