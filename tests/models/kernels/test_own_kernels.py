"""Kernels of users, their sums and products: the fused map against the composed one."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, grad, no_grad, ops
from tinygrad_ckn.models import CKNLayer
from tinygrad_ckn.models.kernels import ArcCosine1, Exponential, Kernel, Matern, Polynomial
from tinygrad_ckn.ops.ckn_map import reference_map
from tinygrad_ckn.testing import gradcheck
from tinygrad_ckn.testing.strategies import arrays, patches_with_zero_norm


@dataclass(frozen=True)
class Geometric(Kernel):
    rate: float = 0.5

    def kappa(self, u):
        return (1 - self.rate) / (1 - self.rate * u)


class Quadratic(Kernel):
    def kappa(self, u):
        return 0.25 * u * u + 0.5 * u + 0.25


class ByMethods(Kernel):
    """A kappa that takes Tensors only, as a layer passes them."""

    def kappa(self, u):
        return (u - 1).exp()


class Constant(Kernel):
    def kappa(self, u):
        return ops.where(u > 2, u, 1)


class Trained(Kernel):
    def initial_parameters(self):
        return {"slope": 1.0}

    def kappa(self, u, slope=1.0):
        return ops.exp(slope * (u - 1))


OWN = [Geometric(0.25), Quadratic(), ByMethods(), Constant(), Trained()]
kernels = st.recursive(
    st.sampled_from([*OWN, Exponential(0.5), Polynomial(2), Matern(1.5), ArcCosine1()]),
    lambda member: st.one_of(
        st.builds(lambda a, b, w: w * a + b, member, member, st.floats(0.1, 3)),
        st.builds(lambda a, b: a * b, member, member),
    ),
    max_leaves=3,
)


def value_and_gradients(function, *operands):
    """Return the value and the gradients of a function of arrays."""
    tensors = [Tensor(a, requires_grad=True) for a in operands]
    y = function(*tensors)
    g = np.cos(np.arange(y.size)).reshape(y.shape)
    return [y.numpy(), *(gradient.numpy() for gradient in grad(y, tensors, gradient=g))]


@given(
    kernel=kernels,
    shape=st.sampled_from([(1, 2, 3), (3, 5, 2), (12, 7, 1), (16, 17, 3)]),
    size=st.tuples(st.integers(3, 8), st.integers(3, 8)),
    subsampling=st.sampled_from([1, 1.5, 2]),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 100),
)
@settings(max_examples=60, deadline=None)
def test_the_fused_map_equals_the_reference(kernel, shape, size, subsampling, dtype, seed):
    channels, p, k = shape
    random = np.random.default_rng(seed)
    x = random.normal(size=(2, channels, *size))
    x[0, :, : size[0] // 2] = 0
    z = random.normal(size=(p, channels, k, k))
    z /= np.sqrt((z * z).sum(axis=(1, 2, 3), keepdims=True))
    operands = [a.astype(dtype) for a in (x, z, random.normal(size=(p, p)))]
    kappa = kernel.fused()
    fused = value_and_gradients(
        lambda x, z, t: ops.ckn_map(x, z, kappa, t, subsampling=subsampling), *operands
    )
    composed = value_and_gradients(
        lambda x, z, t: reference_map(x, z, kernel.kappa, t, "same", subsampling), *operands
    )
    tolerance = 1e-11 if dtype == "float64" else 2e-4
    for ours, reference in zip(fused, composed, strict=True):
        assert ours.dtype == dtype
        assert np.abs(ours - reference).max() <= tolerance * max(1, np.abs(reference).max())


@given(
    kernel=st.sampled_from([Geometric(0.25) + Matern(2.5), Quadratic() * Exponential(0.6)]),
    x=patches_with_zero_norm(3, 4),
    z=arrays(5, 4, low=-0.3, high=0.3),
)
@settings(max_examples=10, deadline=None)
def test_gradients_of_order_1_and_2_with_zero_patches(kernel, x, z):
    kappa = kernel.fused()

    def function(z):
        return ops.ckn_map(x.reshape(3, 4, 1, 1), z.reshape((5, 4, 1, 1)), kappa)

    assert gradcheck(function, [z], order=2).error < 1e-5


def test_the_map_of_zero_patches_is_0_with_zero_gradients():
    x, z = np.zeros((2, 3, 4, 4)), np.ones((2, 3, 1, 1)) / 3**0.5
    for kernel in OWN:
        y, dx, dz = value_and_gradients(
            lambda x, z, kernel=kernel: ops.ckn_map(x, z, kernel.fused()), x, z
        )
        assert not y.any()
        assert not dx.any()
        assert not dz.any()


@pytest.mark.parametrize("kernel", OWN, ids=lambda kernel: type(kernel).__name__)
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_layer_gives_the_same_without_the_fused_map(kernel, mode, monkeypatch):
    layer = getattr(CKNLayer(2, 5, 3, subsampling=2, kernel=kernel, rng=0), mode)()
    x = Tensor(np.random.default_rng(0).normal(size=(3, 2, 7, 6)).astype("float32"))
    with no_grad():
        fused = layer(x).numpy()
        monkeypatch.setattr(type(kernel), "fused", lambda self, **parameters: None)
        np.testing.assert_allclose(layer(x).numpy(), fused, rtol=1e-4, atol=1e-5)


def test_a_tensor_within_kappa_gets_its_gradient():
    scale = Tensor(2.0, requires_grad=True)

    class Closure(Kernel):
        def kappa(self, u):
            return ops.exp(scale * (u - 1))

    assert Closure().fused() is None
    assert (Closure() * Quadratic()).fused() is None
    x = Tensor(np.random.default_rng(0).normal(size=(1, 2, 5, 5)))
    CKNLayer(2, 3, 3, kernel=Closure(), dtype="float64")(x).sum().backward()
    assert scale.grad.item() != 0


def test_a_trained_parameter_is_a_number_of_the_fused_map():
    kernel, u = Trained(), np.linspace(-1, 1, 5, dtype="float32")
    assert kernel.fused(slope=Tensor(2.0, requires_grad=True)) is None
    for slope in (2.0, Tensor(2.0)):
        values = kernel.fused(slope=slope)(u)
        np.testing.assert_allclose(values, np.exp(2 * (u - 1)), rtol=1e-6)
        assert values.dtype == "float32"
