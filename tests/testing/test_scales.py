"""Inputs of any size: steps follow from the data and from the gradient."""

import numpy as np
import pytest

from tinygrad_ckn import ops
from tinygrad_ckn.backend import Array
from tinygrad_ckn.errors import (
    GradientError,
)
from tinygrad_ckn.testing import gradcheck, gradgradcheck

x = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]])


def square(xp, x: Array):
    return x * x


@pytest.mark.parametrize("scale", [1e-100, 1e-30, 1e-10, 1e10, 1e30, 1e100])
def test_any_scale_is_checked_and_a_wrong_gradient_is_found_there(op, scale):
    assert gradcheck(lambda t: t * t, scale * x, order=2)
    assert gradcheck(lambda t: 1 / t, scale * x, order=2)
    assert gradcheck(lambda t: ops.sin(t / scale), scale * x, order=2)
    with pytest.raises(GradientError, match="element"):
        gradcheck(op(square, x=lambda g, x: 2.001 * g * x), scale * x)


@pytest.mark.parametrize("scale", [1e4, 1e8, 1e12])
def test_an_output_of_large_gradient_hides_no_wrong_one(op, scale):
    wrong = op(square, x=lambda g, x: 2.001 * g * x)
    assert gradcheck(lambda t: (scale * t, t * t, t + scale), x, order=2)
    for function in (lambda t: (scale * t, wrong(t)), lambda t: [wrong(t), {"large": scale * t}]):
        with pytest.raises(GradientError, match="got"):
            gradcheck(function, x)
        with pytest.raises(GradientError, match="got"):
            gradgradcheck(function, x)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_point_that_is_not_finite_is_named(value):
    with pytest.raises(
        GradientError, match=r"argument 1 expected finite values, got .* at element \(1,\); move"
    ):
        gradcheck(lambda a, b: ops.tanh(a * b), [np.ones(2), np.array([1.0, value])])


@pytest.mark.parametrize("scale", [1e-100, 1e-30, 1e-10])
def test_inputs_too_small_to_change_anything_are_moved_further(op, scale):
    def exp(xp, x: Array):
        return xp.exp(x)

    assert gradcheck(ops.exp, scale * x, order=2)
    with pytest.raises(GradientError, match=r"expected 1(\.0*)? .* got 2"):
        gradcheck(op(exp, x=lambda g, y: 2 * g * y), scale * x)


def test_a_rule_right_at_zero_only_is_caught_at_order_2(op):
    with pytest.raises(GradientError, match="of the gradient of argument 0 expected"):
        gradgradcheck(op(square, x=lambda g, x: 2.1 * g * x), np.zeros(3))


@pytest.mark.parametrize("offset", [1e3, 1e4])
def test_values_far_above_the_derivative_hide_no_error(op, offset):
    def shifted(xp, x: Array):
        return x + offset

    assert gradcheck(lambda t: t + offset, x, order=2)
    with pytest.raises(GradientError, match="element"):
        gradcheck(op(shifted, x=lambda g: g * (1 + 1e-6)), x)
