"""Sorting and searching against NumPy; ties, NaN and gradients."""

import math

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import ShapeError

x = np.array([[3.0, 1.0, math.nan, 1.0], [0.0, -1.0, 5.0, -1.0]])


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_ascending_order_agrees_with_numpy(axis):
    expected = np.argsort(x, axis=axis, kind="stable")
    assert np.array_equal(ops.argsort(x, axis), expected)
    assert np.array_equal(ops.sort(x, axis), np.sort(x, axis=axis), equal_nan=True)
    assert np.array_equal(np.argsort(Tensor(x), axis=axis, kind="stable"), expected)


def test_descending_order_keeps_the_order_of_equal_elements():
    assert ops.argsort(x[0], descending=True).tolist() == [2, 0, 1, 3]
    assert ops.sort(Tensor([1, 3, 2]), descending=True).tolist() == [3, 2, 1]


def test_gradients_of_sorted_elements_go_where_they_came_from():
    t = Tensor([3.0, 1.0, 1.0], requires_grad=True)
    (g,) = grad((ops.sort(t) * np.array([10.0, 20.0, 30.0])).sum(), t)
    assert g.tolist() == [30.0, 10.0, 20.0]


def test_search():
    steps = np.array([1.0, 2.0, 2.0, 4.0])
    values = np.array([[0.0, 2.0], [3.0, 9.0]])
    for side in ("left", "right"):
        expected = np.searchsorted(steps, values, side=side)
        assert np.array_equal(ops.searchsorted(steps, values, side), expected)
        assert np.array_equal(np.searchsorted(Tensor(steps), Tensor(values), side), expected)
    order = np.array([3, 1, 2, 0])
    found = ops.searchsorted(steps[order], values, sorter=np.argsort(steps[order], kind="stable"))
    assert np.array_equal(found, np.searchsorted(steps, values))
    with pytest.raises(ShapeError, match="searchsorted"):
        ops.searchsorted(steps, values, "middle")


def test_counts_and_places_of_nonzeros():
    assert np.array_equal(ops.count_nonzero(x, axis=1), np.count_nonzero(x, axis=1))
    assert ops.count_nonzero(Tensor(x), keepdims=True).tolist() == [[7]]
    for found, expected in zip(ops.nonzero(Tensor(x)), np.nonzero(x), strict=True):
        assert isinstance(found, Tensor)
        assert np.array_equal(found, expected)
    with pytest.raises(ShapeError, match="nonzero"):
        ops.nonzero(Tensor(1.0))


def test_elements_among_others():
    for invert in (False, True):
        expected = np.isin(x, [1.0, 5.0], invert=invert)
        assert np.array_equal(ops.isin(Tensor(x), np.array([1.0, 5.0]), invert=invert), expected)


def test_results_have_no_gradient():
    t = Tensor(x, requires_grad=True)
    for result in (ops.argsort(t), ops.count_nonzero(t), *ops.nonzero(t)):
        assert not result.requires_grad
