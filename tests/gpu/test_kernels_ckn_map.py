"""The fused map on the device against its formula in NumPy, and differences of it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gpu.test_kernels_pool import matrix
from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.cuda import pool
from tinygrad_ckn.cuda.ckn_map import KAPPAS
from tinygrad_ckn.models import kernels
from tinygrad_ckn.ops.kappa import Kappa
from tools.gpu_emulator.kernel_testing import (
    CUPY,
    agree,
    dtypes,
    examples,
    launched_often,
    normal,
    on_gpu,
    seeds,
)

pytestmark = pytest.mark.usefixtures("compiler", "standin")


def matern(u, order):
    s = 1.5 * np.sqrt(np.maximum(2 - 2 * u, 0))
    return np.exp(-s) * (1, 1 + s, 1 + s + s * s / 3)[order]


def arccos(u):
    return np.arccos(np.clip(u, -1, 1))


# Each kappa of the library, and in NumPy.
PAIRS = {
    "exponential": (kernels.Exponential.of_alpha(1.7).fused(), lambda u: np.exp(1.7 * (u - 1))),
    "linear": (kernels.Linear().fused(), lambda u: u),
    "square": (kernels.Polynomial(2).fused(), lambda u: u**2),
    "quintic": (kernels.Polynomial(5).fused(), lambda u: u**5),
    "inner": (kernels.InnerPolynomial(0.5, 3).fused(), lambda u: ((u + 0.5) / 1.5) ** 3),
    "inverse": (kernels.InversePolynomial().fused(), lambda u: 1 / (2 - u)),
    "arccos0": (kernels.ArcCosine0().fused(), lambda u: 1 - arccos(u) / math.pi),
    "arccos1": (
        kernels.ArcCosine1().fused(),
        lambda u: (u * (math.pi - arccos(u)) + np.sin(arccos(u))) / math.pi,
    ),
    "matern0": (kernels.Matern(0.5, 1 / 1.5).fused(), lambda u: matern(u, 0)),
    "matern1": (kernels.Matern(1.5, 3**0.5 / 1.5).fused(), lambda u: matern(u, 1)),
    "matern2": (kernels.Matern(2.5, 5**0.5 / 1.5).fused(), lambda u: matern(u, 2)),
}


def test_every_function_of_the_source_is_tested():
    assert {ours.device.name for ours, _ in PAIRS.values()} == set(KAPPAS)


def numpys(x, z, function, transform, padding, s):
    """Return the map by its formula."""
    pads = [((k - 1) // 2, k // 2) if padding == "same" else (0, 0) for k in z.shape[2:]]
    # (n, c, ho, wo, kh, kw)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, [(0, 0), (0, 0), *pads]), z.shape[2:], axis=(2, 3)
    )
    # (n, 1, ho, wo)
    norms = np.sqrt((windows**2).sum(axis=(1, 4, 5)))[:, None]
    products = np.einsum("nchwij,pcij->nphw", windows, z)
    y = norms * function(products / np.where(norms > 0, norms, 1))
    if s != (1, 1):
        y = matrix(y.shape[2], s[0]) @ y @ matrix(y.shape[3], s[1]).T
    return y if transform is None else np.einsum("qp,nphw->nqhw", transform, y)


@st.composite
def cases(draw):
    """Draw images, one of them black, filters of norm 1, a transform or None, options."""
    dtype, seed = draw(dtypes), draw(seeds)
    n, p = draw(st.integers(1, 3)), draw(st.integers(1, 20))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    # In 4 dimensions cosines are rarely near +-1.
    c = draw(st.integers(0, 2)) + -(-4 // (kernel[0] * kernel[1]))
    size = tuple(draw(st.integers(k, 9)) for k in kernel)
    padding = draw(st.sampled_from(["same", "valid"]))
    s = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1.5, 3)]))
    x, z, transform = normal(seed, (n, c, *size), (p, c, *kernel), (p, p))
    x[draw(st.integers(0, n - 1))] = 0
    z /= np.sqrt((z**2).sum(axis=(1, 2, 3), keepdims=True))
    given_transform = None if draw(st.booleans()) else transform.astype(dtype).astype("float64")
    x, z = (a.astype(dtype).astype("float64") for a in (x, z))
    return dtype, seed, x, z, given_transform, padding, s


@pytest.mark.untraced
def test_the_map_and_its_gradient():
    @examples
    @given(cases(), st.sampled_from(sorted(PAIRS)))
    def run(case, name):
        dtype, seed, x, z, transform, padding, s = case
        ours, function = PAIRS[name]
        operands = [a for a in (x, z, transform) if a is not None]
        tensors = [Tensor(a.astype(dtype), requires_grad=True, device="cuda") for a in operands]
        y = ops.ckn_map(tensors[0], tensors[1], ours, *tensors[2:], padding=padding, subsampling=s)
        expected = numpys(x, z, function, transform, padding, s)
        agree(y.numpy(), expected, max(np.abs(expected).max(), np.abs(x).max()))

        black = ~x.any(axis=(1, 2, 3))
        g, *directions = normal(seed, expected.shape, *(a.shape for a in operands))
        # |x| has no derivative at 0.
        directions[0][black] = 0
        y.backward(Tensor(g.astype(dtype), device="cuda"))
        gradients = [tensor.grad.numpy() for tensor in tensors]
        assert not gradients[0][black].any()
        h = 1e-6

        def moved(step):
            parts = [a + step * d for a, d in zip(operands, directions, strict=True)]
            third = None if transform is None else parts[2]
            return (g * numpys(*parts[:2], function, third, padding, s)).sum()

        found = sum(float((a * d).sum()) for a, d in zip(gradients, directions, strict=True))
        terms = sum(np.abs(a * d).sum() for a, d in zip(gradients, directions, strict=True))
        # Their second derivatives are unbounded, so differences are inaccurate near u = +-1.
        rough = name in (
            "arccos0",
            "matern0",
        )
        assert (
            abs(found - (moved(h) - moved(-h)) / (2 * h))
            <= (1e-3 if rough or dtype == "float32" else 1e-6) * terms
        )

    run()
    launched_often("squares", "norms", "map", "map_vjp", "add_squares")


def test_patches_that_are_zero_in_part_of_an_image():
    x, z = normal(1, (1, 2, 8, 9), (5, 2, 3, 3))
    z /= np.sqrt((z**2).sum(axis=(1, 2, 3), keepdims=True))
    x[:, :, :, 3:] = 0
    got = on_gpu(lambda *a: ops.ckn_map(*a, kernels.Exponential(1.0).fused()), x, z)
    agree(got, numpys(x, z, lambda u: np.exp(u - 1), None, "same", (1, 1)))
    assert not got[..., 4:].any()


def test_a_nan_patch_is_not_a_zero_patch():
    x, z = np.full((1, 1, 1, 2), np.nan), np.ones((1, 1, 1, 1))
    x[..., 1] = 1
    got = on_gpu(lambda *a: ops.ckn_map(*a, kernels.Linear().fused()), x, z)
    assert np.isnan(got).ravel().tolist() == [True, False]


@pytest.mark.parametrize("name", PAIRS)
def test_nan_in_a_filter_reaches_its_map_and_the_gradient(name):
    x = Tensor(np.ones((1, 1, 1, 2)), requires_grad=True, device="cuda")
    z = Tensor(np.array([np.nan, 1.0]).reshape(2, 1, 1, 1), device="cuda")
    y = ops.ckn_map(x, z, PAIRS[name][0])
    assert np.isnan(y.numpy()).all(axis=(2, 3)).tolist() == [[True, False]]
    y.sum().backward()
    assert np.isnan(x.grad.numpy()).all()


@pytest.mark.parametrize(
    "ours",
    [
        kernels.PowerSeries((0.5, 0.5)).fused(),
        (kernels.Linear() * kernels.Polynomial(2)).fused(),
        Kappa.from_function(lambda u: u * u),
    ],
    ids=["series", "product", "function"],
)
def test_kappas_without_a_device_function_are_composed(ours):
    assert ours.device is None
    x, z = normal(1, (2, 2, 6, 5), (3, 2, 2, 2))
    z /= np.sqrt((z**2).sum(axis=(1, 2, 3), keepdims=True))
    agree(on_gpu(lambda *a: ops.ckn_map(*a, ours), x, z), numpys(x, z, ours, None, "same", (1, 1)))


def test_a_forward_that_saves_nothing_gives_the_same():
    x, z = (CUPY.asarray(a) for a in normal(4, (2, 3, 7, 6), (4, 3, 3, 3)))
    kept, saved = ops.ckn_map.kernels["cuda"](
        CUPY, x, z, kernels.Matern(2.5, 5**0.5).fused(), saving=True
    )
    plain, nothing = ops.ckn_map.kernels["cuda"](CUPY, x, z, kernels.Matern(2.5, 5**0.5).fused())
    assert saved is not None
    assert nothing is None
    agree(CUPY.asnumpy(plain), CUPY.asnumpy(kept))


def test_no_images():
    z = np.ones((2, 1, 1, 1))
    assert on_gpu(
        lambda *a: ops.ckn_map(*a, kernels.Linear().fused()), np.zeros((0, 1, 4, 5)), z
    ).shape == (
        0,
        2,
        4,
        5,
    )


@pytest.mark.parametrize("shared", [pool.SHARED_BYTES, 10])
@pytest.mark.parametrize("subsampling", [1, 2])
@pytest.mark.parametrize("operands", [2, 3])
def test_a_gradient_of_any_memory_layout(monkeypatch, shared, subsampling, operands):
    # With 10 bytes, matrix products pool.
    monkeypatch.setattr(pool, "SHARED_BYTES", shared)
    x, z, *transform = (
        CUPY.asarray(a) for a in normal(0, (3, 2, 6, 8), (4, 2, 3, 3), (4, 4))[:operands]
    )
    forward = ops.ckn_map.kernels["cuda"]
    y, saved = forward(
        CUPY,
        x,
        z,
        kernels.Exponential(1.0).fused(),
        *transform,
        subsampling=subsampling,
        saving=True,
    )
    (wide,) = normal(1, (*y.shape[:3], 2 * y.shape[3]))
    turned = CUPY.asarray(wide.T.copy()).T[..., : y.shape[3]]
    for g in (
        CUPY.asarray(wide)[..., ::2],
        turned,
        CUPY.broadcast_to(CUPY.asarray(wide[0, 0, 0, 0]), y.shape),
    ):
        assert not g.flags.c_contiguous
        needs_grad = [True, True, bool(transform)]
        expected = saved.vjp(CUPY.ascontiguousarray(g), needs_grad)
        for mine, theirs in zip(saved.vjp(g, needs_grad)[:operands], expected, strict=False):
            agree(CUPY.asnumpy(mine), CUPY.asnumpy(theirs))


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e19, 1e30])
def test_the_map_is_homogeneous_at_every_scale(scale):
    x, z = normal(0, (2, 3, 5, 6), (4, 3, 3, 3))
    z /= np.sqrt((z**2).sum(axis=(1, 2, 3), keepdims=True))
    power = float(np.float32(scale))
    ours = kernels.Exponential(1.0).fused()
    y = ops.ckn_map(
        Tensor((x * power).astype("float32"), device="cuda"),
        Tensor(z.astype("float32"), device="cuda"),
        ours,
    )
    expected = numpys(x, z, lambda u: np.exp(u - 1), None, "same", (1, 1))
    np.testing.assert_allclose(y.numpy().astype("float64") / power, expected, atol=1e-5)
