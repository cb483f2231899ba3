"""Maximum pooling against a search of every window, ties and NaN included."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.ops.max_pool import gather_at_maxima, scatter_to_maxima


def search(x: np.ndarray, kernel: int, stride: int, padding: int) -> np.ndarray:
    """Return the flat index, in the padded image, of the first maximum of each window."""
    pads = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(x, pads, constant_values=-np.inf)
    n, c, height, width = padded.shape
    ho, wo = (height - kernel) // stride + 1, (width - kernel) // stride + 1
    found = np.zeros((n, c, ho, wo), int)
    for i in range(ho):
        for j in range(wo):
            top, left = i * stride, j * stride
            window = padded[:, :, top : top + kernel, left : left + kernel].reshape(n, c, -1)
            row, column = np.divmod(window.argmax(axis=2), kernel)
            found[:, :, i, j] = (top + row) * width + left + column
    return found


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(3, 7), st.integers(3, 7)),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 4),
    padded=st.booleans(),
    undefined=st.booleans(),
    seed=st.integers(0, 99),
)
def test_values_and_gradients_are_at_the_first_maximum(
    shape: tuple[int, ...], kernel: int, stride: int, padded: bool, undefined: bool, seed: int
):
    rng = np.random.default_rng(seed)
    # Many ties.
    x = rng.integers(0, 4, shape).astype(np.float64)
    if undefined:
        x[rng.random(shape) < 0.1] = np.nan
    padding = kernel // 2 if padded else 0
    where = search(x, kernel, stride, padding)
    wide = np.pad(
        x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=-np.inf
    )
    flat = wide.reshape(*shape[:2], -1)
    leaf = Tensor(x, requires_grad=True)
    y = ops.max_pool2d(leaf, kernel, stride, padding)
    expected = np.take_along_axis(flat, where.reshape(*shape[:2], -1), 2).reshape(where.shape)
    np.testing.assert_array_equal(y.numpy(), expected)
    g = rng.standard_normal(y.shape)
    (found,) = grad(y, leaf, gradient=g)
    sums = np.zeros_like(flat)
    for n, c in np.ndindex(*shape[:2]):
        np.add.at(sums[n, c], where[n, c].ravel(), g[n, c].ravel())
    sums = sums.reshape(wide.shape)
    inside = (slice(padding, wide.shape[2] - padding), slice(padding, wide.shape[3] - padding))
    np.testing.assert_allclose(found.numpy(), sums[(..., *inside)], rtol=1e-12, atol=1e-15)


def test_a_gradient_that_is_nan_reaches_the_maximum_only():
    x = Tensor([[[[1.0, 3.0], [5.0, 7.0]]]], requires_grad=True)
    (found,) = grad(ops.max_pool2d(x, 2), x, gradient=[[[[np.nan]]]])
    np.testing.assert_array_equal(found.numpy(), [[[[0, 0], [0, np.nan]]]])


def test_the_adjoints_are_adjoint():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 7, 6))
    y = ops.max_pool2d(x, 3, 2, 1)
    g, v = rng.standard_normal(y.shape), rng.standard_normal(x.shape)
    there = (scatter_to_maxima(g, x, y, 3, 2, 1) * v).sum()
    back = (gather_at_maxima(v, x, y, 3, 2, 1) * g).sum()
    assert there == pytest.approx(back, rel=1e-12)
