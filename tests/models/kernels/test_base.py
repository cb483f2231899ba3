import copy
import json
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.conftest import CASES
from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models import CKN, CKNLayer, kernels
from tinygrad_ckn.models.kernels import Kernel, base, make_kernel
from tinygrad_ckn.ops.ckn_map import reference_map
from tinygrad_ckn.testing import gradcheck
from tinygrad_ckn.testing.strategies import arrays

few = settings(max_examples=15, deadline=None)


def test_every_family_of_the_package_has_a_case() -> None:
    package = f"{kernels.__name__}."
    families = {kind for kind in kernels.KERNELS.values() if kind.__module__.startswith(package)}
    assert {type(case.kernel) for case in CASES.values()} == families


def test_kappa_of_1_is_1(case) -> None:
    assert case.kernel.kappa(np.array(1.0)) == 1


def test_kappa_is_its_formula(case) -> None:
    u = np.linspace(-1, 1, 41)
    np.testing.assert_allclose(
        case.kernel.kappa(u), [case.kappa(v) for v in u], rtol=1e-13, atol=1e-15
    )


@given(u=arrays(3, 2, low=-0.9, high=0.9))
@few
def test_derivatives_of_kappa_of_order_1_and_2(case, u: np.ndarray) -> None:
    assert gradcheck(case.kernel.kappa, [u], order=2).error < 1e-6


@pytest.mark.parametrize("u", [1.0, 1 + 1e-15, 1 + 1e-12, -1.0, -1 - 1e-12])
def test_kappa_and_two_derivatives_are_finite_at_rounded_cosines(case, u: float) -> None:
    x = Tensor([u], requires_grad=True)
    y = case.kernel.kappa(x)
    (first,) = grad(y.sum(), x, create_graph=True)
    (second,) = grad(first.sum(), x) if first.requires_grad else (first,)
    assert np.isfinite([y.item(), first.item()]).all()
    assert abs(y.item() - case.kappa(u)) < 1e-10
    assert second is None or np.isfinite(second.item())


@pytest.mark.parametrize("dimension", [3, 4, 11])
def test_spherical_harmonics_have_non_negative_weights(case, dimension: int) -> None:
    """Positive definite on the sphere of R^dimension (Schoenberg 1942)."""
    order = (dimension - 2) / 2
    nodes, weights = scipy.special.roots_legendre(120)
    t = np.pi / 2 * (nodes + 1)
    measured = case.kernel.kappa(np.cos(t)) * np.sin(t) ** (2 * order) * weights
    harmonics = [scipy.special.eval_gegenbauer(n, order, np.cos(t)) for n in range(12)]
    assert min(measured @ (h / np.abs(h).max()) for h in harmonics) > -1e-9


@given(x=arrays(st.integers(1, 9), st.integers(2, 5)))
@few
def test_gram_matrices_are_positive_semi_definite_to_rounding(case, x: np.ndarray) -> None:
    assert np.linalg.eigvalsh(case.kernel(x))[0] >= -1e-10 * len(x)


@pytest.mark.parametrize("subsampling", [1, 2])
@pytest.mark.parametrize(
    "channels", [2, 20]
)  # products that are computed again in backward, and kept
def test_the_fused_map_equals_the_reference(case, channels: int, subsampling: int) -> None:
    rng = np.random.default_rng(0)
    x, z, t = (
        rng.normal(size=(2, channels, 6, 5)),
        rng.normal(size=(4, channels, 3, 3)),
        rng.normal(size=(4, 4)),
    )
    x[0, :, :4, :4] = 0
    z /= np.sqrt((z * z).sum(axis=(1, 2, 3), keepdims=True))
    found = []
    for function in (
        lambda x, z, t: ops.ckn_map(x, z, case.kernel.fused(), t, subsampling=subsampling),
        lambda x, z, t: reference_map(x, z, case.kernel.kappa, t, "same", subsampling),
    ):
        tensors = [Tensor(a, requires_grad=True) for a in (x, z, t)]
        y = function(*tensors)
        found.append([y, *grad(y, tensors, gradient=np.cos(np.arange(y.size)).reshape(y.shape))])
    for ours, reference in zip(*found, strict=True):
        np.testing.assert_allclose(ours.numpy(), reference.numpy(), rtol=1e-10, atol=1e-11)


def test_kernels_are_values_that_can_be_copied_pickled_and_hashed(case) -> None:
    for again in (copy.deepcopy(case.kernel), pickle.loads(pickle.dumps(case.kernel))):
        assert again == case.kernel
        assert hash(again) == hash(case.kernel)


def test_trained_parameters_are_passed_by_name(case) -> None:
    u, parameters = np.linspace(-1, 1, 5), case.kernel.initial_parameters()
    np.testing.assert_allclose(case.kernel.kappa(u, **parameters), case.kernel.kappa(u), rtol=1e-14)
    np.testing.assert_allclose(case.kernel.fused(**parameters)(u), case.kernel.kappa(u), rtol=1e-14)
    for kappa in (case.kernel.kappa, lambda u, **p: case.kernel.fused(**p)(u)):
        assert kappa(u.astype("float32"), **parameters).dtype == "float32"


def test_config_round_trips_through_json(case) -> None:
    assert make_kernel(json.loads(json.dumps(case.kernel.config()))) == case.kernel


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("exponential", kernels.Exponential(0.6, trained=False)),
        ("polynomial", kernels.Polynomial(2)),
        ("arccos0", kernels.ArcCosine0()),
        ("arccos1", kernels.ArcCosine1()),
        ("linear", kernels.Linear()),
        ("inner_polynomial", kernels.InnerPolynomial(1.0, 2)),
        ("inverse_polynomial", kernels.InversePolynomial()),
        ("matern", kernels.Matern(1.5, 1.0)),
    ],
)
def test_kernels_by_name_have_default_parameters(name: str, expected: Kernel) -> None:
    assert make_kernel(name) == expected


def test_make_kernel_returns_a_kernel_unchanged(case) -> None:
    assert make_kernel(case.kernel) is case.kernel


@pytest.mark.parametrize(
    "spec",
    [
        "rbf",
        {"name": "rbf"},
        {},
        {"name": "exponential", "degree": 2},
        {"sigma": 0.5},
        "sum",
        {3: 4},
    ],
)
def test_unknown_names_and_parameters_are_refused(spec) -> None:
    with pytest.raises(
        ConfigError, match=r"^kernel: expected a Kernel or one of the names arccos0, .*, got .*"
    ):
        make_kernel(spec)


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
    monkeypatch.setattr(base, "KERNELS", dict(base.KERNELS))
    monkeypatch.setattr(base, "_NAMES", dict(base._NAMES))


def test_a_registered_kernel_is_saved_with_its_parameters(names) -> None:
    with pytest.raises(
        ConfigError,
        match=r"got Own; make it a frozen dataclass and call kernels\.register\(\"name\", O",
    ):
        Own().config()
    kernels.register("own", Own)
    # a second time does no harm
    kernels.register("own", Own)
    assert Own(0.25).config() == {"name": "own", "rate": 0.25}
    assert make_kernel({"name": "own", "rate": 0.25}) == Own(0.25)
    model = CKN(1, 6, 2, [CKNLayer(1, 3, 3, kernel=Own(0.25))])
    assert CKN.from_config(json.loads(json.dumps(model.config()))).layers[0].kernel == Own(0.25)


def test_register_is_also_a_decorator(names) -> None:
    @kernels.register("decorated")
    @dataclass(frozen=True)
    class Decorated(Kernel):
        power: int = 2

        def kappa(self, u):
            return u**self.power

    assert Decorated(3).config() == {"name": "decorated", "power": 3}
    assert make_kernel({"name": "decorated", "power": 3}) == Decorated(3)
    with pytest.raises(ConfigError, match=r"^kernels\.register: argument kind expected"):
        kernels.register("plain")(Plain)


def test_a_redefined_class_replaces_the_old_one(names) -> None:
    again = dataclass(frozen=True)(
        type("Own", (Kernel,), {"kappa": Own.kappa, "__module__": Own.__module__})
    )
    kernels.register("own", Own)
    kernels.register("own", again)
    assert type(make_kernel("own")) is again


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("", Own, "argument name expected a non-empty string, got ''"),
        (3, Own, "argument name expected a non-empty string, got 3"),
        (
            "exponential",
            Own,
            "argument name expected a new name, got 'exponential', the name of Exponential",
        ),
        (
            "own",
            Plain,
            "argument kind expected a frozen dataclass derived from Kernel, got .*Plain.*",
        ),
        ("own", dataclass(type("Own", (Kernel,), {})), "argument kind expected a frozen dataclass"),
        ("own", Own(), "argument kind expected a frozen dataclass"),
        ("own", int, "argument kind expected a frozen dataclass"),
    ],
)
def test_invalid_registrations_are_refused(names, name: object, kind: object, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^kernels.register: {message}"):
        kernels.register(name, kind)
    assert "own" not in base.KERNELS


def test_an_object_that_is_not_a_kernel_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected a Kernel or one of the names .*, got 3"):
        kernels.make_kernel(3)
