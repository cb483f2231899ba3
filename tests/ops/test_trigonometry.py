"""Angles and hyperbolic functions against NumPy, and their derivatives where a formula fails."""

import warnings

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops

inside = np.array([-1.0, -0.5, -0.0, 0.0, 0.3, 1.0])
wide = np.array([-1e30, -2.0, -0.0, 0.0, 0.5, 3.0, 1e30])
NUMPY = {
    "tan": ("tan", inside),
    "asin": ("arcsin", inside),
    "acos": ("arccos", inside),
    "atan": ("arctan", wide),
    "sinh": ("sinh", inside),
    "cosh": ("cosh", inside),
    "asinh": ("arcsinh", wide),
    "acosh": ("arccosh", 1 + abs(inside)),
    "atanh": ("arctanh", inside[1:-1]),
}


@pytest.mark.parametrize("name", NUMPY)
def test_values_agree_with_numpy(name):
    numpys, x = NUMPY[name]
    for dtype in ("float32", "float64"):
        expected = getattr(np, numpys)(x.astype(dtype))
        assert np.array_equal(getattr(ops, name)(x.astype(dtype)), expected)
        assert np.array_equal(getattr(np, numpys)(Tensor(x, dtype=dtype)).numpy(), expected)


@pytest.mark.parametrize("name", ["atan2", "hypot"])
def test_functions_of_two_agree_with_numpy(name):
    numpys = {"atan2": "arctan2"}.get(name, name)
    a, b = np.meshgrid(wide, wide)
    assert np.array_equal(getattr(ops, name)(a, b), getattr(np, numpys)(a, b))


def test_far_from_the_origin_slopes_do_not_overflow():
    a = Tensor([3e200, 3e-200], requires_grad=True)
    b = Tensor([4e200, 4e-200])
    assert np.allclose(grad(ops.hypot(a, b).sum(), a)[0].numpy(), 0.6)
    assert np.allclose(grad(ops.atan2(a, b).sum(), a)[0].numpy(), [1.6e-201, 1.6e199])
    far = Tensor([1e200], requires_grad=True)
    assert np.allclose(grad(ops.asinh(far).sum(), far)[0].numpy(), 1e-200)


@pytest.mark.parametrize("function", [ops.atan2, ops.hypot])
def test_at_the_origin_the_gradient_is_nan_and_not_a_number(function):
    a = Tensor(0.0, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert np.isnan(grad(function(a, 0.0), a)[0].numpy())
