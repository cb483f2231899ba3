"""Special functions against mpmath, and derivatives of high order against its own."""

import mpmath
import numpy as np
import pytest
import scipy.special

from tinygrad_ckn import Tensor, grad, ops

x = np.array([0.15, 0.4, 0.85])
MPMATH = {
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "erfinv": mpmath.erfinv,
    "ndtr": mpmath.ncdf,
    "gammaln": mpmath.loggamma,
    "digamma": mpmath.digamma,
    "logit": lambda p: mpmath.log(p / (1 - p)),
    "i0e": lambda z: mpmath.besseli(0, z) * mpmath.exp(-abs(z)),
}


@pytest.mark.parametrize("name", MPMATH)
@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_derivatives_of_any_order(name, order):
    point = Tensor(x, requires_grad=True)
    values = getattr(ops, name)(point)
    for _ in range(order):
        (values,) = grad(values.sum(), point, create_graph=True)
    with mpmath.workdps(40):
        expected = [float(mpmath.diff(MPMATH[name], mpmath.mpf(p), order)) for p in x]
    assert np.allclose(values.numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("name", MPMATH)
def test_dtypes_are_kept_and_integers_become_float64(name):
    assert getattr(ops, name)(x.astype("float32")).dtype == "float32"
    assert getattr(ops, name)(Tensor(1)).dtype == "float64"


def test_order_of_bessel_functions():
    for n in range(4):
        assert np.allclose(ops.ive(n, x), scipy.special.ive(n, x))
        assert np.allclose(ops.polygamma(n, x), scipy.special.polygamma(n, x))


def test_xlogy_is_0_at_0():
    a = Tensor([0.0, 0.0, 2.0], requires_grad=True)
    assert np.allclose(ops.xlogy(a, np.array([0.0, 3.0, 3.0])).numpy(), [0, 0, 2 * np.log(3)])
    slope = grad(ops.xlogy(a, 3.0).sum(), a)[0]
    assert ops.xlogy(Tensor([1.0], dtype="float32"), 3.0).dtype == "float32"
    assert ops.xlogy(2, 3).dtype == "float64"
    assert np.allclose(slope.numpy(), np.log(3))
