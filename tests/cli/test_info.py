import os
import platform
import sys
from pathlib import Path

import numpy
import pytest

import tinygrad_ckn
from tinygrad_ckn.cli import cuda as _cuda
from tinygrad_ckn.cli import info as _info


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "cupy", None)


@pytest.mark.usefixtures("no_gpu")
def test_versions_blas_and_processor(info_lines):
    printed = info_lines()
    found = dict(printed)
    assert found["tinygrad-ckn"] == tinygrad_ckn.__version__
    assert found["python"] == platform.python_version()
    assert found["numpy"] == numpy.__version__
    assert found["processor"].endswith(f", {os.cpu_count()} CPUs")
    assert found["cupy"].startswith("not installed")
    blas = [value for name, value in printed if name == "BLAS"]
    assert blas
    assert all("kernels" in value and "threads" in value for value in blas)


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
