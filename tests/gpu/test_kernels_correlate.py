"""correlate2d and its adjoints on the device against SciPy.

Single channels use their own kernel, others matrix products.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import convolve2d
from scipy.signal import correlate2d as scipys

from tinygrad_ckn import ops
from tinygrad_ckn.cuda import direct
from tinygrad_ckn.errors import DTypeError
from tinygrad_ckn.windows import Correlation, Windows
from tools.gpu_emulator.kernel_testing import (
    CUPY,
    EXAMPLES,
    Geometry,
    agree,
    dtypes,
    examples,
    geometries,
    launched_often,
    normal,
    on_gpu,
    seeds,
)

pytestmark = pytest.mark.usefixtures("compiler", "standin")


def spread(a, steps):
    """Return a 2-D array with zeros between its elements."""
    y = np.zeros([(n - 1) * step + 1 for n, step in zip(a.shape, steps, strict=True)])
    y[:: steps[0], :: steps[1]] = a
    return y


def padded(geometry, image):
    return np.pad(image, [(pad, pad) for pad in geometry.padding])


def forward(geometry, x, w, groups):
    """Correlate by SciPy, one image and filter at a time."""
    (o, per_group), (sh, sw) = w.shape[:2], geometry.stride
    y = np.zeros((len(x), o, *geometry.out))
    for i, j, k in np.ndindex(len(x), o, per_group):
        image = padded(geometry, x[i, j // (o // groups) * per_group + k])
        y[i, j] += scipys(image, spread(w[j, k], geometry.dilation), "valid")[::sh, ::sw]
    return y


def adjoints(geometry, x, w, g, groups):
    """Return the gradients of images and filters by SciPy's convolution and correlation."""
    (o, per_group), (h, width), (top, left) = w.shape[:2], geometry.size, geometry.padding
    dx, dw = np.zeros(x.shape), np.zeros(w.shape)
    for i, j, k in np.ndindex(len(x), o, per_group):
        c = j // (o // groups) * per_group + k
        wide = spread(g[i, j], geometry.stride)
        full = np.zeros(padded(geometry, x[i, c]).shape)
        back = convolve2d(wide, spread(w[j, k], geometry.dilation), "full")
        full[: back.shape[0], : back.shape[1]] = back
        dx[i, c] += full[top : top + h, left : left + width]
        taps = scipys(padded(geometry, x[i, c]), wide, "valid")[
            :: geometry.dilation[0], :: geometry.dilation[1]
        ]
        dw[j, k] += taps[: w.shape[2], : w.shape[3]]
    return dx, dw


@st.composite
def cases(draw):
    """Draw a geometry, the number of filters and the groups; single channels are frequent."""
    geometry = draw(geometries())
    if draw(st.integers(0, 3)):
        return geometry, geometry.c * draw(st.integers(1, 2)), geometry.c
    return geometry, draw(st.integers(1, 3)), 1


@pytest.mark.untraced
def test_correlate2d_and_its_adjoints():
    # some use matrix products
    @settings(examples, max_examples=EXAMPLES * 3 // 2)
    @given(cases(), dtypes, seeds)
    def run(case, dtype, seed):
        geometry, o, groups = case
        shape = geometry.n, geometry.c, *geometry.size
        w_shape = o, geometry.c // groups, *geometry.kernel
        x, w, g = normal(seed, shape, w_shape, (geometry.n, o, *geometry.out), dtype=dtype)
        options = {"groups": groups, "dtype": dtype, **geometry.options}
        dx, dw = adjoints(geometry, x, w, g, groups)
        agree(on_gpu(ops.correlate2d, x, w, **options), forward(geometry, x, w, groups))
        agree(on_gpu(ops.correlate2d_input, g, w, input_size=geometry.size, **options), dx)
        agree(on_gpu(ops.correlate2d_weight, x, g, kernel_size=geometry.kernel, **options), dw)

    run()
    launched_often("correlate")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("size", "kernel"),
    [
        ((31, 20), (3, 5)),
        ((20, 31), (3, 5)),
        ((1, 70), (1, 9)),
        ((70, 3), (4, 3)),
        ((40, 40), (1, 1)),
        ((9, 9), (9, 9)),
    ],
)
@pytest.mark.parametrize("padding", ["valid", "same", "full"])
def test_plain_images_as_scipy_does(size, kernel, padding, dtype):
    x, w = normal(7, size, kernel, dtype=dtype)
    agree(on_gpu(ops.correlate2d, x, w, padding=padding, dtype=dtype), scipys(x, w, padding))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("stride", "dilation"), [((1, 2), (2, 1)), ((2, 1), (1, 3)), ((1, 3), (1, 1)), ((3, 5), (2, 2))]
)
def test_several_tiles_in_both_directions(stride, dilation, dtype):
    geometry = Geometry(1, 2, (75 * stride[0], 40 * stride[1]), (2, 3), stride, (1, 2), dilation)
    x, w = normal(8, (1, 2, *geometry.size), (2, 1, 2, 3), dtype=dtype)
    options = {"groups": 2, "dtype": dtype, **geometry.options}
    agree(on_gpu(ops.correlate2d, x, w, **options), forward(geometry, x, w, 2))


def tiles_for(shape, kernel, stride=1, dilation=1, itemsize=4):
    n, c, *size = shape
    windows = Windows.of("correlate2d", kernel, stride, 0, dilation)
    return direct.tiles_of(Correlation(n, c, tuple(size), c, c, windows), itemsize)


def test_tiles_shrink_with_the_shared_memory_until_none_fits():
    assert tiles_for((1, 1, 64, 64), (3, 3)).rows == 4
    assert tiles_for((1, 1, 100, 100), (90, 3)).rows == 4
    few = tiles_for((1, 1, 90, 80), (70, 60))
    assert few.rows == 1
    assert few.shared <= direct.SHARED_BYTES
    assert tiles_for((1, 1, 90, 80), (70, 60), itemsize=8) is None
    x, w = normal(3, (90, 80), (70, 60), dtype="float32")
    agree(on_gpu(ops.correlate2d, x, w, dtype="float32"), scipys(x, w, "valid"))
    # by matrix products
    agree(on_gpu(ops.correlate2d, x, w), scipys(x, w, "valid"))


@pytest.mark.parametrize("stride", [4, (1, 4), (8, 1)])
def test_strides_with_bank_conflicts_use_matrix_products(stride):
    assert tiles_for((1, 1, 64, 64), (3, 3), stride) is None


def test_blocks_of_images_share_one_buffer(monkeypatch):
    from tinygrad_ckn.cuda import correlate

    # of two images
    monkeypatch.setattr(correlate, "_BUFFER_BYTES", 2 * 3 * 4 * 30 * 8)
    x, w, g = normal(5, (5, 3, 6, 7), (4, 3, 2, 2), (5, 4, 5, 6))
    expected = np.stack(
        [sum(scipys(image[c], f[c], "valid") for c in range(3)) for image in x for f in w]
    )
    agree(on_gpu(ops.correlate2d, x, w), expected.reshape(5, 4, 5, 6))
    back = np.stack(
        [sum(convolve2d(m[j], w[j, c], "full") for j in range(4)) for m in g for c in range(3)]
    )
    agree(on_gpu(ops.correlate2d_input, g, w, input_size=(6, 7)), back.reshape(x.shape))
    taps = [
        sum(scipys(x[i, c], g[i, j], "valid") for i in range(5)) for j in range(4) for c in range(3)
    ]
    agree(on_gpu(ops.correlate2d_weight, x, g, kernel_size=2), np.stack(taps).reshape(w.shape))


def test_integers_are_refused_even_with_floats():
    x, w = np.ones((1, 1, 4, 4), "int32"), np.ones((1, 1, 2, 2))
    with pytest.raises(
        DTypeError, match="correlate2d: argument x expected a floating dtype, got int32"
    ):
        ops.correlate2d(CUPY.asarray(x), CUPY.asarray(w))


def test_dtypes_are_those_of_the_product():
    x, w = normal(2, (6, 5), (2, 2), dtype="float32")
    got = CUPY.asnumpy(ops.correlate2d(CUPY.asarray(x.astype("float32")), CUPY.asarray(w)))
    agree(got, scipys(x, w, "valid"))
    assert got.dtype == "float64"


def test_half_precision_uses_the_plain_forwards():
    x, w = normal(2, (6, 5), (2, 2), dtype="float16")
    got = on_gpu(ops.correlate2d, x, w, dtype="float16")
    assert got.dtype == "float16"
    assert np.abs(got - scipys(x, w, "valid")).max() < 0.02
