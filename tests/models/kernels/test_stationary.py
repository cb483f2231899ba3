import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, grad
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.kernels import Exponential, Matern, make_kernel
from tinygrad_ckn.testing import gradcheck
from tinygrad_ckn.testing.strategies import arrays, unit_sphere

few = settings(max_examples=15, deadline=None)


@given(sigma=st.floats(0.2, 3), u=st.floats(-1, 1))
@few
def test_exponential_kappa_for_any_sigma(sigma: float, u: float) -> None:
    expected = math.exp((u - 1) / sigma**2)
    np.testing.assert_allclose(Exponential(sigma).kappa(np.array(u)), expected, rtol=1e-12)


@given(x=unit_sphere(4, 5), y=unit_sphere(3, 5), sigma=st.floats(0.3, 2))
@few
def test_exponential_is_gaussian_on_unit_vectors(x, y, sigma: float) -> None:
    squared_distances = ((x[:, None] - y[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(
        Exponential(sigma)(x, y), np.exp(-squared_distances / (2 * sigma**2)), rtol=1e-12
    )


@pytest.mark.parametrize("sigma", [0, -1.0, math.nan, "a"])
def test_sigma_must_be_positive(sigma: float) -> None:
    with pytest.raises(
        ConfigError,
        match=f"^Exponential: argument sigma expected a finite number > 0, got {sigma!r}$",
    ):
        Exponential(sigma)


@given(alpha=st.floats(0.1, 50), u=st.floats(-1, 1))
@few
def test_exponential_by_alpha(alpha: float, u: float) -> None:
    made = Exponential.of_alpha(alpha)
    np.testing.assert_allclose(made.kappa(np.array(u)), math.exp(alpha * (u - 1)), rtol=1e-12)
    assert make_kernel(made.config()) == made


@pytest.mark.parametrize("alpha", [0, -1.0, math.inf, "a"])
def test_alpha_must_be_positive(alpha) -> None:
    with pytest.raises(
        ConfigError,
        match=f"^Exponential.of_alpha: argument alpha expected a finite number > 0, got {alpha!r}$",
    ):
        Exponential.of_alpha(alpha)


def test_trained_must_be_a_bool() -> None:
    with pytest.raises(
        ConfigError, match=r"^Exponential: argument trained expected True or False, got 1$"
    ):
        Exponential(0.5, trained=1)


def test_an_exponential_has_a_parameter_only_if_trained() -> None:
    assert Exponential(0.5).initial_parameters() == {}
    (value,) = Exponential(0.5, trained=True).initial_parameters().values()
    assert math.isclose(math.exp(value), 4)
    assert Exponential(0.5, trained=True) != Exponential(0.5)


@given(u=arrays(3, low=-1, high=1), log_alpha=st.floats(-1, 2))
@few
def test_first_and_second_derivatives_in_log_alpha(u: np.ndarray, log_alpha: float) -> None:
    def function(u, log_alpha):
        return Exponential(0.5, trained=True).kappa(u, log_alpha=log_alpha)

    np.testing.assert_allclose(
        function(u, log_alpha), np.exp(math.exp(log_alpha) * (u - 1)), rtol=1e-12
    )
    assert gradcheck(function, [u, np.array(log_alpha)], order=2).error < 1e-6


def test_there_is_no_fused_kappa_if_alpha_requires_a_gradient() -> None:
    trained = Exponential(0.5, trained=True)
    assert trained.fused(log_alpha=Tensor(1.0, requires_grad=True)) is None
    u = np.linspace(-1, 1, 5)
    for value in (1.0, Tensor(1.0)):
        np.testing.assert_allclose(
            trained.fused(log_alpha=value)(u), np.exp(math.e * (u - 1)), rtol=1e-14
        )


@given(
    x=unit_sphere(4, 5),
    y=unit_sphere(3, 5),
    nu=st.sampled_from([0.5, 1.5, 2.5]),
    length_scale=st.floats(0.2, 3),
)
@few
def test_matern_is_scikit_learns_on_unit_vectors(x, y, nu: float, length_scale: float) -> None:
    theirs = pytest.importorskip(
        "sklearn.gaussian_process.kernels", reason="scikit-learn, a development tool"
    )
    # where x is y, theirs has the distance 0 and we have what rounding of the cosine made of it
    expected = theirs.Matern(length_scale, nu=nu)(x, y)
    np.testing.assert_allclose(
        Matern(nu, length_scale)(x, y), expected, rtol=1e-9, atol=1e-7 if nu == 0.5 else 1e-12
    )


@pytest.mark.parametrize("u", [1.0, 1 + 1e-15, 1 + 1e-9])
def test_derivatives_of_matern_kernels_at_cosine_1_and_beyond(u: float) -> None:
    # With a = sqrt(2 nu) / length_scale: a^2 for nu = 3/2; a^2/3 and a^4/3 for nu = 5/2.
    # Infinite derivatives are defined as 0.
    for nu, expected in {0.5: (0, 0), 1.5: (3 / 4, 0), 2.5: (5 / 12, 25 / 48)}.items():
        x = Tensor([u], requires_grad=True)
        (first,) = grad(Matern(nu, 2.0).kappa(x).sum(), x, create_graph=True)
        (second,) = grad(first.sum(), x)
        np.testing.assert_allclose([first.item(), second.item()], expected, rtol=1e-14)


@pytest.mark.parametrize("nu", [0, 1.0, math.inf, "a", None])
def test_nu_is_one_of_three(nu) -> None:
    with pytest.raises(
        ConfigError, match=r"^Matern: argument nu expected 0\.5, 1\.5 or 2\.5, got "
    ):
        Matern(nu)


@pytest.mark.parametrize("length_scale", [0, -1, math.nan, "a"])
def test_length_scale_must_be_positive(length_scale) -> None:
    with pytest.raises(
        ConfigError, match=r"^Matern: argument length_scale expected a finite number > 0, got "
    ):
        Matern(1.5, length_scale)
