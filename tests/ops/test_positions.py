"""Elements taken and repeated, against NumPy."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import DTypeError, OpIndexError, ShapeError

x = np.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_take_and_repeat(axis):
    for indices in (2, [0, 2, -1], np.array([[0, 1], [2, 2]]), np.zeros(0, int), []):
        whole = np.asarray(indices, dtype=int)
        assert np.array_equal(ops.take(x, indices, axis), np.take(x, whole, axis))
    assert np.array_equal(np.take(Tensor(x), Tensor([1, 0]), axis=axis), np.take(x, [1, 0], axis))
    assert np.array_equal(ops.repeat(x, 2, axis), np.repeat(x, 2, axis))
    counts = np.arange(x.size if axis is None else x.shape[axis])
    assert np.array_equal(ops.repeat(x, counts, axis), np.repeat(x, counts, axis))


@pytest.mark.parametrize("axis", [0, 1])
def test_take_along_axis(axis):
    order = np.argsort(-x, axis=axis)
    found = ops.take_along_axis(Tensor(x), Tensor(order), axis)
    assert np.array_equal(found, np.take_along_axis(x, order, axis))
    one = order[:1] if axis == 1 else order[:, :1]
    assert np.array_equal(ops.take_along_axis(x, one, axis), np.take_along_axis(x, one, axis))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: ops.take(x, [0.5]), DTypeError, "take: expected integers as positions"),
        (lambda: ops.take(x, [3], 0), OpIndexError, "out of bounds"),
        (lambda: ops.take(x, [0], 2), ShapeError, "take: argument axis"),
        (lambda: ops.take_along_axis(x, np.array([0])), ShapeError, "indices expected 2 axes"),
        (lambda: ops.repeat(x, -1), ShapeError, "repeat: argument repeats expected integers >= 0"),
        (lambda: ops.repeat(x, [1, 2], 1), ShapeError, "one or 4, got"),
    ],
)
def test_bad_arguments_get_a_sentence(call, error, match):
    with pytest.raises(error, match=match):
        call()
