import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from tinygrad_ckn import ops, parallel
from tinygrad_ckn.cpu.correlate import dispatch as correlate
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.testing.strategies import conv_args

NAMES = ("unfold", "winograd", "toeplitz", "fft", "direct")
each = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def same_number_of_threads_afterwards():
    before = parallel.get_num_threads()
    yield
    parallel.set_num_threads(before)


def three(x, w, g, options):
    """Return the correlation and both of its adjoints."""
    return (
        ops.correlate2d(x, w, **options),
        ops.correlate2d_input(g, w, input_size=x.shape[2:], **options),
        ops.correlate2d_weight(x, g, kernel_size=w.shape[2:], **options),
    )


def plain(x, w, options):
    """Return a gradient of values that float32 represents exactly, and the plain results."""
    y = ops.correlate2d.forward(np, x, w, **options)
    g = np.cos(np.arange(y.size)).reshape(y.shape).astype("float32").astype(x.dtype)
    dx = ops.correlate2d_input.forward(np, g, w, input_size=x.shape[2:], **options)
    return g, (y, dx, ops.correlate2d_weight.forward(np, x, g, kernel_size=w.shape[2:], **options))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def shape_for(name, large=False):
    """Return shapes of images and filters that suit an algorithm; large ones have several tiles."""
    if name == "winograd":
        return ((3, 17, 70, 67), (18, 17, 3, 3)) if large else ((2, 3, 7, 6), (2, 3, 3, 3))
    if name == "unfold":
        return ((3, 8, 90, 130), (6, 8, 5, 4)) if large else ((2, 3, 7, 6), (2, 3, 4, 3))
    return ((2, 2, 530, 317), (2, 2, 7, 10)) if large else ((2, 2, 9, 11), (3, 2, 4, 5))


@each
@given(
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    kernel=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    padding=st.sampled_from(["valid", "same", "full"]),
    shape=st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(1, 3)),
    last=st.booleans(),
)
def test_values_agree_with_scipy(name, size, kernel, padding, shape, last):
    (n, c, o), kernel = shape, (3, 3) if name == "winograd" else kernel
    if padding == "valid":
        size = tuple(map(max, size, kernel))
    x, w = normal(n, c, *size), normal(o, c, *kernel, seed=1)
    y = ops.correlate2d(layout(x, last), w, padding=padding, algorithm=name)
    for i, j in np.ndindex(n, o):
        # SciPy's "same" has the first argument's size and is cut out of "full".
        parts = [
            signal.correlate2d(x[i, k], w[j, k], "full" if padding == "same" else padding)
            for k in range(c)
        ]
        expected = sum(parts)
        if padding == "same":
            top, left = (kernel[0] // 2, kernel[1] // 2)
            expected = expected[top : top + size[0], left : left + size[1]]
        assert np.allclose(y[i, j], expected, atol=1e-11)
    assert y.shape[:2] == (n, o)


def layout(x, last):
    """Return the same images with channels last in memory, with gaps between rows, or unchanged."""
    if not last:
        return x
    n, c, height, width = x.shape
    y = np.zeros((n, height, width + 1, c), x.dtype).transpose(0, 3, 1, 2)[..., :width]
    y[...] = x
    return y


@given(conv_args(max_size=12), st.booleans(), st.sampled_from(["float64", "float32"]))
def test_supported_algorithms_agree_with_the_plain_forward(args, last, dtype):
    x, w, options = args
    x, w = x.astype(dtype), w.astype(dtype)
    g, expected = plain(x, w, options)
    names = correlate.algorithms_for(x.shape, w.shape, dtype, **options)
    assert {"unfold", "direct"} <= set(names)
    for name in ("auto", *names):
        for y, z in zip(
            three(layout(x, last), w, layout(g, last), {**options, "algorithm": name}),
            expected,
            strict=True,
        ):
            assert y.dtype == dtype
            assert np.allclose(y, z, atol=1e-11 if dtype == "float64" else 1e-3)


@each
@pytest.mark.parametrize("padding", ["valid", "same", (3, 9)])
def test_several_tiles_agree_with_the_plain_forward(name, padding):
    x_shape, w_shape = shape_for(name, large=True)
    x, w, options = normal(*x_shape), normal(*w_shape, seed=1), {"padding": padding}
    g, expected = plain(x, w, options)
    for y, z in zip(three(x, w, g, {**options, "algorithm": name}), expected, strict=True):
        assert abs(y - z).max() < 1e-11 * abs(z).max()


@pytest.mark.parametrize("name", ["unfold", "direct"])
@pytest.mark.parametrize(
    "options",
    [
        {"groups": 12},
        {"groups": 3, "stride": (3, 2)},
        {"dilation": (3, 2), "padding": 5, "stride": (1, 3)},
    ],
)
def test_strides_dilations_and_groups_in_several_tiles(name, options):
    x, w = normal(2, 12, 110, 130), normal(24, 12 // options.get("groups", 1), 3, 4, seed=1)
    g, expected = plain(x, w, options)
    for y, z in zip(three(x, w, g, {**options, "algorithm": name}), expected, strict=True):
        assert abs(y - z).max() < 1e-11 * abs(z).max()


@pytest.mark.parametrize("groups", [2, 12])
def test_transforms_of_groups_and_dilated_filters(groups):
    x, w, options = (
        normal(2, 12, 60, 300),
        normal(24, 12 // groups, 3, 4, seed=1),
        {"groups": groups, "dilation": (2, 3)},
    )
    g, expected = plain(x, w, options)
    for y, z in zip(three(x, w, g, {**options, "algorithm": "fft"}), expected, strict=True):
        assert abs(y - z).max() < 1e-11 * abs(z).max()


@each
def test_adjoints_are_adjoint(name):
    x_shape, w_shape = shape_for(name)
    x, w, options = (
        normal(*x_shape),
        normal(*w_shape, seed=1),
        {"padding": (2, 1), "algorithm": name},
    )
    y = ops.correlate2d(x, w, **options)
    g = normal(*y.shape, seed=2)
    _, dx, dw = three(x, w, g, options)
    product = (y * g).sum()
    assert (x * dx).sum() == pytest.approx(product, rel=1e-12)
    assert (w * dw).sum() == pytest.approx(product, rel=1e-12)


# Maximum error in float32, relative to the largest result: of the correlation, of its
# adjoint in the images, of that in the filters.
BOUNDS = {
    "unfold": (1e-6, 1e-6, 2e-6),
    "winograd": (1e-5, 2e-5, 2e-5),
    "toeplitz": (1e-6, 1e-6, 2e-6),
    "fft": (1e-6, 1e-6, 1e-6),
    # one sum over a tile per tap
    "direct": (1e-6, 1e-6, 4e-6),
}


@each
def test_errors_of_float32_stay_within_the_bounds(name):
    x_shape, w_shape = shape_for(name, large=True)
    x, w = normal(*x_shape).astype("float32"), normal(*w_shape, seed=1).astype("float32")
    g, exact = plain(x.astype("float64"), w.astype("float64"), {"padding": 1})
    results = three(x, w, g.astype("float32"), {"padding": 1, "algorithm": name})
    errors = [abs(y - z).max() / abs(z).max() for y, z in zip(results, exact, strict=True)]
    assert all(error < bound for error, bound in zip(errors, BOUNDS[name], strict=True)), errors


@each
def test_bits_do_not_depend_on_the_number_of_threads(name):
    x_shape, w_shape = shape_for(name, large=True)
    x, w = normal(*x_shape).astype("float32"), normal(*w_shape, seed=1).astype("float32")
    g = ops.correlate2d(x, w)
    results = []
    for threads in (1, 2, 5):
        parallel.set_num_threads(threads)
        results.append(three(x, w, g, {"algorithm": name}))
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


@each
def test_scratch_grows_with_tiles_and_not_with_images(monkeypatch, name):
    (_, *rest), w_shape = shape_for(name, large=True)
    parallel.set_num_threads(1)
    sizes = []
    for n in (4, 12):
        x, w = normal(n, *rest).astype("float32"), normal(*w_shape, seed=1).astype("float32")
        g = ops.correlate2d(x, w)
        monkeypatch.setattr(parallel, "_scratch", parallel._Scratch())
        three(x, w, g, {"algorithm": name})
        sizes.append(sum(buffer.nbytes for buffer in parallel._scratch.buffers.values()))
    assert 0 < sizes[0] == sizes[1] < 2**24


def test_two_dimensions_two_dtypes_and_a_bias():
    x, w = normal(9, 8), normal(3, 3, seed=1).astype("float32")
    expected = signal.correlate2d(x, w, "same")
    for name in NAMES:
        assert np.allclose(
            ops.correlate2d(x, w, padding="same", algorithm=name), expected, atol=1e-12
        )
        y = ops.correlate2d(
            x[None, None], w[None, None], np.array([2.5]), padding="same", algorithm=name
        )
        assert np.allclose(y[0, 0], expected + 2.5, atol=1e-12)
    wide = ops.correlate2d(x[None, None].astype("float32"), w[None, None], np.array([2.5]))
    assert wide.dtype == "float64"


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "options", "expected"),
    [
        ((1, 1, 5000, 5000), (1, 1, 10, 10), {}, "fft"),
        ((1, 1, 1000, 1000), (1, 1, 5, 5), {}, "toeplitz"),
        ((1, 1, 1000, 1000), (1, 1, 3, 3), {}, "direct"),
        ((32, 64, 32, 32), (64, 1, 3, 3), {"groups": 64}, "direct"),
        ((32, 64, 32, 32), (64, 64, 3, 3), {"padding": 1}, "winograd"),
        ((32, 64, 32, 32), (64, 64, 3, 3), {"stride": 2}, "unfold"),
        ((32, 3, 32, 32), (64, 3, 5, 5), {}, "unfold"),
    ],
)
def test_shapes_get_the_algorithm_measured_to_be_fastest(x_shape, w_shape, options, expected):
    windows = correlate.Windows.of(
        "correlate2d", w_shape[2:], options.get("stride", 1), options.get("padding", 0)
    )
    n, c, *size = x_shape
    shapes = correlate.Correlation(n, c, tuple(size), w_shape[0], options.get("groups", 1), windows)
    assert correlate.cheapest(shapes, np.dtype("float32")) == expected


@pytest.mark.parametrize(
    ("size", "m"),
    [((1, 2), 2), ((2, 2), 2), ((4, 4), 4), ((5, 6), 4), ((6, 6), 4), ((2, 30), 2), ((32, 32), 4)],
)
def test_winograd_uses_the_tiles_with_fewer_multiplications(size, m):
    windows = correlate.Windows.of("correlate2d", 3, padding=1)
    assert correlate.winograd.choose_m(correlate.Correlation(1, 16, size, 16, 1, windows)) == m


def test_half_precision_has_the_algorithms_without_transforms():
    x, w = normal(1, 2, 8, 8).astype("float16"), normal(2, 2, 3, 3).astype("float16")
    assert correlate.algorithms_for(x.shape, w.shape, "float16") == ("unfold", "toeplitz", "direct")
    y = ops.correlate2d(x, w)
    assert y.dtype == "float16"
    assert np.allclose(y, ops.correlate2d(x.astype(float), w.astype(float)), atol=0.05)


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        (
            "winograd",
            {"dilation": 2},
            r"'winograd' needs 3 x 3 filters, stride 1, .*got filters \(3, 3\).*dilation \(2, 2\)",
        ),
        (
            "toeplitz",
            {"groups": 2},
            "'toeplitz' needs stride 1, dilation 1 and groups 1, got .* groups 2",
        ),
        (
            "fft",
            {"stride": (1, 2)},
            r"'fft' needs stride 1 and float32 or float64, "
            r"got .*stride \(1, 2\).*use algorithm='auto'",
        ),
        (
            "Winograd",
            {},
            "algorithm expected 'auto', 'unfold', 'winograd', .* or 'direct', got 'Winograd'",
        ),
    ],
)
def test_an_unsupported_algorithm_names_its_requirements(name, options, match):
    x, w = np.ones((1, 2, 8, 8)), np.ones((2, 2 // options.get("groups", 1), 3, 3))
    g, _ = plain(x, w, options)
    options = {**options, "algorithm": name}
    calls = {
        "correlate2d": functools.partial(ops.correlate2d, x, w),
        "correlate2d_input": functools.partial(ops.correlate2d_input, g, w, input_size=(8, 8)),
        "correlate2d_weight": functools.partial(ops.correlate2d_weight, x, g, kernel_size=3),
    }
    for op, call in calls.items():
        with pytest.raises(ConfigError, match=f"^{op}: .*{match}"):
            call(**options)
