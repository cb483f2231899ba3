"""Limits that are numbers and arrays, against NumPy."""

import math

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import ConfigError, DTypeError, ShapeError

x = np.array([[-2.0, -0.5, math.nan], [0.5, 1.0, 3.0]])
low = np.array([-1.0, 0.0, 1.0])
high = np.array([[0.0], [2.0]])


@pytest.mark.parametrize(
    "bounds",
    [
        (None, None),
        (-1, None),
        (None, 1),
        (-1.0, 1.0),
        (low, None),
        (None, high),
        (low, 5),
        (low, high + 1),
        (np.zeros((3, 1, 1)), None),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_agree_with_numpy(bounds, dtype):
    found = ops.clip(Tensor(x, dtype=dtype), *bounds)
    assert found.dtype == dtype
    assert np.allclose(found.numpy(), np.clip(x, *bounds), equal_nan=True)
    for a, b in ((ops.clip(x, a_min=bounds[0], a_max=bounds[1]), ops.clip(x, *bounds)),):
        assert np.array_equal(a, b, equal_nan=True)


def test_bounds_beyond_which_x_lies_receive_the_gradient():
    t = Tensor([-2.0, 0.0, 1.0], requires_grad=True)
    bound = Tensor(0.0, requires_grad=True)
    slopes = grad(ops.clip(t, bound, 1.0).sum(), [t, bound])
    assert [g.tolist() for g in slopes] == [[0.0, 1.0, 1.0], 1.0]


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: ops.clip(x, 1, 0), ShapeError, "a_min <= a_max, got 1 and 0"),
        (lambda: ops.clip(x, 0, a_min=0), ConfigError, "a_min or min, got both"),
        (lambda: ops.clip(x, "0"), DTypeError, "numbers or arrays as bounds"),
        (lambda: ops.clip(x, np.ones(2)), ShapeError, "clip: .*broadcast"),
    ],
)
def test_bad_bounds_get_a_sentence(call, error, match):
    with pytest.raises(error, match=match):
        call()
