"""Exponents, logarithms and reciprocals against NumPy; infinities in logaddexp."""

import math

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops

x = np.array([0.25, 1.0, 3.0, 1000.0])


@pytest.mark.parametrize("name", ["exp2", "log2", "log10", "reciprocal"])
def test_values_agree_with_numpy(name):
    for dtype in ("float32", "float64"):
        values = x[:3].astype(dtype)
        found = getattr(ops, name)(values)
        assert found.dtype == dtype
        assert np.array_equal(found, getattr(np, name)(values))


def test_reciprocals_of_integers_are_not_rounded():
    assert ops.reciprocal(Tensor([2, 4])).tolist() == [0.5, 0.25]


def test_logaddexp_agrees_with_numpy():
    a, b = np.meshgrid(np.array([-math.inf, -3.0, 0.0, 800.0, math.inf]), x)
    assert np.array_equal(ops.logaddexp(a, b), np.logaddexp(a, b))


@pytest.mark.parametrize(
    ("a", "b", "shares"),
    [
        (0.0, 0.0, (0.5, 0.5)),
        (-math.inf, -math.inf, (0.5, 0.5)),
        (math.inf, math.inf, (0.5, 0.5)),
        (-math.inf, 1.0, (0.0, 1.0)),
        (math.inf, 1.0, (1.0, 0.0)),
        (800.0, 0.0, (1.0, 0.0)),
    ],
)
def test_infinities_share_the_gradient_of_logaddexp(a, b, shares):
    points = [Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)]
    slopes = grad(ops.logaddexp(*points), points)
    assert [slope.item() for slope in slopes] == list(shares)


def test_second_derivatives_of_logaddexp_at_a_tie():
    a, b = (Tensor(0.0, requires_grad=True) for _ in range(2))
    (first,) = grad(ops.logaddexp(a, b), a, create_graph=True)
    assert [g.item() for g in grad(first, [a, b])] == [0.25, -0.25]
