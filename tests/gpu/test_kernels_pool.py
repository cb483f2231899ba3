"""Gaussian pooling and its adjoint on the device against its formula in NumPy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.cuda import pool
from tools.gpu_emulator.kernel_testing import (
    agree,
    dtypes,
    examples,
    launched_often,
    normal,
    on_gpu,
    seeds,
)

pytestmark = pytest.mark.usefixtures("compiler", "standin")

subsamplings = st.one_of(st.sampled_from([1.0, 1.5, 2.0, 3.0, 4.0, 8.0]), st.floats(1, 9))


def matrix(length, s):
    """Return exp(-(z - i s)^2 / s^2) where |z - i s| <= s, normalised on an endless axis."""
    centres = np.arange(math.floor((length - 1) / s + 1e-9) + 1)[:, None] * s
    z = np.arange(-math.ceil(s) - 1, length + math.ceil(s) + 2)
    weights = np.where(np.abs(z - centres) <= s + 1e-9, np.exp(-(((z - centres) / s) ** 2)), 0)
    if s == 1:
        weights = (z == np.round(centres)).astype("float64")
    return (weights / weights.sum(axis=1, keepdims=True))[:, (z >= 0) & (z < length)]


@pytest.mark.untraced
def test_pooling_and_its_adjoint():
    @examples
    @given(
        *(st.integers(1, 2), st.integers(1, 3), st.tuples(st.integers(1, 40), st.integers(1, 40))),
        *(st.tuples(subsamplings, subsamplings), dtypes, seeds),
    )
    def run(n, c, size, s, dtype, seed):
        rows, columns = matrix(size[0], s[0]), matrix(size[1], s[1])
        x, g = normal(seed, (n, c, *size), (n, c, len(rows), len(columns)), dtype=dtype)
        agree(on_gpu(ops.gaussian_pool2d, x, s, dtype=dtype), rows @ x @ columns.T)
        agree(on_gpu(ops.gaussian_unpool2d, g, size, s, dtype=dtype), rows.T @ g @ columns)

    run()
    launched_often("banded")


def test_more_than_one_tile_and_rows_of_several_images():
    rows, columns = matrix(70, 1.3), matrix(150, 2)
    (x,) = normal(3, (2, 2, 70, 150))
    agree(on_gpu(ops.gaussian_pool2d, x, (1.3, 2)), rows @ x @ columns.T)


def test_rows_that_do_not_fit_shared_memory_use_matrix_products(monkeypatch):
    monkeypatch.setattr(pool, "SHARED_BYTES", 100)
    (x,) = normal(3, (1, 1, 9, 12))
    agree(on_gpu(ops.gaussian_pool2d, x, 2), matrix(9, 2) @ x @ matrix(12, 2).T)


def test_a_band_is_its_matrix():
    host = np.array([[1.0, 2, 0, 0, 0], [0, 3, 0, 4, 0], [0, 0, 0, 5, 0], [0, 0, 0, 6, 7]])
    band = pool.band_of(np, host)
    assert (band.taps, band.wide, band.span) == (3, 4, 5)
    again = np.zeros(host.shape)
    for i, start in enumerate(band.starts):
        again[i, start : start + band.taps] = band.weights[:, i]
    assert np.array_equal(again, host)


@pytest.mark.parametrize("s", [2, 1.5, (3, 2)])
def test_a_nonfinite_pixel_reaches_only_where_it_has_a_weight(s):
    for i, j in ((0, 0), (4, 3), (8, 10), (5, 10)):
        x = np.zeros((1, 2, 9, 11))
        x[0, 1, i, j] = 1
        seen = ops.gaussian_pool2d(x, s) > 0
        x[0, 1, i, j] = np.nan
        found = ops.gaussian_pool2d(Tensor(x, device="cuda"), s).numpy()
        assert np.array_equal(np.isnan(found), seen)
