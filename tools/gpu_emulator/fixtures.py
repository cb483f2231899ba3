"""Fixtures for testing the GPU path without a GPU; a conftest.py imports them."""

import sys

import pytest

from tinygrad_ckn import backend
from tinygrad_ckn.models.clustering import assignment as directions
from tinygrad_ckn.primitive import REGISTRY
from tools.gpu_emulator import nvrtc, ptx
from tools.gpu_emulator.standin import COUNTERS, CUPY, modules


@pytest.fixture(scope="session")
def compiler():
    """Return the module `tools.gpu_emulator.nvrtc`; skip the test if NVRTC is not installed."""
    if reason := nvrtc.missing():
        pytest.skip(reason)
    return nvrtc


def install(monkeypatch):
    """Replace CuPy by the stand-in during a test, so that it is the device "cuda"."""
    # Called first, because the real CuPy loads the library.
    nvrtc.missing()
    for name, module in modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    on_host = {kind: known for kind, known in backend._BY_TYPE.items() if known.device == "cpu"}
    monkeypatch.setattr(backend, "_BY_TYPE", on_host)
    COUNTERS.clear()


@pytest.fixture
def standin(compiler, monkeypatch):
    """Return the stand-in for CuPy with kernels, run by the interpreter."""
    install(monkeypatch)
    return CUPY


@pytest.fixture
def plain(monkeypatch):
    """Return the stand-in for CuPy without kernels, so all operations use their plain forwards.

    NVRTC is not needed.
    """
    install(monkeypatch)
    for primitive in REGISTRY.values():
        monkeypatch.delitem(primitive.kernels, "cuda", raising=False)
    monkeypatch.setattr(directions, "supported", lambda *arrays: False)
    return CUPY


@pytest.fixture(scope="session")
def run(compiler):
    """Return a function run(source, expression, grid, block, *args, shared=0).

    It compiles a kernel and executes it in the interpreter.
    """

    def run(source, expression, grid, block, *args, **options):
        program = compiler.compile(source, [expression], options=["-std=c++17"])
        return ptx.launch(program.ptx, program.names[expression], grid, block, args, **options)

    return run
