"""Tensors made of shapes and numbers, against NumPy."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import BackendError, DTypeError, ShapeError

CALLS = {
    "zeros": [((2, 3),), (2,), ((),)],
    "ones": [((2, 3),), (2,), ((0, 1),)],
    "eye": [(3,), (2, 4)],
    "arange": [(5,), (1.0, 2.0, 0.25), (5, 0, -2), (0,)],
    "linspace": [(0, 1, 5), (3.0, -1.0, 1), (0, 1, 0)],
    "full": [((2, 2), 3), (2, 0.5), ((), True)],
}


@pytest.mark.parametrize(("name", "args"), [(n, a) for n, calls in CALLS.items() for a in calls])
def test_values_and_dtypes_agree_with_numpy(name, args):
    found, expected = getattr(ops, name)(*args), getattr(np, name)(*args)
    assert isinstance(found, Tensor)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)
    assert getattr(ops, name)(*args, dtype="float32").dtype == "float32"


def test_options():
    assert np.array_equal(ops.eye(3, k=1), np.eye(3, k=1))
    assert ops.linspace(0, 1, 4, endpoint=False).tolist() == [0.0, 0.25, 0.5, 0.75]
    assert ops.arange(stop=3, start=1).tolist() == [1, 2]


def test_the_like_of_an_array():
    t = Tensor([[1, 2]], dtype="int8")
    for name in ("zeros_like", "ones_like", "empty_like"):
        made = getattr(ops, name)(t)
        assert (made.shape, made.dtype) == ((1, 2), "int8")
        assert getattr(np, name)(t, dtype="float32").dtype == "float32"
    assert ops.full_like(t, 7).tolist() == [[7, 7]]
    assert isinstance(np.zeros_like(t), Tensor)


def test_full_passes_gradients_to_its_value():
    value = Tensor(2.0, requires_grad=True)
    assert grad(ops.full((2, 3), value).sum(), value)[0].item() == 6.0


def test_asarray_keeps_tensors_and_their_graph():
    t = Tensor([1.0], requires_grad=True)
    assert ops.asarray(t) is t
    copied = ops.asarray(t, copy=True)
    assert copied is not t
    assert grad(copied.sum(), t)[0].tolist() == [1.0]
    assert grad(ops.asarray(t, dtype="float32").sum(), t)[0].dtype == "float64"


def test_asarray_copies_arrays_unless_they_are_to_be_shared():
    array = np.ones(2)
    assert not np.shares_memory(ops.asarray(array).data, array)
    assert ops.asarray(array, copy=False).data is array
    assert ops.asarray([1, 2.5]).dtype == "float64"
    assert ops.asarray(True).dtype == "bool"


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: ops.zeros(-1), ShapeError, "zeros: "),
        (lambda: ops.ones("ab"), DTypeError, "ones: "),
        (lambda: ops.eye(2, dtype="complex64"), DTypeError, "eye: .*real dtype, got complex64"),
        (lambda: ops.arange(0, 1, 0), ShapeError, "arange: "),
        (lambda: ops.linspace(0, 1, -1), ShapeError, "linspace: "),
        (lambda: np.linspace(Tensor(0.0), 1, 3), DTypeError, "linspace: expected numbers, got a T"),
        (lambda: ops.full((2,), np.ones(3)), ShapeError, "broadcast_to: "),
        (lambda: ops.asarray([1.0], copy=False), ShapeError, "asarray: copy=False .* got list"),
        (lambda: ops.asarray(Tensor(1.0), dtype="int8", copy=False), ShapeError, "copy=False"),
        (lambda: ops.asarray("text"), DTypeError, "expected numbers"),
        (lambda: ops.zeros(2, device="tpu"), BackendError, "device: expected 'cpu' or 'cuda'"),
    ],
)
def test_bad_arguments_get_a_sentence(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_arrays_of_tensors_keep_the_graph_of_each():
    a, b = Tensor(2.0, requires_grad=True), Tensor([3.0, 4.0], requires_grad=True)
    for make in (ops.array, ops.asarray):
        y = make([[a, 1.0], [b[0], b[1]]])
        assert y.tolist() == [[2.0, 1.0], [3.0, 4.0]]
        slopes = grad((y * np.array([[10.0, 20.0], [30.0, 40.0]])).sum(), [a, b])
        assert [g.tolist() for g in slopes] == [10.0, [30.0, 40.0]]
    assert ops.array([Tensor(1.0), 2], dtype="float32").dtype == "float32"
    assert ops.array(b) is not b
    assert ops.array(b, copy=False) is b
