import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad
from tinygrad_ckn.ops import kappa

MADE = {
    "exponential": kappa.exponential(2.5),
    "linear": kappa.linear(),
    "first power": kappa.polynomial(1),
    "square": kappa.polynomial(2),
    "cube": kappa.polynomial(3),
    "inner polynomial": kappa.inner_polynomial(0.5, 3),
    "inverse polynomial": kappa.inverse_polynomial(),
    "power series": kappa.power_series((0.25, 0.0, 0.75)),
    "constant": kappa.power_series((1.0,)),
    "arccos0": kappa.arccos0(),
    "arccos1": kappa.arccos1(),
    **{f"matern {order}": kappa.matern(1.5, order) for order in range(3)},
}


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_and_slope_are_the_function_and_its_derivative(made, dtype: str) -> None:
    x = Tensor(np.linspace(-0.9, 0.9, 24).reshape(2, 3, 4), requires_grad=True)
    y = made.of(x)
    (slopes,) = grad(y.sum(), x)
    bound = {"rtol": 1e-12, "atol": 1e-14} if dtype == "float64" else {"rtol": 2e-5, "atol": 2e-6}
    v = (made.scale * x.numpy() + made.shift).astype(dtype)
    kept, values = v.copy(), np.empty_like(v)
    made.value(np, v, values)
    np.testing.assert_allclose(values, y.numpy(), **bound)
    found = made.slope(np, v, values, np.full_like(v, np.nan))
    np.testing.assert_allclose(made.scale * found, slopes.numpy(), **bound)
    assert found.dtype == dtype
    np.testing.assert_array_equal(v, kept)
    # in its own memory
    made.value(np, v, v)
    np.testing.assert_array_equal(v, values)


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
@pytest.mark.parametrize("u", [1.0, 1 + 1e-12, -1.0, -1 - 1e-12])
def test_value_and_slope_are_finite_at_the_ends(made, u: float) -> None:
    v = np.array([made.scale * u + made.shift])
    values = np.empty_like(v)
    made.value(np, v, values)
    np.testing.assert_allclose(
        values, made.of(np.array([u])), atol=1e-5
    )  # Matern of 1/2 has an infinite slope at 1
    assert np.isfinite(made.slope(np, v, values, np.empty_like(v))).all()


@pytest.mark.parametrize(("order", "slope"), [(0, 0.0), (1, 2.25), (2, 0.75)])
def test_matern_slope_at_distance_0(order: int, slope: float) -> None:
    made, zero = kappa.matern(1.5, order), np.zeros(1)
    assert made.scale * made.slope(np, zero, np.ones(1), np.empty(1))[0] == slope
