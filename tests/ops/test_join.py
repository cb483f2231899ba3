"""Padding, joining and cutting against NumPy."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import ShapeError

x23 = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])
cube = np.arange(24.0).reshape(2, 3, 4) % 7 - 3


def test_pad_widths_agree_with_numpy():
    for width in (1, (1,), (1, 2), ((1, 2),), ((0, 1), (2, 0))):
        assert np.array_equal(ops.pad(x23, width), np.pad(x23, width)), width


def test_concatenate_without_an_axis_flattens():
    x = Tensor(x23, requires_grad=True)
    y = ops.concatenate([x, np.ones(2)], axis=None)
    assert np.array_equal(y.numpy(), np.concatenate([x23, np.ones(2)], axis=None))
    assert grad(y.sum(), x)[0].shape == (2, 3)


def test_values_agree_with_numpy():
    widths = ((0, 1), (2, 0), (1, 1))
    assert np.array_equal(ops.pad(cube, widths), np.pad(cube, widths))
    assert np.array_equal(ops.stack([x23, x23], axis=-1), np.stack([x23, x23], axis=-1))
    assert np.array_equal(ops.concatenate([x23, x23], axis=1), np.concatenate([x23, x23], axis=1))
    for ours, theirs in zip(ops.split(cube, 2, axis=2), np.split(cube, 2, axis=2), strict=True):
        assert np.array_equal(ours, theirs)
    assert [p.shape for p in ops.split(np.ones((0, 2)), 3)] == [(0, 2)] * 3


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: ops.split(x23, 2, axis=1), "divides the length 3 of axis 1, got 2"),
        (lambda: ops.split(x23, 0), "sections"),
        (lambda: ops.split(x23, -2), "sections"),
        (lambda: ops.pad(x23, (1, 2, 3)), "pairs"),
    ],
)
def test_arguments_out_of_range_are_named_in_the_error(call, match):
    with pytest.raises(ShapeError, match=match):
        call()
