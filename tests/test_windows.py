"""The geometry of sliding windows."""

import numpy as np
import pytest

from tinygrad_ckn.errors import DTypeError, ShapeError
from tinygrad_ckn.windows import Correlation, Windows, image_shape, is_finite, pair


@pytest.mark.parametrize("value", [1.5, -1, (1, 2, 3), "same", (1, None), True])
def test_pairs_are_one_or_two_integers(value):
    assert pair("op", "stride", np.int64(2), 1) == (2, 2)
    assert pair("op", "stride", np.array([2, 3]), 1) == (2, 3)
    with pytest.raises(
        ShapeError, match=r"^op: argument stride expected an integer >= 1 or two of them, got "
    ):
        pair("op", "stride", value, 1)


@pytest.mark.parametrize(
    ("padding", "size"), [("valid", (4, 5)), ("same", (6, 8)), ("full", (8, 11)), (1, (6, 7))]
)
def test_output_size_is_the_number_of_windows(padding, size):
    windows = Windows.of("op", (3, 4), padding=padding)
    assert windows.output_size((6, 8)) == size
    padded = windows.pad(np, np.ones((1, 1, 6, 8)))
    assert windows.view(np, padded).shape == (1, 1, *size, 3, 4)


def test_a_dilated_kernel_has_a_larger_span():
    windows = Windows.of("op", (3, 2), stride=2, dilation=(2, 3))
    assert windows.span == (5, 4)
    assert windows.output_size((9, 8)) == (3, 3)
    with pytest.raises(ShapeError, match=r"at least the kernel's extent \(5, 4\), got \(4, 8\)"):
        windows.output_size((4, 8))


def test_scatter_is_the_adjoint_of_columns():
    random = np.random.default_rng(0)
    windows = Windows.of("op", (3, 2), stride=(2, 1), padding=1, dilation=(1, 2))
    x = random.standard_normal((2, 3, 6, 7))
    columns = windows.columns(np, x)
    g = random.standard_normal(columns.shape)
    assert np.isclose((columns * g).sum(), (x * windows.scatter(np, g, (6, 7))).sum())


def test_shapes_of_a_correlation():
    shapes = Correlation(2, 4, (6, 7), 8, 2, Windows.of("op", 3))
    assert shapes.out == (4, 5)
    assert shapes.w_shape == (8, 2, 3, 3)


@pytest.mark.parametrize(
    ("x", "error", "match"),
    [
        (np.ones((2, 3, 4)), ShapeError, r"expected shape \(N, C, H, W\), got \(2, 3, 4\)"),
        (np.ones((2, 0, 4, 4)), ShapeError, "at least one channel and pixel"),
        (np.ones((2, 1, 4, 4), int), DTypeError, "expected a floating dtype, got int64"),
    ],
)
def test_images_have_four_axes_and_a_floating_dtype(x, error, match):
    assert image_shape("op", "x", np.ones((0, 1, 2, 3))) == (0, 1, 2, 3)
    with pytest.raises(error, match=f"^op: argument x .*{match}"):
        image_shape("op", "x", x)


def test_finite_numbers():
    assert [is_finite(v) for v in (1, np.float32(2.5), np.inf, np.nan, "1", None)] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
