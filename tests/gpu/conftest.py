"""What the tests of the GPU path share."""

import sys

import pytest

from tests.gpu import nvrtc
from tests.gpu.standin import COUNTERS, CUPY, modules
from tinygrad_ckn import backend
from tinygrad_ckn.primitive import REGISTRY


@pytest.fixture(scope="session")
def compiler():
    """The module `tests.gpu.nvrtc`, where NVRTC is installed."""
    if reason := nvrtc.missing():
        pytest.skip(reason)
    return nvrtc


@pytest.fixture
def standin(monkeypatch):
    """The stand-in for CuPy as the device "cuda" of the product, with its kernels where NVRTC is installed.

    Without NVRTC the operations have their plain bodies: the registrations of kernels are taken away for the while.
    """
    missing = nvrtc.missing()  # asked now, for the library is loaded by the real CuPy
    for name, module in modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(backend, "_BY_TYPE", dict(backend._BY_TYPE))
    if missing:
        for primitive in REGISTRY.values():
            monkeypatch.delitem(primitive.kernels, "cuda", raising=False)
    COUNTERS.clear()
    return CUPY


@pytest.fixture
def plain(standin, monkeypatch):
    """The stand-in, and every operation with its plain body."""
    for primitive in REGISTRY.values():
        monkeypatch.delitem(primitive.kernels, "cuda", raising=False)
    return standin
