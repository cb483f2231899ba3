"""Patches of any length, beside whatever: the fused map against the patch by itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.gradient import grad
from tinygrad_ckn.models import kernels
from tinygrad_ckn.ops.ckn_map import reference_map
from tinygrad_ckn.ops.pool import gaussian_pool2d
from tinygrad_ckn.tensor import Tensor

# (C, p, kernel, image): unfolded with channels first and last, 1 x 1, Winograd's filtering
SHAPES = [(1, 5, 3, 9), (12, 5, 3, 9), (12, 5, 1, 7), (16, 20, 3, 10), (24, 16, 3, 13)]
KAPPA = kernels.Exponential.of_alpha(2.0).fused()


def problem(shape, dtype, seed=0, n=2):
    c, p, k, size = shape
    random = np.random.default_rng(seed)
    x = random.standard_normal((n, c, size, size + 1)).astype(dtype)
    z = random.standard_normal((p, c, k, k))
    z = (z / np.sqrt((z**2).sum(axis=(1, 2, 3), keepdims=True))).astype(dtype)
    t = random.standard_normal((p, p)).astype(dtype)
    return x, z, t / np.float32(p)


def by_hand(x, z, alpha=2.0):
    """Return the map before pooling in extended precision, NaN for nonfinite patches."""
    k = z.shape[2]
    border = (k // 2, k // 2)
    x, z = (
        np.pad(x.astype(np.longdouble), ((0, 0), (0, 0), border, border)),
        z.astype(np.longdouble),
    )
    patches = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))
    patches = patches.transpose(0, 2, 3, 1, 4, 5).reshape(
        len(x), patches.shape[2], patches.shape[3], -1
    )
    with np.errstate(all="ignore"):
        norms = np.sqrt((patches**2).sum(axis=3, keepdims=True))
        u = patches @ z.reshape(len(z), -1).T / np.where(norms > 0, norms, 1)
        y = np.where(np.isfinite(norms), norms * np.exp(alpha * (u - 1)), np.nan)
    return y.transpose(0, 3, 1, 2), norms[..., 0][:, None]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-44, 1e-40, 1e-30, 1e-21, 1e-15, 1e15, 1e19, 1e30, 1e37])
@pytest.mark.parametrize("subsampling", [1, 2])
def test_the_map_is_homogeneous_at_every_scale(shape, dtype, scale, subsampling):
    x, z, t = problem(shape, dtype)
    x = (x * scale / 4).astype(dtype)
    exact, _ = by_hand(x, z)
    exact = np.einsum("pq,nqhw->nphw", t.astype("float64"), (exact / scale).astype("float64"))
    exact = gaussian_pool2d(exact, subsampling)
    found = ops.ckn_map(x, z, KAPPA, t, subsampling=subsampling).astype(np.longdouble) / scale
    loose = 1e-5 if dtype == "float32" else 1e-12
    if scale < 1e-37 and dtype == "float32":
        # results have as few digits as the images
        loose = 50 * 1.4e-45 / scale
    assert np.abs(found - exact).max() <= loose * np.abs(exact).max()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e19, 1e30])
def test_gradients_are_homogeneous_at_every_scale(shape, dtype, scale):
    x, z, t = problem(shape, dtype)
    g = (
        np.random.default_rng(1)
        .standard_normal(ops.ckn_map(x, z, KAPPA, t, subsampling=2).shape)
        .astype(dtype)
    )

    def gradients(x, g):
        leaves = [Tensor(a, requires_grad=True) for a in (x, z, t)]
        y = ops.ckn_map(leaves[0], leaves[1], KAPPA, leaves[2], subsampling=2)
        return [found.numpy() for found in grad((y * Tensor(g)).sum(), leaves)]

    loose = 2e-5 if dtype == "float32" else 1e-12
    expected = gradients(x, g)
    power = 2.0 ** np.round(np.log2(scale))
    found = gradients((x * power).astype(dtype), g)
    for a, b, factor in zip(found, expected, (1, power, power), strict=True):
        assert np.abs(a / factor - b).max() <= loose * np.abs(b).max()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(
    seed=st.integers(0, 10**6), value=st.sampled_from([np.nan, np.inf, 1e4, 1e6, 1e12, 1e25, 1e-25])
)
def test_an_extreme_pixel_affects_only_its_patches(shape, dtype, seed, value):
    x, z, t = problem(shape, dtype, seed)
    random = np.random.default_rng(seed)
    at = (0, random.integers(x.shape[1]), random.integers(x.shape[2]), random.integers(x.shape[3]))
    x[at] = value
    exact, norms = by_hand(x, z)
    found = ops.ckn_map(x, z, KAPPA)
    wrong = np.broadcast_to(~np.isfinite(norms), found.shape)
    assert np.array_equal(np.isnan(found), wrong)
    loose = 2e-4 if dtype == "float32" else 1e-12
    assert (
        np.abs(found - exact)[~wrong] <= loose * np.broadcast_to(norms, found.shape)[~wrong]
    ).all()
    pooled = ops.ckn_map(x, z, KAPPA, t, subsampling=2)
    seen = gaussian_pool2d(wrong[:, :1].astype(dtype), 2) > 0
    assert np.array_equal(np.isnan(pooled), np.broadcast_to(seen, pooled.shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("subsampling", [1, 2])
@given(
    seed=st.integers(0, 10**6),
    where=st.sampled_from(["x", "g"]),
    value=st.sampled_from([np.nan, np.inf]),
)
def test_nan_reaches_only_the_gradients_that_depend_on_it(shape, subsampling, seed, where, value):
    x, z, t = problem(shape, "float64", seed)
    random = np.random.default_rng(seed)

    def gradients(x, g):
        leaves = [Tensor(x, requires_grad=True), Tensor(z, requires_grad=True)]
        y = ops.ckn_map(leaves[0], leaves[1], KAPPA, t, subsampling=subsampling)
        return [found.numpy() for found in grad((y * Tensor(g)).sum(), leaves)]

    g = random.standard_normal(ops.ckn_map(x, z, KAPPA, t, subsampling=subsampling).shape)
    clean = gradients(x, g)[0]
    array = x if where == "x" else g
    at = (
        0,
        random.integers(array.shape[1]),
        random.integers(array.shape[2]),
        random.integers(array.shape[3]),
    )
    alone = np.zeros_like(array[:1, :1])
    alone[0, 0, at[2], at[3]] = 1
    array[at] = value
    k = z.shape[2]
    box = np.ones((1, 1, k, k))
    # patches that are spoiled
    positions = alone
    if where == "x":
        positions = (ops.correlate2d(alone, box, padding="same") > 0).astype("float64")
    elif subsampling > 1:
        positions = (ops.gaussian_unpool2d(alone, x.shape[2:], subsampling) > 0).astype("float64")
    reached = ops.correlate2d(positions, box, padding="same") > 0
    with np.errstate(all="ignore"):
        found, dz = gradients(x, g)
    spoiled = ~np.isfinite(found).all(axis=1)
    assert np.array_equal(spoiled[0], reached[0, 0])
    assert not spoiled[1].any()
    keep = np.broadcast_to(~reached, found[:1].shape)
    np.testing.assert_allclose(found[:1][keep], clean[:1][keep], rtol=1e-9, atol=1e-11)
    assert not np.isfinite(dz).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_next_to_a_long_pixel_are_accurate(shape):
    x, z, t = problem(shape, "float32")
    x[0, 0, 4, 4] = 1e5
    g = np.random.default_rng(1).standard_normal((2, shape[1], 1, 1)) * np.ones(x.shape[2:])
    g[0, 0, 2, 2] = 1e4

    def gradients(dtype):
        leaves = [Tensor(a.astype(dtype), requires_grad=True) for a in (x, z, t)]
        y = ops.ckn_map(leaves[0], leaves[1], kernels.Polynomial(2).fused(), leaves[2])
        return [found.numpy() for found in grad((y * Tensor(g.astype(dtype))).sum(), leaves)]

    found, exact = gradients("float32"), gradients("float64")
    far = np.ones(x.shape, "bool")
    far[0, :, :8, :8] = False
    assert np.abs(found[0] - exact[0])[far].max() <= 1e-4 * np.abs(exact[0][far]).max()
    for a, b in zip(found, exact, strict=True):
        assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max()


@pytest.mark.parametrize("scale", [1e-36, 1e-30, 1e-20, 1e19, 1e30, 1e34])
def test_the_reference_is_homogeneous(scale):
    x, z, _ = problem((16, 20, 3, 10), "float32")
    exact, _ = by_hand(x, z)
    leaf = Tensor((x * np.float32(scale)).astype("float32"), requires_grad=True)
    y = reference_map(leaf, z, KAPPA, None, "same", 1)
    assert np.abs(y.numpy().astype("float64") / scale - exact).max() <= 1e-5 * np.abs(exact).max()
    clean = Tensor(x, requires_grad=True)
    expected = grad(reference_map(clean, z, KAPPA, None, "same", 1).sum(), clean)[0].numpy()
    assert np.abs(grad(y.sum(), leaf)[0].numpy() - expected).max() <= 1e-4 * np.abs(expected).max()


def test_the_reference_has_no_negative_squared_norms():
    x = np.zeros((1, 1, 60, 60), "float32")
    x[0, 0, :30, :20] = np.random.default_rng(0).random((30, 20))
    z = np.full((1, 1, 21, 21), 1 / 21, "float32")
    y = reference_map(x, z, KAPPA, None, "same", 1)
    assert np.isfinite(y).all()
    assert not y[:, :, 45:, 40:].any()
