"""Errors of each algorithm of correlate2d, with outliers anywhere outside of a window.

The reference is a sum over windows in float64, tap by tap. Errors are measured in
roundings of
- the window's own sum |x| |w|, for sums over windows ("unfold", "direct", "toeplitz") and
  for gradients of filters;
- the largest pixel of the window times sum |w|, for "winograd" and "fft".
"""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.cpu.correlate.dispatch import algorithms_for

MIXING = ("winograd", "fft")
# maximum errors, in roundings
PLAIN, MIXED, FILTERS = 32, 256, 4096


@np.errstate(all="ignore")
def forward(x, w, padding, stride=1):
    """Return the correlation of x (N, C, H, W) with w (O, C, kh, kw) in float64, tap by tap."""
    x = np.pad(x.astype("float64"), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    o, _, kh, kw = w.shape
    high, wide = (x.shape[2] - kh) // stride + 1, (x.shape[3] - kw) // stride + 1
    y = np.zeros((len(x), o, high, wide))
    for i in range(kh):
        for j in range(kw):
            part = x[
                :,
                :,
                i : i + (high - 1) * stride + 1 : stride,
                j : j + (wide - 1) * stride + 1 : stride,
            ]
            for c in range(x.shape[1]):
                y += part[:, c, None] * w[None, :, c, i, j, None, None].astype("float64")
    return y


@np.errstate(all="ignore")
def input_adjoint(g, w, size, padding, stride=1):
    n, o, high, wide = g.shape
    kh, kw = w.shape[2:]
    x = np.zeros((n, w.shape[1], size[0] + 2 * padding, size[1] + 2 * padding))
    for i in range(kh):
        for j in range(kw):
            here = (
                slice(i, i + (high - 1) * stride + 1, stride),
                slice(j, j + (wide - 1) * stride + 1, stride),
            )
            for f in range(o):
                x[:, :, here[0], here[1]] += (
                    g[:, f, None].astype("float64") * w[None, f, :, i, j, None, None]
                )
    return x[:, :, padding : padding + size[0], padding : padding + size[1]]


@np.errstate(all="ignore")
def weight_adjoint(x, g, kernel, padding, stride=1):
    x = np.pad(x.astype("float64"), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    high, wide = g.shape[2:]
    w = np.zeros((g.shape[1], x.shape[1], *kernel))
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            part = x[
                :,
                :,
                i : i + (high - 1) * stride + 1 : stride,
                j : j + (wide - 1) * stride + 1 : stride,
            ]
            for f in range(g.shape[1]):
                w[f, :, i, j] = (part * g[:, f, None]).sum(axis=(0, 2, 3))
    return w


def same(found, exact, size, bound):
    """Compare finite values up to `roundings` of size, NaN with NaN, infinity with infinity."""
    assert found.dtype in (np.float32, np.float64)
    finite = np.isfinite(exact)
    assert np.array_equal(np.isnan(found), np.isnan(exact))
    assert np.array_equal(found[~finite], exact[~finite], equal_nan=True)
    error = np.abs(found[finite] - exact[finite]) / np.finfo(found.dtype).eps
    assert np.all(error <= bound * size[finite]), (error / np.maximum(size[finite], 1e-300)).max()


class Problem(NamedTuple):
    """An algorithm, images, filters and gradients, with an outlier in one of the arrays."""

    algorithm: str
    x: np.ndarray
    w: np.ndarray
    g: np.ndarray
    padding: int
    stride: int

    def __repr__(self) -> str:
        shapes = self.x.shape, self.w.shape, self.padding, self.stride, self.x.dtype.name
        return f"{self.algorithm} {shapes}"

    @property
    def options(self):
        return {"algorithm": self.algorithm, "padding": self.padding, "stride": self.stride}

    @property
    def geometry(self):
        return self.padding, self.stride


@st.composite
def problems(draw, kinds=("pixel", "corner", "pixels", "row", "block")):
    """Draw a problem; pixels, rows and blocks of them may differ arbitrarily from the rest."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (3, 3), (2, 5), (7, 7), (12, 9)]))
    channels, filters, n = (
        draw(st.sampled_from([1, 3, 8])),
        draw(st.sampled_from([1, 4, 16])),
        draw(st.integers(1, 3)),
    )
    high, wide = (draw(st.integers(2 * k + 3, 2 * k + 20)) for k in kernel)
    padding, stride = draw(st.sampled_from([0, 0, 1, 3])), draw(st.sampled_from([1, 1, 1, 2]))
    x = random.standard_normal((n, channels, high, wide)).astype(dtype)
    w = random.standard_normal((filters, channels, *kernel)).astype(dtype)
    out = (
        (high + 2 * padding - kernel[0]) // stride + 1,
        (wide + 2 * padding - kernel[1]) // stride + 1,
    )
    g = random.standard_normal((n, filters, *out)).astype(dtype)
    value = draw(st.sampled_from([1.0, 1e3, -1e4, 1e6, 1e12, np.nan, np.inf, -np.inf]))
    array = draw(st.sampled_from([x, g]))
    i, j, c = (draw(st.integers(0, array.shape[axis] - 1)) for axis in (2, 3, 1))
    part = {
        "pixel": np.s_[0, c, i, j],
        "corner": np.s_[0, c, 0, -1],
        "pixels": np.s_[0, c, i % 5 :: 5, j % 7 :: 7],
        "row": np.s_[0, c, i],
        "block": np.s_[0, :, i : i + 6, j : j + 5],
    }[draw(st.sampled_from(kinds))]
    array[part] *= value
    algorithm = draw(
        st.sampled_from(algorithms_for(x.shape, w.shape, dtype, stride=stride, padding=padding))
    )
    return Problem(algorithm, x, w, g, padding, stride)


def seen(x, kernel, padding):
    """Return the largest finite magnitude in each window of images, stride 1: (N, 1, Ho, Wo)."""
    size = np.where(np.isfinite(x), np.abs(x), 0).max(axis=1, keepdims=True).astype("float64")
    size = np.pad(size, ((0, 0), (0, 0), *((p, p) for p in padding)))
    return np.lib.stride_tricks.sliding_window_view(size, kernel, axis=(2, 3)).max(axis=(4, 5))


@given(problems())
def test_outputs_have_only_the_rounding_and_nan_of_their_window(p):
    exact = forward(p.x, p.w, *p.geometry)
    if p.algorithm in MIXING:
        size = seen(p.x, p.w.shape[2:], (p.padding, p.padding))
        size, bound = size * np.abs(p.w).astype("float64").sum(axis=(1, 2, 3))[:, None, None], MIXED
    else:
        size, bound = forward(np.abs(p.x), np.abs(p.w), *p.geometry), PLAIN
    with np.errstate(all="ignore"):
        same(ops.correlate2d(p.x, p.w, **p.options), exact, size, bound)


@given(problems())
def test_gradients_of_images_have_only_the_rounding_and_nan_of_their_terms(p):
    shape = p.x.shape[2:]
    exact = input_adjoint(p.g, p.w, shape, *p.geometry)
    if p.algorithm in MIXING:
        reach = [k - 1 for k in p.w.shape[2:]]
        size = seen(p.g, p.w.shape[2:], reach)
        size = size[:, :, p.padding :, p.padding :][:, :, : shape[0], : shape[1]]
        size, bound = size * np.abs(p.w).astype("float64").sum(axis=(0, 2, 3))[:, None, None], MIXED
    else:
        size, bound = input_adjoint(np.abs(p.g), np.abs(p.w), shape, *p.geometry), PLAIN
    with np.errstate(all="ignore"):
        same(ops.correlate2d_input(p.g, p.w, input_size=shape, **p.options), exact, size, bound)


@given(problems(kinds=("pixel", "corner", "pixels")))
def test_gradients_of_filters_have_only_the_rounding_and_nan_of_their_sums(p):
    shape = p.w.shape[2:]
    size = weight_adjoint(np.abs(p.x), np.abs(p.g), shape, *p.geometry)
    bound = FILTERS if p.algorithm in MIXING else PLAIN
    with np.errstate(all="ignore"):
        found = ops.correlate2d_weight(p.x, p.g, kernel_size=shape, **p.options)
        same(found, weight_adjoint(p.x, p.g, shape, *p.geometry), size, bound)


@pytest.mark.parametrize("algorithm", ["fft", "winograd"])
def test_windows_of_zeros_give_zeros_next_to_anything(algorithm):
    x = np.zeros((1, 16, 40, 40), "float32")
    x[:, :, 20:, 25:] = np.random.default_rng(0).standard_normal((1, 16, 20, 15))
    w = np.random.default_rng(1).standard_normal((4, 16, 3, 3)).astype("float32")
    y = ops.correlate2d(x, w, algorithm=algorithm)
    assert not y[:, :, :18].any()
    assert not y[:, :, :, :23].any()
    w[1, 0, 0, 0] = np.nan
    y = ops.correlate2d(x, w, algorithm=algorithm)
    assert np.isnan(y[:, 1]).all()
    assert np.isfinite(y[:, 0]).all()


@pytest.mark.parametrize("algorithm", ["unfold", "direct", "toeplitz", "winograd", "fft"])
@pytest.mark.parametrize("value", [1e6, 1e12, np.nan, np.inf])
@pytest.mark.parametrize("padding", [0, 1])
def test_a_pixel_in_a_corner_reaches_few_taps(algorithm, value, padding):
    random = np.random.default_rng(0)
    x = random.standard_normal((3, 4, 18, 14)).astype("float32")
    x[0, 1, 0, 0] = x[2, 3, -1, -1] = value
    g = random.standard_normal((3, 5, 16 + 2 * padding, 12 + 2 * padding)).astype("float32")
    size = weight_adjoint(np.abs(x), np.abs(g), (3, 3), padding)
    with np.errstate(all="ignore"):
        found = ops.correlate2d_weight(x, g, kernel_size=3, padding=padding, algorithm=algorithm)
        same(found, weight_adjoint(x, g, (3, 3), padding), size, PLAIN)
