"""Indices on the stand-in for CuPy: CuPy wraps those out of range, the library does not."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import OpIndexError
from tools.gpu_emulator.standin import COUNTERS

pytestmark = pytest.mark.usefixtures("plain")
X = np.arange(24.0).reshape(2, 3, 4)


def on(device, index):
    """Return an index with its arrays on a device."""
    if isinstance(index, tuple):
        return tuple(on(device, part) for part in index)
    return Tensor(index, device=device) if isinstance(index, np.ndarray) else index


def read(device, index, x=X):
    return Tensor(x, device=device)[on(device, index)]


def added(device, index, x=X):
    return ops.index_add(
        Tensor(x, device=device), on(device, index), Tensor(np.ones(1, x.dtype), device=device)
    )


each = pytest.mark.parametrize("call", [read, added])


@each
@pytest.mark.parametrize(
    "index",
    [
        np.array([1, 0, -2, 1]),
        (slice(None), np.array([2, -3], "int8")),
        (..., np.array([[3, -4], [0, 0]])),
        (None, np.array([1], "uint8"), ..., np.array([3])),
        (np.array([True, False]), np.array([2])),
        (..., np.array([[True, False, True, False]] * 3), None),
        (np.array([], int), [0]),
        ([1, 0], slice(0, 2), [3, -4]),
        ([True, False], 1, np.array([0])),
        -1,
    ],
)
def test_within_range_it_is_as_on_the_cpu(call, index):
    np.testing.assert_array_equal(call("cuda", index).numpy(), call("cpu", index).numpy())


@each
@pytest.mark.parametrize(
    "index",
    [
        np.array([0, 2]),
        np.array([-3, 0]),
        (..., np.array([4])),
        (np.array([1]), None, np.array([3])),
    ],
)
def test_out_of_range_on_the_device_it_is_nan_without_waiting(call, index):
    with pytest.raises(OpIndexError, match="out of bounds"):
        call("cpu", index)
    COUNTERS.clear()
    found = call("cuda", index)
    assert COUNTERS.synchronisations == []
    assert np.isnan(found.numpy()).all()
    with pytest.raises(OpIndexError, match="out of bounds"):
        call("cuda", index, X.astype("int64"))


def test_its_gradient_is_nan():
    x = Tensor(X, requires_grad=True, device="cuda")
    (gradient,) = grad(x[Tensor([0, 2], device="cuda")].sum(), x)
    assert np.isnan(gradient.numpy()).all()


@each
@pytest.mark.parametrize(("index", "axis"), [([0, 2], 0), ((0, [-4]), 1), ((..., [[4]]), 2)])
def test_out_of_range_on_the_host_it_is_refused(call, index, axis):
    length = X.shape[axis]
    with pytest.raises(
        OpIndexError, match=f"an index is out of bounds for axis {axis} with size {length}; got x: "
    ):
        call("cuda", index)


@each
def test_of_an_axis_of_length_0_there_is_nothing(call):
    with pytest.raises(OpIndexError, match="out of bounds for axis 0 with size 0"):
        call("cuda", np.array([0]), np.zeros((0, 2)))
