import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, grad
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.kernels import (
    ArcCosine1,
    Exponential,
    Kernel,
    Linear,
    Matern,
    Polynomial,
    Product,
    Sum,
    make_kernel,
)
from tinygrad_ckn.testing import gradcheck

few = settings(max_examples=15, deadline=None)
A, B, C = Exponential(0.5), Polynomial(3), ArcCosine1()
U = np.linspace(-1, 1, 21)


class Plain(Kernel):
    def kappa(self, u):
        return 1 / (2 - u)


@given(weights=st.tuples(*[st.floats(0, 9)] * 3).filter(lambda w: max(w) > 1e-3))
@few
def test_a_sum_is_the_weighted_mean_of_kappas(weights) -> None:
    expected = sum(w * k.kappa(U) for w, k in zip(weights, (A, B, C), strict=True)) / math.fsum(
        weights
    )
    np.testing.assert_allclose(Sum((A, B, C), weights).kappa(U), expected, rtol=1e-12, atol=1e-15)


def test_a_product_is_the_product_of_kappas() -> None:
    np.testing.assert_allclose(
        Product((A, B, C)).kappa(U), A.kappa(U) * B.kappa(U) * C.kappa(U), rtol=1e-14
    )


def test_operators_make_sums_and_products() -> None:
    assert A + B == Sum((A, B), (1, 1)) == Sum((A, B))
    assert A + B + C == A + (B + C) == Sum((A, B, C), (1, 1, 1))
    assert 0.3 * A + 0.7 * B == A * 0.3 + B * 0.7 == Sum((A, B), (0.3, 0.7))
    assert 2 * (A + 3 * B) == Sum((A, B), (2, 6))
    assert np.float64(0.5) * A == Sum((A,), (0.5,))
    assert A * B * C == A * (B * C) == Product((A, B, C))
    assert (0.5 * A + 0.5 * B) * C == Product((Sum((A, B), (0.5, 0.5)), C))
    np.testing.assert_array_equal((0.3 * A).kappa(U), A.kappa(U))


def test_an_expression_is_divided_by_its_value_at_1() -> None:
    a, b, c = A.kappa(U), B.kappa(U), C.kappa(U)
    for made, expected in {
        (A + B) * C + A: (a * c + b * c + a) / 3,
        0.5 * A * B + 0.5 * C: (a * b + c) / 2,
        2 * A * (3 * B) * C + C: (6 * a * b * c + c) / 7,
        (A + B) * (A + 3 * C) + 2 * B: ((a + b) * (a + 3 * c) + 2 * b) / 10,
    }.items():
        np.testing.assert_allclose(made.kappa(U), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("make", [lambda: A + 1, lambda: A * "2", lambda: 1 + A])
def test_operators_take_kernels_and_weights_only(make) -> None:
    with pytest.raises(TypeError):
        make()


def test_members_may_be_names_and_configs() -> None:
    made = Sum(["linear", {"name": "product", "kernels": ["polynomial", A.config()]}], [1, 3])
    assert made == Sum((Linear(), Product((Polynomial(2), A))), (1, 3))
    assert make_kernel(json.loads(json.dumps(made.config()))) == made


def test_parameters_of_members_are_named_by_number() -> None:
    first, second = Exponential(0.5, trained=True), Exponential.of_alpha(3.0, trained=True)
    made = Sum((first, B, Product((C, second))), (1, 1, 2))
    assert list(made.initial_parameters()) == ["kernel0_log_alpha", "kernel2_kernel1_log_alpha"]
    values = {"kernel0_log_alpha": 0.5, "kernel2_kernel1_log_alpha": -0.5}

    def function(a, b):
        return made.kappa(U, kernel0_log_alpha=a, kernel2_kernel1_log_alpha=b)

    expected = (
        np.exp(math.exp(0.5) * (U - 1))
        + B.kappa(U)
        + 2 * C.kappa(U) * np.exp(math.exp(-0.5) * (U - 1))
    ) / 4
    np.testing.assert_allclose(function(*values.values()), expected, rtol=1e-13)
    np.testing.assert_allclose(made.fused(**values)(U), expected, rtol=1e-13)
    assert gradcheck(function, [np.array(0.5), np.array(-0.5)], order=2).error < 1e-6
    assert (
        made.fused(**values | {"kernel2_kernel1_log_alpha": Tensor(0.0, requires_grad=True)})
        is None
    )
    with pytest.raises(
        ConfigError,
        match=r"^Sum: expected parameters among kernel0_log_alpha, kernel2_.*, got log_alpha$",
    ):
        made.kappa(U, log_alpha=1.0)
    with pytest.raises(ConfigError, match=r"^Product: expected parameters among none, got rate$"):
        (A * B).kappa(U, rate=1.0)


def test_members_may_be_user_defined_kernels() -> None:
    np.testing.assert_allclose((A * Plain()).kappa(U), A.kappa(U) / (2 - U), rtol=1e-14)


def test_products_and_sums_keep_derivatives_finite_at_cosine_1() -> None:
    u = Tensor([1.0, 1 + 1e-12], requires_grad=True)
    (slope,) = grad((0.5 * Matern(1.5, 1.0) * Matern(0.5, 1.0) + 0.5 * C).kappa(u).sum(), u)
    np.testing.assert_allclose(slope.numpy(), [0.5 * 3 + 0.5] * 2, rtol=1e-11)


@pytest.mark.parametrize("kind", [Sum, Product])
@pytest.mark.parametrize("kernels", [(), A, None, 3])
def test_members_are_a_tuple_of_at_least_one(kind, kernels) -> None:
    message = f"^{kind.__name__}: argument kernels expected a tuple of at least one kernel, got "
    with pytest.raises(ConfigError, match=message):
        kind(kernels)


@pytest.mark.parametrize(
    "weights", [(1,), (1, 2, 3), (0, 0), (1, -1), (1, math.nan), ("a", 1), 3, None]
)
def test_weights_are_non_negative_and_one_per_kernel(weights) -> None:
    message = r"^Sum: argument weights expected 2 numbers >= 0, one per kernel, at least one of "
    with pytest.raises(ConfigError, match=message):
        Sum((A, B), weights)
