"""NumPy's ways of joining, against NumPy."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import DTypeError, ShapeError

row, matrix, number = np.array([1.0, 2.0]), np.array([[3.0, 4.0], [5.0, 6.0]]), np.array(7.0)


@pytest.mark.parametrize("name", ["vstack", "hstack", "column_stack"])
@pytest.mark.parametrize(
    "arrays", [(row, row), (matrix, matrix), (number, number), (matrix,)], ids=range(4)
)
def test_joins_agree_with_numpy(name, arrays):
    expected = getattr(np, name)(arrays)
    tensors = [Tensor(a, requires_grad=True) for a in arrays]
    for found in (getattr(ops, name)(tensors), getattr(np, name)(tensors)):
        assert np.array_equal(found.numpy(), expected)
        assert found.requires_grad


def test_rows_below_matrices_and_columns_beside_them():
    assert np.array_equal(ops.vstack([matrix, row]), np.vstack([matrix, row]))
    assert np.array_equal(ops.column_stack([row, matrix]), np.column_stack([row, matrix]))
    for axis in (None, 0):
        found = ops.append(Tensor(matrix), matrix[:1], axis)
        assert np.array_equal(found, np.append(matrix, matrix[:1], axis))


def test_at_least_some_axes():
    for name in ("atleast_1d", "atleast_2d"):
        for x in (number, row, matrix):
            assert getattr(ops, name)(x).shape == getattr(np, name)(x).shape
            assert getattr(np, name)(Tensor(x)).shape == getattr(np, name)(x).shape


def test_bad_arguments_get_a_sentence():
    with pytest.raises(ShapeError, match="concatenate"):
        ops.vstack([row, np.ones(3)])
    with pytest.raises(DTypeError, match="hstack: expected a sequence of arrays"):
        ops.hstack(3)
    with pytest.raises(DTypeError, match="atleast_2d: argument x expected an array"):
        ops.atleast_2d([1.0])
