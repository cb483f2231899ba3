import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.cpu.winograd_filter import FilterGradient, Winograd


def correlated(padded, w):
    """Return the correlation of padded images (b, H, W, C) with filters (O, C, 3, 3)."""
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.einsum("bhwcij,ocij->bhwo", windows, w)


def problem(m, size, dtype="float64", b=2, c=3, o=4, seed=0):
    random = np.random.default_rng(seed)
    w = random.standard_normal((o, c, 3, 3)).astype(dtype)
    filtering = Winograd.of(w, size, m)
    padded = np.zeros((b, *filtering.padded_size, c), dtype)
    padded[:, : size[0] + 2, : size[1] + 2] = random.standard_normal(
        (b, size[0] + 2, size[1] + 2, c)
    )
    return filtering, w, padded


@given(
    m=st.sampled_from([2, 4]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    b=st.integers(1, 3),
)
def test_is_the_correlation_and_has_its_adjoints(m, height, width, b):
    filtering, w, padded = problem(m, (height, width), b=b)
    within = padded[:, : height + 2, : width + 2]
    y = np.full((b, height, width, 4), np.nan)
    filtering.correlate(padded, y)
    np.testing.assert_allclose(y, correlated(within, w), rtol=1e-10, atol=1e-12)

    g = np.random.default_rng(1).standard_normal(y.shape)
    total = FilterGradient(filtering)
    dx = np.ones_like(padded)
    filtering.add_input_adjoint(total.add(padded, g), dx)
    dx -= 1
    dw = filtering.filters_gradient(total.value())
    assert abs((y * g).sum() - (dw * w).sum()) < 1e-9 * np.abs(y * g).sum()
    assert abs((y * g).sum() - (dx * padded).sum()) < 1e-9 * np.abs(y * g).sum()
    other = np.zeros_like(w)
    # one derivative by definition
    other[1, 2, 0, 1] = 1
    np.testing.assert_allclose(
        dw[1, 2, 0, 1], (correlated(within, other) * g).sum(), rtol=1e-9, atol=1e-11
    )
    spot = np.zeros_like(within)
    spot[0, 1, 2, 1] = 1
    np.testing.assert_allclose(
        dx[0, 1, 2, 1], (correlated(spot, w) * g).sum(), rtol=1e-9, atol=1e-11
    )


def test_many_filters_are_taken_in_blocks(monkeypatch):
    monkeypatch.setattr("tinygrad_ckn.cpu.winograd_filter._BLOCK", 3)
    filtering, w, padded = problem(4, (8, 5), c=7, o=8)
    assert [block.shape[2] for block in filtering.filters] == [3, 3, 2]
    y, g = np.empty((2, 8, 5, 8)), np.random.default_rng(1).standard_normal((2, 8, 5, 8))
    filtering.correlate(padded, y)
    np.testing.assert_allclose(y, correlated(padded[:, :10, :7], w), rtol=1e-10, atol=1e-12)
    dx = np.zeros_like(padded)
    filtering.add_input_adjoint(filtering.transform_gradient(g), dx)
    assert abs((y * g).sum() - (dx * padded).sum()) < 1e-9 * np.abs(y * g).sum()


def test_totals_add_up_over_tiles_of_different_sizes(monkeypatch):
    monkeypatch.setattr("tinygrad_ckn.cpu.winograd_filter._COLLECTED", 8)
    filtering, _, padded = problem(4, (7, 6), b=9)
    g = np.random.default_rng(1).standard_normal((9, 7, 6, 4))
    whole, pieces = FilterGradient(filtering), FilterGradient(filtering)
    whole.add(padded, g)
    for cut in (slice(0, 2), slice(2, 4), slice(4, 8), slice(8, 9)):
        pieces.add(padded[cut], g[cut])
    np.testing.assert_allclose(pieces.value(), whole.value(), rtol=1e-11)
    assert not FilterGradient(filtering).value().any()


@pytest.mark.parametrize(("m", "bound"), [(2, 3e-6), (4, 2e-5)])
def test_float32_is_as_close_to_float64_as_documented(m, bound):
    filtering, w, padded = problem(m, (16, 16), "float32", c=64, o=32)
    y = np.empty((2, 16, 16, 32), "float32")
    filtering.correlate(padded, y)
    exact = correlated(padded[:, :18, :18].astype("float64"), w.astype("float64"))
    assert np.abs(y - exact).max() < bound * np.abs(exact).max()
