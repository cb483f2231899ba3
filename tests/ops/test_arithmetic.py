"""Arithmetic at its special points; test_cases.py checks the gradients elsewhere."""

import math

import numpy as np
from hypothesis import given

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.testing.strategies import arrays

x23 = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])


def test_power_at_zero():
    x = Tensor([0.0, 2.0], requires_grad=True)
    assert grad((x**0).sum(), x)[0].tolist() == [0, 0]
    assert grad((x**1).sum(), x)[0].tolist() == [1, 1]
    (g,) = grad((x**2).sum(), x, create_graph=True)
    assert grad(g.sum(), x)[0].tolist() == [2, 2]
    b = Tensor([2.0, 3.0], requires_grad=True)
    assert np.allclose(grad(ops.power(x, b).sum(), b)[0].numpy(), [0, 8 * math.log(2)])
    assert (Tensor([2.0], dtype="float32", requires_grad=True) ** 3).dtype == "float32"


def test_mixed_second_derivatives_of_power_agree_at_exponent_zero():
    a, b = Tensor(2.0, requires_grad=True), Tensor(0.0, requires_grad=True)
    ga, gb = grad(a**b, [a, b], create_graph=True)
    assert grad(ga, b, retain_graph=True)[0].item() == grad(gb, a)[0].item() == 0.5


@given(arrays(3, 1))
def test_comparisons_return_booleans_without_gradient(x):
    y = Tensor(x, requires_grad=True) > 0
    assert y.dtype == bool
    assert not y.requires_grad


def test_negative_agrees_with_numpy():
    assert np.array_equal(ops.negative(x23), np.negative(x23))
