import pickle

import numpy as np
import pytest

from tinygrad_ckn import Tensor, detect_anomaly, grad, no_grad, ops
from tinygrad_ckn.models import kernels
from tinygrad_ckn.ops.kappa import DeviceFunction, Kappa

KAPPAS = {
    # by hand
    "exponential": kernels.Exponential(0.6).fused(),
    "first power": kernels.Polynomial(1).fused(),
    "square": kernels.Polynomial(2).fused(),
    "cube": kernels.Polynomial(3).fused(),
    # by grad
    "linear": kernels.Linear().fused(),
    "inner polynomial": kernels.InnerPolynomial(0.5, 3).fused(),
    "inverse polynomial": kernels.InversePolynomial().fused(),
    "power series": kernels.PowerSeries((0.25, 0.0, 0.75)).fused(),
    "constant": kernels.PowerSeries((1.0,)).fused(),
    "arccos0": kernels.ArcCosine0().fused(),
    "arccos1": kernels.ArcCosine1().fused(),
    **{f"matern {nu}": kernels.Matern(nu, 1.5).fused() for nu in (0.5, 1.5, 2.5)},
    "sum": (0.3 * kernels.Exponential(0.5) + 0.7 * kernels.Matern(1.5)).fused(),
    "product": (kernels.Polynomial(2) * kernels.ArcCosine1()).fused(),
    "function": Kappa.from_function(lambda u: ops.exp(u) / ops.exp(1.0)),
}


@pytest.mark.parametrize("kappa", KAPPAS.values(), ids=KAPPAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_and_slope_are_the_function_and_its_derivative(kappa, dtype: str) -> None:
    u = Tensor(np.linspace(-0.9, 0.9, 24).reshape(2, 3, 4), requires_grad=True)
    y = kappa(u)
    (expected,) = grad(y.sum(), u)
    bound = {"rtol": 1e-12, "atol": 1e-14} if dtype == "float64" else {"rtol": 2e-5, "atol": 2e-6}
    v = (kappa.scale * u.numpy() + kappa.shift).astype(dtype)
    original, values, again = v.copy(), np.empty_like(v), np.empty_like(v)
    kappa.value(np, v, values)
    np.testing.assert_allclose(values, y.numpy(), **bound)
    slopes = kappa.value_and_slope(np, v, again, np.full_like(v, np.nan))
    np.testing.assert_allclose(kappa.scale * slopes, expected.numpy(), **bound)
    assert slopes.dtype == dtype
    np.testing.assert_array_equal(again, values)
    np.testing.assert_array_equal(v, original)
    # in place
    kappa.value(np, v, v)
    np.testing.assert_array_equal(v, values)


@pytest.mark.parametrize("kappa", KAPPAS.values(), ids=KAPPAS)
@pytest.mark.parametrize("u", [1.0, 1 + 1e-12, -1.0, -1 - 1e-12])
def test_value_and_slope_are_finite_at_the_ends(kappa, u: float) -> None:
    v = np.array([kappa.scale * u + kappa.shift])
    values = np.empty_like(v)
    slopes = kappa.value_and_slope(np, v, values, np.empty_like(v))
    # Matern 1/2 has an infinite slope at 1.
    np.testing.assert_allclose(values, kappa(np.array([u])), atol=1e-5)
    assert np.isfinite(slopes).all()


@pytest.mark.parametrize(("nu", "slope"), [(0.5, 0.0), (1.5, 2.25), (2.5, 0.75)])
def test_matern_slope_at_distance_0(nu: float, slope: float) -> None:
    # sqrt(2 nu) / length_scale = 1.5
    kappa, one = kernels.Matern(nu, (2 * nu) ** 0.5 / 1.5).fused(), np.ones(1)
    slopes = kappa.value_and_slope(np, one, np.empty(1), np.empty(1))
    np.testing.assert_allclose(slopes, slope, rtol=1e-15)


@pytest.mark.parametrize("function", [lambda u: 0.5, lambda u: np.full(u.shape, 0.5)])
def test_a_constant_has_slope_0(function) -> None:
    v, values, slopes = np.ones(3), np.empty(3), np.full(3, np.nan)
    found = Kappa.from_function(function).value_and_slope(np, v, values, slopes)
    assert values.tolist() == [0.5] * 3
    assert found.tolist() == [0] * 3


def test_the_slope_is_computed_within_no_grad_and_detect_anomaly() -> None:
    kappa = Kappa.from_function(lambda u: u * u)
    v, values, slopes = np.array([3.0]), np.empty(1), np.empty(1)
    for block in (no_grad, detect_anomaly):
        with block():
            assert kappa.value_and_slope(np, v, values, slopes).tolist() == [6]
            assert values.tolist() == [9]


def test_a_wider_result_is_cast_to_the_dtype_of_the_cosines() -> None:
    kappa = Kappa.from_function(lambda u: u * np.float64(0.5))
    v, values, slopes = np.ones((3, 2, 2), "float32")
    assert kappa.value_and_slope(np, v, values, slopes).dtype == "float32"
    assert values.tolist() == [[0.5, 0.5]] * 2


def half(u):
    return u / 2


def test_it_pickles_if_its_function_does() -> None:
    device = DeviceFunction("Half", order=1, scale=0.5)
    again = pickle.loads(pickle.dumps(Kappa.from_function(half, device)))
    assert again.device == device
    assert again(3.0) == 1.5
