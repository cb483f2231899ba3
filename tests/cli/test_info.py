import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
from typer.testing import Result

import tinygrad_ckn
from tinygrad_ckn.cli import _info
from tinygrad_ckn.errors import BackendError

Invoke = Callable[..., Result]


def lines(result: Result) -> list[tuple[str, str]]:
    assert result.exit_code == 0
    return [(name, value) for name, value in (line.split(maxsplit=1) for line in result.stdout.splitlines())]


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch):
    def use(device: str) -> None:
        raise BackendError("device 'cuda' needs CuPy; pip install 'tinygrad-ckn[cuda13]'")

    monkeypatch.setattr(_info, "use", use)


@pytest.mark.usefixtures("no_gpu")
def test_versions_blas_and_processor(invoke: Invoke):
    told = lines(invoke("info"))
    found = dict(told)
    assert found["tinygrad-ckn"] == tinygrad_ckn.__version__
    assert found["python"] == platform.python_version()
    assert found["numpy"] == numpy.__version__
    assert found["processor"].endswith(f", {os.cpu_count()} CPUs")
    assert found["cuda"] == "device 'cuda' needs CuPy; pip install 'tinygrad-ckn[cuda13]'"
    blas = [value for name, value in told if name == "BLAS"]
    assert blas
    assert all("kernels" in value and "threads" in value for value in blas)


def test_gpus_by_name(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    runtime = SimpleNamespace(
        getDeviceCount=lambda: 2, getDeviceProperties=lambda number: {"name": [b"H200", "L4"][number]}
    )
    cupy = SimpleNamespace(__version__="14.0", cuda=SimpleNamespace(runtime=runtime))
    monkeypatch.setattr(_info, "use", lambda device: SimpleNamespace(xp=cupy))
    assert lines(invoke("info"))[-3:] == [("cupy", "14.0"), ("cuda:0", "H200"), ("cuda:1", "L4")]


def test_no_cupy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    (name, state), *others = _info._gpus()
    assert (name, others) == ("cuda", [])
    assert "pip install 'tinygrad-ckn[cuda13]'" in state


def test_processor_where_there_is_no_cpuinfo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(_info, "Path", lambda name: tmp_path / "none")
    assert _info._processor() == (platform.processor() or platform.machine())


def test_processor_of_cpuinfo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A: fast one\n")
    monkeypatch.setattr(_info, "Path", lambda name: tmp_path / "cpuinfo")
    assert _info._processor() == "A: fast one"
