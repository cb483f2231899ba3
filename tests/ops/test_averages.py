"""Weighted means, numbers in place of NaN, and comparisons, against NumPy."""

import math

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import ShapeError

x = np.arange(6.0).reshape(2, 3)
special = np.array([1.0, math.nan, math.inf, -math.inf])


@pytest.mark.parametrize(
    ("axis", "weights"),
    [(None, None), (0, None), (None, x + 1), (1, x + 1), (1, np.array([1.0, 0.0, 3.0]))],
    ids=range(5),
)
def test_weighted_means(axis, weights):
    expected = np.average(x, axis, weights)
    assert np.allclose(ops.average(x, axis, weights), expected)
    assert np.allclose(np.average(Tensor(x), axis, weights).numpy(), expected)


def test_weights_of_another_shape_are_refused():
    with pytest.raises(ShapeError, match=r"argument weights expected the shape \(2, 3\) of x"):
        ops.average(x, weights=np.ones(3))


def test_numbers_in_place_of_nan_and_infinities():
    for dtype in ("float32", "float64"):
        values = special.astype(dtype)
        assert np.array_equal(ops.nan_to_num(values), np.nan_to_num(values))
        t = Tensor(values, requires_grad=True)
        found = np.nan_to_num(t, nan=2.0, posinf=3.0, neginf=-3.0)
        assert found.tolist() == [1.0, 2.0, 3.0, -3.0]
        assert grad(found.sum(), t)[0].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert ops.nan_to_num(np.array([1, 2])).tolist() == [1, 2]


def test_comparisons_up_to_rounding():
    other = special * (1 + 1e-7)
    for options in ({}, {"equal_nan": True}, {"rtol": 0.0, "atol": 1e-9}):
        assert np.array_equal(
            ops.isclose(special, other, **options), np.isclose(special, other, **options)
        )
        for f in ("allclose", "isclose"):
            expected = getattr(np, f)(special, other, **options)
            for first in (special, Tensor(special)):
                assert np.array_equal(getattr(ops, f)(first, other, **options), expected)
    assert ops.array_equal(x, Tensor(x))
    assert not ops.array_equal(x, x[:1])
    assert np.allclose(Tensor(x), x.tolist())
