"""Truth values and bits against NumPy."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops

x = np.array([0.0, 1.0, np.nan, np.inf, -np.inf, -2.0])
integers = np.arange(-3, 5)
booleans = np.array([True, False, True, False, True, True, False, False])


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite", "logical_not", "any", "all"])
def test_functions_of_one_array_agree_with_numpy(name):
    assert np.array_equal(getattr(ops, name)(x), getattr(np, name)(x))


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor"])
@pytest.mark.parametrize(("a", "b"), [(integers, integers[::-1]), (booleans, booleans[::-1])])
def test_bits_agree_with_numpy(name, a, b):
    assert np.array_equal(getattr(ops, name)(a, b), getattr(np, name)(a, b))
    assert np.array_equal(ops.invert(a), np.invert(a))


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_xor"])
def test_truth_values_agree_with_numpy(name):
    assert np.array_equal(getattr(ops, name)(x, x[::-1]), getattr(np, name)(x, x[::-1]))


def test_results_have_no_gradient():
    assert not ops.isnan(Tensor(x, requires_grad=True)).requires_grad


def test_shifts_agree_with_numpy():
    places = np.arange(8) % 3
    assert np.array_equal(ops.bitwise_left_shift(integers, places), integers << places)
    assert np.array_equal(ops.bitwise_right_shift(integers, places), integers >> places)
