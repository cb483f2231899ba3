"""Both algorithms against patches that are copied one by one."""

import numpy as np
import pytest

from tinygrad_ckn.cpu.ckn_map.patch_products import _Unfolded, _Winograd, products_of
from tinygrad_ckn.windows import Windows

# Channels, filters, kernel size: unfolded with channels first, last and 1 x 1; Winograd
SHAPES = [(2, 5, 3), (12, 5, 2), (12, 5, 1), (16, 20, 3)]
SHIFT = 0.5


@pytest.fixture(params=SHAPES, ids=str)
def problem(request: pytest.FixtureRequest):
    """Return the algorithm, images (b, H, W, C), filters and patches (b, Ho, Wo, C, kh, kw)."""
    channels, p, k = request.param
    random = np.random.default_rng(0)
    x, z = random.normal(size=(2, 9, 8, channels)), random.normal(size=(p, channels, k, k))
    windows = Windows.of("test", (k, k), 1, "same")
    padded = np.pad(x, [(0, 0), *windows.padding, (0, 0)])
    patches = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(1, 2))
    return products_of(z, SHIFT, windows, (9, 8)), x, z, patches


def test_winograd_needs_many_channels_and_filters_of_3_x_3() -> None:
    def algorithm(channels, p, k, size=(9, 9)):
        z = np.ones((p, channels, k, k))
        return type(products_of(z, 0.0, Windows.of("test", (k, k), 1, "same"), size))

    assert algorithm(16, 16, 3) is _Winograd
    assert {algorithm(15, 16, 3), algorithm(16, 15, 3), algorithm(16, 16, 2)} == {_Unfolded}
    assert algorithm(16, 16, 3, (3, 9)) is _Unfolded


def test_products_are_cosines_plus_shift(problem) -> None:
    products, x, z, patches = problem
    norms = np.sqrt((patches**2).sum(axis=(3, 4, 5)))
    padded = products.pad(x)
    squares = products.patch_sums(products.pixel_squares(padded))
    np.testing.assert_allclose(np.sqrt(squares), norms, rtol=1e-12)
    out = np.empty((*norms.shape, len(z)))
    products.multiply(products.prepare(padded, 1 / norms), 1 / norms, 0, out)
    expected = np.einsum("bhwcij,pcij->bhwp", patches, z) / norms[..., None] + SHIFT
    np.testing.assert_allclose(out, expected, atol=1e-12)


def test_gradients_are_adjoints(problem) -> None:
    products, x, z, patches = problem
    random = np.random.default_rng(1)
    ds = random.normal(size=(*patches.shape[:3], len(z)))
    dsquares, direction = random.normal(size=patches.shape[:3]), random.normal(size=x.shape)
    dx, total = np.empty_like(x), products.zero_gradient()
    products.prepare_backward()
    products.vjp(products.pad(x), ds, dsquares, total, dx)
    dz = products.filters_gradient(total)
    np.testing.assert_allclose(dz, np.einsum("bhwp,bhwcij->pcij", ds, patches), atol=1e-11)
    # <dx, direction> is the derivative of <ds, <z, x>> + <dsquares, |x|^2>.
    k = z.shape[2]
    padded = np.pad(direction, [(0, 0), *products.windows.padding, (0, 0)])
    moved = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(1, 2))
    expected = np.einsum("bhwp,bhwcij,pcij->", ds, moved, z, optimize=True)
    expected += 2 * np.einsum("bhw,bhwcij,bhwcij->", dsquares, patches, moved, optimize=True)
    np.testing.assert_allclose((dx * direction).sum(), expected, rtol=1e-10)


def test_masked_pixels_are_0_in_a_copy(problem) -> None:
    products, x, *_ = problem
    padded = products.pad(x)
    mask = products.nonzero_pixels(padded)
    assert mask.sum() == x[..., 0].size
    assert not products.without(padded, mask).any()
    assert products.channels_first(padded).shape[:2] == (2, x.shape[3])
    assert padded.any()
