import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from tinygrad_ckn import Tensor, grad
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.models import CKN, CKNLayer, kernels
from tinygrad_ckn.models.kernels import ArcCosine0, ArcCosine1, Exponential, Kernel, Polynomial, kernel
from tinygrad_ckn.testing import gradcheck
from tinygrad_ckn.testing.strategies import arrays, patches_with_zero_norm, unit_sphere

few = settings(max_examples=15, deadline=None)


def test_kappa_of_1_is_1(case) -> None:
    assert case.kernel.kappa(np.array(1.0)) == 1


def test_kappa_is_its_formula(case) -> None:
    u = np.linspace(-1, 1, 41)
    np.testing.assert_allclose(case.kernel.kappa(u), [case.kappa(v) for v in u], rtol=1e-13, atol=1e-15)


@given(sigma=st.floats(0.2, 3), u=st.floats(-1, 1))
@few
def test_exponential_kappa_for_any_sigma(sigma: float, u: float) -> None:
    expected = math.exp((u - 1) / sigma**2)
    np.testing.assert_allclose(Exponential(sigma).kappa(np.array(u)), expected, rtol=1e-12)


@given(degree=st.integers(1, 7), u=st.floats(-1, 1))
@few
def test_polynomial_kappa_for_any_degree(degree: int, u: float) -> None:
    np.testing.assert_allclose(Polynomial(degree).kappa(np.array(u)), math.prod([u] * degree), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("theta", [0.0, 0.1, math.pi / 3, math.pi / 2, 2.5, math.pi])
def test_arc_cosine_kernels_are_means_over_random_units(theta: float) -> None:
    # Cho and Saul 2009, equation (1): 2 E[step(w.x) step(w.y) (w.x)^n (w.y)^n], w Gaussian, in polar coordinates of
    # the plane of x and y; E[r^2] = 2.
    def mean(unit) -> float:
        low, high = theta - math.pi / 2, math.pi / 2
        return quad(lambda phi: unit(math.cos(phi)) * unit(math.cos(phi - theta)), low, high)[0] / math.pi

    u = np.array(math.cos(theta))
    np.testing.assert_allclose(ArcCosine0().kappa(u), mean(lambda c: 1.0), atol=1e-12)
    np.testing.assert_allclose(ArcCosine1().kappa(u), 2 * mean(lambda c: c), atol=1e-12)


@given(x=patches_with_zero_norm(4, 3), y=patches_with_zero_norm(5, 3))
@few
def test_gram_matrix_is_its_formula(case, x: np.ndarray, y: np.ndarray) -> None:
    np.testing.assert_allclose(case.kernel(x, y), case.gram(x, y), rtol=case.tolerance, atol=10 * case.tolerance)


@given(x=arrays(st.integers(1, 5), 3))
@few
def test_gram_matrix_of_one_set_has_squared_norms_on_its_diagonal(case, x: np.ndarray) -> None:
    k = case.kernel(x)
    np.testing.assert_allclose(np.diagonal(k), [math.fsum(v * v) for v in x], rtol=case.tolerance)
    np.testing.assert_array_equal(k, case.kernel(x, x))


@given(x=patches_with_zero_norm(3, 4), y=arrays(2, 4), a=st.floats(0.01, 100), b=st.floats(0.01, 100))
@few
def test_kernel_is_positively_homogeneous_in_each_argument(case, x, y, a: float, b: float) -> None:
    expected = a * b * case.kernel(x, y)
    np.testing.assert_allclose(
        case.kernel(a * x, b * y), expected, rtol=case.tolerance, atol=10 * case.tolerance * a * b
    )


@given(x=arrays(st.integers(1, 8), st.integers(1, 4)))
@few
def test_gram_matrices_are_positive_semi_definite(case, x: np.ndarray) -> None:
    k = case.kernel(np.concatenate([x, x[:1], 2 * x[-1:]]))
    np.testing.assert_allclose(k, k.T, atol=1e-12)
    assert np.linalg.eigvalsh(k)[0] >= -1e-7 * np.trace(k)


@given(x=unit_sphere(4, 5), y=unit_sphere(3, 5), sigma=st.floats(0.3, 2))
@few
def test_exponential_is_gaussian_on_unit_vectors(x, y, sigma: float) -> None:
    squared_distances = ((x[:, None] - y[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(Exponential(sigma)(x, y), np.exp(-squared_distances / (2 * sigma**2)), rtol=1e-12)


def test_zero_vectors_give_exactly_0_and_finite_derivatives_of_order_1_and_2(case) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 4)), rng.normal(size=(4, 4))
    x[1], y[2] = 0, 0
    x, y = Tensor(x, requires_grad=True), Tensor(y, requires_grad=True)
    k = case.kernel(x, y)
    assert not k.numpy()[1].any()
    assert not k.numpy()[:, 2].any()
    assert (k.numpy() != 0).sum() == 6
    first = grad((k * k).sum() + k.sum(), [x, y], create_graph=True)
    assert all(np.isfinite(g.numpy()).all() and g.numpy().any() for g in first)
    assert not first[0].numpy()[1].any()
    second = grad((first[0] * first[0]).sum() + (first[1] * first[1]).sum(), [x, y])
    assert all(np.isfinite(g.numpy()).all() and g.numpy().any() for g in second)


def test_gradients_of_the_gram_matrix_of_order_1_and_2(case) -> None:
    rng = np.random.default_rng(1)
    report = gradcheck(case.kernel, [rng.normal(size=(3, 4)), rng.normal(size=(2, 4))], order=2)
    assert len(report.comparisons) >= 4


def test_arrays_give_arrays_and_tensors_tensors_of_the_same_values_and_dtype(case) -> None:
    x = np.random.default_rng(2).normal(size=(3, 4)).astype("float32")
    k = case.kernel(x)
    assert type(k) is np.ndarray
    assert k.dtype == "float32"
    np.testing.assert_array_equal(case.kernel(Tensor(x)).numpy(), k)


def test_config_is_json_from_which_the_same_kernel_is_made(case) -> None:
    assert kernel(json.loads(json.dumps(case.kernel.config()))) == case.kernel


def test_kernels_by_name_have_default_parameters() -> None:
    assert [kernel(name) for name in kernels.KERNELS] == [Exponential(0.6), Polynomial(2), ArcCosine0(), ArcCosine1()]


def test_a_kernel_is_taken_as_it_is(case) -> None:
    assert kernel(case.kernel) is case.kernel


@pytest.mark.parametrize("spec", ["rbf", {"name": "rbf"}, {}, {"name": "exponential", "degree": 2}, {"sigma": 0.5}])
def test_unknown_names_and_parameters_are_refused(spec) -> None:
    with pytest.raises(ConfigError, match=r"^kernel: expected a Kernel or one of the names exponential, .*, got .*"):
        kernel(spec)


class Plain(Kernel):
    def kappa(self, u):
        return 1 / (2 - u)


@dataclass(frozen=True)
class Own(Kernel):
    rate: float = 0.5

    def kappa(self, u):
        return (1 - self.rate) / (1 - self.rate * u)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten."""
    monkeypatch.setattr(kernels, "KERNELS", dict(kernels.KERNELS))
    monkeypatch.setattr(kernels, "_NAMES", dict(kernels._NAMES))


def test_a_registered_kernel_is_saved_with_its_parameters(names) -> None:
    with pytest.raises(
        ConfigError, match=r"got Own; make it a frozen dataclass and call kernels\.register\(\"name\", O"
    ):
        Own().config()
    kernels.register("own", Own)
    kernels.register("own", Own)  # a second time does no harm
    assert Own(0.25).config() == {"name": "own", "rate": 0.25}
    assert kernel({"name": "own", "rate": 0.25}) == Own(0.25)
    model = CKN(1, 6, 2, [CKNLayer(1, 3, 3, kernel=Own(0.25))])
    assert CKN.from_config(json.loads(json.dumps(model.config()))).layers[0].kernel == Own(0.25)


def test_a_class_defined_again_replaces_its_former_self(names) -> None:
    again = dataclass(frozen=True)(type("Own", (Kernel,), {"kappa": Own.kappa, "__module__": Own.__module__}))
    kernels.register("own", Own)
    kernels.register("own", again)
    assert type(kernel("own")) is again


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("", Own, "argument name expected a string that is not empty, got ''"),
        (3, Own, "argument name expected a string that is not empty, got 3"),
        ("exponential", Own, "argument name expected a new one, got 'exponential', which is Exponential's"),
        (
            "own",
            Plain,
            "argument kind expected a frozen dataclass derived from Kernel, got .*Plain.*; write @dataclass",
        ),
        ("own", dataclass(type("Own", (Kernel,), {})), "argument kind expected a frozen dataclass"),
        ("own", Own(), "argument kind expected a frozen dataclass"),
        ("own", int, "argument kind expected a frozen dataclass"),
    ],
)
def test_what_cannot_be_registered(names, name: object, kind: object, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^kernels.register: {message}"):
        kernels.register(name, kind)
    assert "own" not in kernels.KERNELS


@pytest.mark.parametrize("sigma", [0, -1.0, math.nan, "a"])
def test_sigma_must_be_positive(sigma: float) -> None:
    with pytest.raises(ConfigError, match=f"^Exponential: argument sigma expected a number > 0, got {sigma!r}$"):
        Exponential(sigma)


@pytest.mark.parametrize("degree", [0, -2, 1.5])
def test_degree_must_be_a_positive_whole_number(degree: float) -> None:
    message = f"^Polynomial: argument degree expected a whole number >= 1, got {degree!r}$"
    with pytest.raises(ConfigError, match=message):
        kernel({"name": "polynomial", "degree": degree})


@pytest.mark.parametrize(("x", "y"), [((3, 2), (3, 4)), ((3,), (3, 3)), ((3, 2), (2,)), ((1, 3, 2), (3, 2))])
def test_other_than_matrices_of_one_width_are_refused(x, y) -> None:
    with pytest.raises(ShapeError, match=r"^kernel: expected x \(n, d\) and y \(m, d\) of one d, got \("):
        Exponential()(np.ones(x), np.ones(y))


def test_what_is_no_kernel_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected a Kernel or one of the names .*, got 3"):
        kernels.kernel(3)
