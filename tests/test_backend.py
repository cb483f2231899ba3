import sys
import types

import numpy as np
import pytest

from tinygrad_ckn import Tensor, backend, ops
from tinygrad_ckn.errors import BackendError, DTypeError


class Foreign:
    """An array of another library, as far as the seam looks at it."""

    dtype = np.dtype("float64")


@pytest.fixture
def cuda():
    """Register a backend for "cuda" whose arrays are `Foreign`, and forget it afterwards."""
    before = dict(backend._BY_TYPE)
    made = backend.Backend(
        "cuda", np, Foreign, lambda a: np.zeros(1), lambda: None, backend.CPU.strict_linalg
    )
    backend.register(made)
    yield made
    backend._BY_TYPE.clear()
    backend._BY_TYPE.update(before)


def test_scalars_go_with_any_array():
    assert backend.xp_of(1, 2.0, None, np.float32(3), np.ones(2)) is np
    assert backend.xp_of(1.0) is np


def test_mixed_devices_name_both(cuda):
    with pytest.raises(
        BackendError, match=r"one device, got 'cpu' and 'cuda'; move one with .to\('cpu'\)"
    ):
        backend.xp_of(np.ones(1), Foreign())
    with pytest.raises(BackendError, match="'cuda' and 'cpu'"):
        ops.add(Foreign(), np.ones(1))


def test_a_kernel_runs_on_its_device_only(cuda):
    def shout(xp, x):
        return np.full(1, 7.0)

    ops.exp.kernel("cuda")(shout)
    try:
        assert ops.exp(Foreign()).tolist() == [7.0]
        assert ops.exp(np.zeros(1)).tolist() == [1.0]
    finally:
        del ops.exp.kernels["cuda"]


def test_the_last_backend_registered_answers_for_its_device(cuda):
    assert backend.use("cuda") is cuda
    assert backend.use("cpu") is backend.CPU
    backend.synchronize("cuda")


def test_moving_to_a_device_copies_and_the_gradient_comes_back(cuda, monkeypatch):
    moved = []
    real = backend.asarray
    monkeypatch.setattr(
        "tinygrad_ckn.ops.conversion.new_array", lambda x, device: moved.append(device) or real(x)
    )
    x = Tensor([1.0, 2.0], requires_grad=True)
    x.to("cuda").sum().backward()
    assert moved == ["cuda", "cpu"]
    assert x.grad.tolist() == [1.0, 1.0]


def test_unknown_device():
    with pytest.raises(BackendError, match="expected 'cpu' or 'cuda', got 'tpu'"):
        Tensor([1.0], device="tpu")


def test_missing_cupy_gives_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(
        BackendError, match=r"needs CuPy, which does not import; pip install -e '\.\[cuda13\]' in a"
    ):
        Tensor([1.0], device="cuda")


def fake_cupy(available):
    cupy = types.ModuleType("cupy")
    cupy.ndarray = Foreign
    cupy.asnumpy = lambda a: np.ones(3)
    stream = types.SimpleNamespace(synchronize=lambda: None)
    cupy.cuda = types.SimpleNamespace(
        is_available=lambda: available, get_current_stream=lambda: stream
    )
    return cupy


def test_cupy_without_a_gpu_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(False))
    with pytest.raises(
        BackendError, match="needs a GPU with its driver, and CuPy finds none; use device='cpu'"
    ):
        backend.use("cuda")


@pytest.fixture
def cupy(monkeypatch):
    before = dict(backend._BY_TYPE)
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(True))
    cupyx = types.ModuleType("cupyx")
    cupyx.errstate = lambda linalg: linalg
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)
    yield sys.modules["cupy"]
    backend._BY_TYPE.clear()
    backend._BY_TYPE.update(before)


def test_cupy_arrays_are_recognised_once_cupy_is_imported(cupy):
    found = backend.backend_of(Foreign())
    assert found.xp is cupy
    assert found.strict_linalg() == "raise"
    assert backend.to_numpy(Foreign()).tolist() == [1, 1, 1]
    found.synchronize()


def test_cupy_is_used_when_asked_for(cupy):
    assert backend.use("cuda").xp is cupy


def test_what_is_no_array_is_refused():
    with pytest.raises(
        DTypeError, match="expected an array or a number, got list; wrap it in Tensor"
    ):
        ops.exp([1.0])
