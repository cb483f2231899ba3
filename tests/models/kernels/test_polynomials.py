import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.kernels import (
    InnerPolynomial,
    InversePolynomial,
    Linear,
    Polynomial,
    PowerSeries,
    make_kernel,
)
from tinygrad_ckn.testing.strategies import arrays, unit_sphere

few = settings(max_examples=15, deadline=None)


@given(degree=st.integers(1, 7), u=st.floats(-1, 1))
@few
def test_polynomial_kappa_for_any_degree(degree: int, u: float) -> None:
    np.testing.assert_allclose(
        Polynomial(degree).kappa(np.array(u)), math.prod([u] * degree), rtol=1e-12, atol=1e-300
    )


@pytest.mark.parametrize("degree", [0, -2, 1.5])
def test_degree_must_be_a_positive_integer(degree: float) -> None:
    message = f"^Polynomial: argument degree expected an integer >= 1, got {degree!r}$"
    with pytest.raises(ConfigError, match=message):
        make_kernel({"name": "polynomial", "degree": degree})


@given(x=arrays(3, 4), y=arrays(2, 4))
@few
def test_linear_is_the_inner_product(x: np.ndarray, y: np.ndarray) -> None:
    np.testing.assert_allclose(Linear()(x, y), x @ y.T, atol=1e-13)


@given(x=unit_sphere(3, 4), y=unit_sphere(2, 4), c=st.floats(0, 5), degree=st.integers(1, 5))
@few
def test_inner_polynomial_is_scikit_learns_on_unit_vectors(x, y, c: float, degree: int) -> None:
    pairwise = pytest.importorskip(
        "sklearn.metrics.pairwise", reason="scikit-learn, a development tool"
    )
    expected = pairwise.polynomial_kernel(x, y, degree=degree, gamma=1 / (1 + c), coef0=c / (1 + c))
    np.testing.assert_allclose(InnerPolynomial(c, degree)(x, y), expected, rtol=1e-11, atol=1e-14)


def test_inverse_polynomial_is_a_power_series() -> None:
    u = np.linspace(-1, 0.9, 21)
    series = PowerSeries([2.0 ** -(n + 1) for n in range(60)])
    np.testing.assert_allclose(series.kappa(u), InversePolynomial().kappa(u), rtol=1e-13)


@given(
    coefficients=st.lists(st.floats(0, 10), min_size=1, max_size=6).filter(lambda a: max(a) > 1e-3),
    u=st.floats(-1, 1),
)
@few
def test_power_series_is_the_polynomial_of_its_normalised_coefficients(
    coefficients: list[float], u: float
) -> None:
    series = PowerSeries(coefficients)
    expected = math.fsum(a * u**n for n, a in enumerate(coefficients)) / math.fsum(coefficients)
    np.testing.assert_allclose(series.kappa(np.array(u)), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(series.kappa(np.array(1.0)), 1, rtol=1e-14)
    assert make_kernel(json.loads(json.dumps(series.config()))) == series


@pytest.mark.parametrize(
    "coefficients", [[], [0, 0.0], [1, -1e-9], [math.inf], [1, math.nan], ["a"], 3, "ab", None]
)
def test_coefficients_must_be_non_negative_numbers(coefficients) -> None:
    message = r"^PowerSeries: argument coefficients expected finite numbers >= 0, at least one "
    with pytest.raises(ConfigError, match=message):
        PowerSeries(coefficients)


@pytest.mark.parametrize("c", [-0.1, math.nan, "a"])
def test_constant_of_an_inner_polynomial_must_be_non_negative(c) -> None:
    with pytest.raises(
        ConfigError, match=f"^InnerPolynomial: argument c expected a finite number >= 0, got {c!r}$"
    ):
        InnerPolynomial(c)


def test_degree_of_an_inner_polynomial_must_be_a_positive_integer() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^InnerPolynomial: argument degree expected an integer >= 1, got 1\.5$",
    ):
        InnerPolynomial(1.0, 1.5)
