"""Rounding and division with remainder against NumPy."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops

x = np.array([-2.5, -1.2, -0.5, 0.0, 0.5, 1.5, 2.7])


@pytest.mark.parametrize("name", ["floor", "ceil", "round", "trunc", "positive"])
def test_values_agree_with_numpy(name):
    assert np.array_equal(getattr(ops, name)(x), getattr(np, name)(x))


@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
@pytest.mark.parametrize("divisor", [-2.0, 0.7, 3])
def test_division_agrees_with_numpy(name, divisor):
    assert np.array_equal(getattr(ops, name)(x, divisor), getattr(np, name)(x, divisor))


def test_round_takes_decimals():
    assert ops.round(np.array([1.25, 12.0]), 1).tolist() == [1.2, 12.0]
    assert ops.round(np.array([15.0, 25.0]), -1).tolist() == [20.0, 20.0]


@pytest.mark.parametrize("function", [ops.floor, ops.ceil, ops.round, ops.trunc])
def test_steps_have_the_derivative_0_at_their_edges_too(function):
    t = Tensor([0.5, 1.0], requires_grad=True)
    assert grad((function(t) + t).sum(), t)[0].tolist() == [1.0, 1.0]
