"""Distinct elements against NumPy."""

import math

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops

x = np.array([[3.0, 1.0, math.nan], [1.0, -0.5, math.nan]])


@pytest.mark.parametrize("name", ["unique_all", "unique_counts", "unique_inverse"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parts_agree_with_numpy(name, dtype):
    found, expected = (
        getattr(ops, name)(Tensor(x, dtype=dtype)),
        getattr(np, name)(x.astype(dtype)),
    )
    assert found._fields == expected._fields
    for a, b in zip(found, expected, strict=True):
        assert np.array_equal(a.numpy(), b, equal_nan=True)
    assert np.array_equal(ops.unique_values(x), np.unique_values(x), equal_nan=True)


def test_the_first_of_equal_elements_receives_the_gradient():
    t = Tensor([3.0, 1.0, 3.0], requires_grad=True)
    (g,) = grad((ops.unique_values(t) * np.array([10.0, 20.0])).sum(), t)
    assert g.tolist() == [20.0, 10.0, 0.0]


def test_arrays_give_arrays():
    assert all(isinstance(part, np.ndarray) for part in ops.unique_all(x))
