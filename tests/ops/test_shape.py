"""Shapes and orders of axes against NumPy."""

import numpy as np
import pytest

from tinygrad_ckn import ops
from tinygrad_ckn.errors import ShapeError

x23 = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])
cube = np.arange(24.0).reshape(2, 3, 4) % 7 - 3


def test_values_agree_with_numpy():
    assert np.array_equal(ops.moveaxis(cube, 0, -1), np.moveaxis(cube, 0, -1))
    assert np.array_equal(ops.flip(cube, (0, 2)), np.flip(cube, (0, 2)))
    assert np.array_equal(ops.expand_dims(x23, (0, -1)), np.expand_dims(x23, (0, -1)))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda: ops.expand_dims(x23, 5),
            "expand_dims: argument axis expected distinct axes of 3, got 5",
        ),
        (lambda: ops.expand_dims(x23, (0, 0)), "distinct axes"),
        (lambda: ops.squeeze(x23, 0), "axes of size 1, got 0"),
        (lambda: ops.squeeze(x23[:1], 2), "squeeze: argument axis"),
        (lambda: ops.sum_to(x23, (3, 3)), r"broadcasts to x's \(2, 3\), got \(3, 3\)"),
    ],
)
def test_arguments_out_of_range_are_named_in_the_error(call, match):
    with pytest.raises(ShapeError, match=match):
        call()
