"""Sign bits and neighbours of numbers against NumPy."""

import math

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops

x = np.array([-math.inf, -1.5, -0.0, 0.0, 1.5, math.inf, math.nan])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_agree_with_numpy(dtype):
    a, b = np.meshgrid(x.astype(dtype), x.astype(dtype))
    assert np.array_equal(ops.signbit(a), np.signbit(a))
    for name in ("copysign", "nextafter"):
        found, expected = getattr(ops, name)(a, b), getattr(np, name)(a, b)
        assert np.array_equal(found, expected, equal_nan=True)
        assert np.array_equal(np.signbit(found), np.signbit(expected))


def test_real_numbers_have_real_parts_and_are_their_own_conjugates():
    t = Tensor(x, requires_grad=True)
    for function in (np.real, np.conj, ops.real, ops.conj):
        assert np.array_equal(function(t).numpy(), x, equal_nan=True)
        assert function(t).requires_grad
    assert np.array_equal(np.imag(t).numpy(), np.zeros(7))


def test_gradient_of_copysign_follows_the_signs():
    a = Tensor([-2.0, -2.0, 0.0, 2.0], requires_grad=True)
    b = np.array([1.0, -0.0, -1.0, -1.0])
    assert grad(ops.copysign(a, b).sum(), a)[0].tolist() == [-1.0, 1.0, 0.0, -1.0]
