"""Layouts in memory: inputs keep theirs, and rules are tried with others."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.backend import Array
from tinygrad_ckn.errors import (
    GradientError,
)
from tinygrad_ckn.testing import gradcheck

x = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]])


def square(xp, x: Array):
    return x * x


def broken_unless_contiguous(array):
    return 1.0 if (array.data if isinstance(array, Tensor) else array).flags.c_contiguous else 0.5


LAYOUTS = {
    "columns": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "reversed": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "rows": lambda a: np.repeat(a, 3, axis=0)[::3],
    "broadcast": lambda a: np.broadcast_to(a[:, :1], a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_inputs_keep_their_layout(layout, dtype):
    seen = []
    given = LAYOUTS[layout](x.astype(dtype))
    step = np.dtype(dtype).itemsize

    def look(t):
        seen.append(t.data)
        return t * 1

    gradcheck(look, given)
    first = seen[0]
    assert np.array_equal(first, given)
    assert np.array_equal(np.sign(first.strides), np.sign(given.strides))
    assert np.array_equal(np.argsort(np.abs(first.strides)), np.argsort(np.abs(given.strides)))
    assert (min(abs(s) for s in first.strides if s) > 8) == (
        min(abs(s) for s in given.strides if s) > step
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_rule_that_is_wrong_for_a_layout_is_caught_whatever_the_layout_given(op, layout):
    wrong = op(square, x=lambda g, x: 2 * g * x * broken_unless_contiguous(x))
    with pytest.raises(GradientError, match="element"):
        gradcheck(wrong, LAYOUTS[layout](x))
    with pytest.raises(GradientError, match="with inputs that are strided in memory"):
        gradcheck(wrong, x)


def test_upstream_gradients_that_are_strided_or_expanded_are_tried(op):
    with pytest.raises(
        GradientError,
        match="with a strided upstream gradient; a rule must not depend on the layout",
    ):
        gradcheck(op(square, x=lambda g, x: 2 * g * x * broken_unless_contiguous(g)), x)
    with pytest.raises(GradientError, match="with an expanded upstream gradient"):
        gradcheck(op(square, x=lambda g, x: 2 * g * x * (0.5 if 0 in g.strides else 1)), x)


def test_gradients_in_float32_are_told(op):
    with pytest.raises(
        GradientError, match="expected the precision of float64, got float32 numbers"
    ):
        gradcheck(op(square, x=lambda g, x: (2 * g * x).astype("float32")), x)
