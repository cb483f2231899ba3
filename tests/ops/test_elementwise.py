"""Values and derivatives of elementwise functions; test_cases.py checks their gradients too."""

import math

import numpy as np
import pytest
import scipy.special

from tinygrad_ckn import Tensor, grad, ops

x23 = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])


def test_sigmoid_is_accurate_far_from_zero():
    for dtype, x in (("float64", -40.0), ("float32", -17.0)):
        t = Tensor(x, dtype=dtype, requires_grad=True)
        assert math.isclose(ops.sigmoid(t).item(), scipy.special.expit(x), rel_tol=1e-6)
        assert math.isclose(
            grad(ops.sigmoid(-t), t)[0].item(), -scipy.special.expit(x), rel_tol=1e-6
        )
    assert math.isclose(
        grad(ops.softplus(t), t)[0].item(), scipy.special.expit(-17.0), rel_tol=1e-6
    )


def test_the_gradient_of_relu_at_nan_is_one():
    x = Tensor([np.nan, -1.0, 0.0, 1.0], requires_grad=True)
    assert grad(ops.relu(x).sum(), x)[0].tolist() == [1.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("name", ["exp", "square", "abs", "sign", "sin", "cos", "tanh"])
def test_values_agree_with_numpy(name):
    assert np.array_equal(getattr(ops, name)(x23), getattr(np, name)(x23))


def test_values_agree_with_scipy():
    assert np.allclose(ops.sigmoid(50 * x23), scipy.special.expit(50 * x23))
    assert np.allclose(ops.softplus(400 * x23), np.logaddexp(0, 400 * x23))
    assert np.array_equal(ops.relu(x23), np.where(x23 > 0, x23, 0))
