import math

import numpy as np
import pytest
import scipy.special

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import ConfigError


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("rate", [0.3, 1.0, 4.0])
def test_matern_agrees_with_its_formula_by_bessel_functions(order: int, rate: float) -> None:
    # Rasmussen and Williams 2006, equation (4.14), for sqrt(2 nu) r / l = rate d
    nu, u = order + 0.5, np.linspace(-1, 0.999, 40)
    s = rate * np.sqrt(2 - 2 * u)
    expected = 2 ** (1 - nu) / scipy.special.gamma(nu) * s**nu * scipy.special.kv(nu, s)
    np.testing.assert_allclose(ops.kappa_matern(u, rate, order), expected, rtol=1e-12)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_matern_derivatives_of_every_order_are_finite_at_cosine_1(order: int) -> None:
    u = Tensor([1.0, 1 + 1e-15, 1.5, math.nextafter(1.0, 0.0)], requires_grad=True)
    y = ops.kappa_matern(u, 2.0, order)
    assert y.tolist()[:3] == [1, 1, 1]
    for _ in range(4):
        (y,) = grad(y.sum(), u, create_graph=True)
        assert np.isfinite(y.numpy()).all()


def test_matern_of_far_points_vanishes_without_a_warning() -> None:
    u = Tensor([-1.0, 1.0], requires_grad=True)
    y = ops.kappa_matern(u, 1e6, 2)
    assert y.tolist() == [0, 1]
    assert grad(y.sum(), u)[0].tolist() == pytest.approx([0, 1e12 / 3])


@pytest.mark.parametrize("coefficients", [(0.3,), (0.0, 1.0), (0.1, 0.0, 0.5, 0.4)])
def test_power_series_and_derivatives_agree_with_numpy(coefficients) -> None:
    u, polynomial = np.linspace(-1, 1, 9), np.polynomial.Polynomial(coefficients)
    x = Tensor(u, requires_grad=True)
    y = ops.kappa_power_series(x, coefficients)
    np.testing.assert_allclose(y.numpy(), polynomial(u), rtol=1e-14, atol=1e-15)
    (first,) = grad(y.sum(), x, create_graph=True)
    np.testing.assert_allclose(first.numpy(), polynomial.deriv()(u), rtol=1e-13, atol=1e-14)
    (second,) = grad(first.sum(), x)
    np.testing.assert_allclose(second.numpy(), polynomial.deriv(2)(u), rtol=1e-13, atol=1e-14)


def test_integers_count_as_floats() -> None:
    whole = np.array([1, 0, -1])
    assert ops.kappa_matern(whole, 1.0, 1).dtype == "float64"
    np.testing.assert_array_equal(ops.kappa_power_series(whole, (0.5, 0.25, 0.25)), [1, 0.5, 0.5])


@pytest.mark.parametrize("u", [-1.0, 1.0, 1 + 1e-12, -1 - 1e-12])
def test_arc_cosine_kernels_at_their_singular_ends(u: float) -> None:
    x = Tensor([u], requires_grad=True)
    ends = {True: (1.0, 1.0), False: (0.0, 0.0)}[u > 0]
    for function, value in zip((ops.kappa_arccos0, ops.kappa_arccos1), ends, strict=True):
        y = function(x)
        assert math.isclose(y.item(), value, abs_tol=1e-12)
        (g,) = grad(y.sum(), x, create_graph=True)
        (gg,) = grad(g.sum(), x) if g.requires_grad else (g,)
        assert gg is None or np.isfinite(gg.numpy()).all()
        expected = ops.kappa_arccos0(np.array([u]))[0] if function is ops.kappa_arccos1 else 0.0
        assert g.item() == expected


def test_arc_cosine_kernels_agree_with_their_integral() -> None:
    def monte_carlo(order, u):
        w = np.random.default_rng(0).standard_normal((400_000, 2))
        a, b = w[:, 0], u * w[:, 0] + math.sqrt(1 - u * u) * w[:, 1]
        return 2 * np.mean((a > 0) * (b > 0) * (a * b) ** order)

    for u in (-0.6, 0.0, 0.7):
        assert math.isclose(ops.kappa_arccos0(np.array(u)), monte_carlo(0, u), abs_tol=0.01)
        assert math.isclose(ops.kappa_arccos1(np.array(u)), monte_carlo(1, u), abs_tol=0.01)


def test_degree_is_checked() -> None:
    with pytest.raises(ConfigError, match=r"an integer >= 1, got 1\.5"):
        ops.kappa_polynomial(np.ones(3), 1.5)
