"""Reductions against NumPy."""

import numpy as np
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, grad, ops

cube = np.arange(24.0).reshape(2, 3, 4) % 7 - 3


def test_means_of_many_float16_elements_have_nonzero_gradients():
    x = Tensor(np.ones(70_000, dtype="float16"), requires_grad=True)
    assert (grad(x.mean(), x)[0].numpy() > 0).all()


@given(st.sampled_from([None, 0, 1, 2, -1, (0, 2), (1, -1), ()]), st.booleans())
def test_axes_agree_with_numpy(axis, keepdims):
    for name in ("sum", "mean", "var", "max", "min"):
        expected = getattr(np, name)(cube, axis=axis, keepdims=keepdims)
        assert np.allclose(getattr(ops, name)(cube, axis=axis, keepdims=keepdims), expected), name
    for ours, expected in (
        (ops.logsumexp, scipy.special.logsumexp(cube, axis=axis, keepdims=keepdims)),
        (ops.norm, np.sqrt(np.square(cube).sum(axis=axis, keepdims=keepdims))),
    ):
        assert np.allclose(ours(cube, axis=axis, keepdims=keepdims), expected)


def test_positions_of_extremes_agree_with_numpy():
    assert ops.argmax(cube, axis=1).tolist() == np.argmax(cube, axis=1).tolist()
    assert ops.argmin(cube) == np.argmin(cube)
