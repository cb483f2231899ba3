"""Reading and adding by index."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import OpIndexError

x23 = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])


def test_indices_may_be_tensors():
    x = Tensor(x23, requires_grad=True)
    assert x[Tensor([1, 0])].tolist() == x23[[1, 0]].tolist()
    assert x[x > 0].tolist() == x23[x23 > 0].tolist()
    assert x[0, Tensor([1])].tolist() == [-2.0]


def test_a_tensor_as_index_gives_the_gradients_of_an_array():
    x = Tensor(np.arange(8.0).reshape(4, 2), requires_grad=True)
    numbers = np.array([0, 2, 0])
    for index in (Tensor(numbers), (Tensor(numbers), 1), (Tensor(numbers), Tensor(numbers) * 0)):
        plain = tuple(
            i.numpy() if isinstance(i, Tensor) else i
            for i in (index if isinstance(index, tuple) else [index])
        )
        found = [
            grad((ops.index_add(x * x, i, x[i] ** 2) ** 2).sum(), x, create_graph=create)[0].numpy()
            for i in (index, plain)
            for create in (False, True)
        ]
        assert all(np.array_equal(found[0], other) for other in found[1:])


def test_index_add_counts_repeated_positions():
    y = ops.index_add(np.zeros(3), np.array([0, 0, 2]), np.array([1.0, 2.0, 4.0]))
    assert y.tolist() == [3, 0, 4]
    x = np.zeros((2, 2))
    ops.index_add(x, (0, slice(None)), 1.0)
    assert not x.any()


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, lambda x: x[:, ::-1]])
@pytest.mark.parametrize("numbers", ["int64", "int8", "uint8"])
def test_rows_are_added_in_numpys_order(numbers: str, layout):
    rng = np.random.default_rng(0)
    x = layout(rng.standard_normal((7, 3, 5)).astype("float32"))
    rows = rng.integers(0, 7, (4, 40)).astype(numbers)
    if numbers != "uint8":
        rows[0, :5] -= 7
    for values in (rng.standard_normal((4, 40, 3, 5)).astype("float32"), np.float32(0.1)):
        expected = x.copy()
        np.add.at(expected, rows, values)
        np.testing.assert_array_equal(ops.index_add(x, rows, values), expected)


def test_no_rows_and_rows_without_elements():
    assert ops.index_add(np.ones((2, 3)), np.zeros(0, int), 1.0).tolist() == [[1.0] * 3] * 2
    assert ops.index_add(np.ones((2, 0)), np.array([1, 1]), 1.0).shape == (2, 0)


@pytest.mark.parametrize("row", [2, -3])
def test_a_row_out_of_range_is_named(row: int):
    with pytest.raises(OpIndexError, match=f"index {row} is out of bounds for axis 0 with size 2"):
        ops.index_add(np.ones((2, 3)), np.array([0, row]), 1.0)
