"""The gradient checkers catch planted errors, and their messages name them."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, nn, ops
from tinygrad_ckn.backend import Array
from tinygrad_ckn.errors import (
    DTypeError,
    GradientError,
    LinearAlgebraError,
)
from tinygrad_ckn.testing import (
    check_adjoint,
    check_jvp,
    check_module,
    gradcheck,
    gradgradcheck,
)

x = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]])


def cube(xp, x: Array):
    return x * x * x


@pytest.mark.parametrize("off", [1.001, 0.999])
def test_a_rule_off_by_a_thousandth_is_caught_at_each_order(op, off):
    wrong = op(cube, x=lambda g, x: off * 3 * g * x * x)
    with pytest.raises(
        GradientError, match=r"gradient of argument 0: element \(\d, \d\) expected .* got"
    ):
        gradcheck(wrong, x)
    with pytest.raises(GradientError, match="of the gradient of argument 0 expected"):
        gradgradcheck(wrong, x)


def test_the_right_rule_passes_with_errors_near_rounding(op):
    report = gradcheck(op(cube, x=lambda g, x: 3 * g * x * x), x, order=2)
    assert {c.order for c in report.comparisons} == {1, 2}
    assert max(c.error for c in report.comparisons if c.order == 1) < 1e-10
    assert 0 < report.error < 1e-7
    assert "3 derivatives compared, largest relative error" in str(report)


def test_the_report_names_the_element_at_fault(op):
    def forget_one(g, x):
        mask = np.ones(x.shape)
        mask[1, 2] = 0
        return 3 * g * x * x * mask

    with pytest.raises(
        GradientError,
        match=r"planted_0: gradient of argument 0: element \(1, 2\) expected .*got 0;",
    ):
        gradcheck(op(cube, x=forget_one), x)


def test_a_rule_that_is_right_once_but_cannot_be_differentiated_is_caught(op):
    frozen = op(cube, x=lambda g, x: 3 * g * (x.detach() if isinstance(x, Tensor) else x) ** 2)
    gradcheck(frozen, x)
    with pytest.raises(GradientError, match="of the gradient of argument 0 expected"):
        gradgradcheck(frozen, x)


def test_the_argument_at_fault_is_named(op):
    def product(xp, a: Array, b: Array):
        return a * b

    wrong = op(product, broadcasts=True, a=lambda g, b: g * b, b=lambda g, a: g * a * 1.01)
    with pytest.raises(GradientError, match="gradient of argument 1"):
        gradcheck(wrong, [x, x + 1])


def test_a_missing_dependence_is_caught(op):
    with pytest.raises(GradientError, match="got 0"):
        gradcheck(op(cube, x=lambda: None), x)


def test_a_kink_is_called_a_kink():
    with pytest.raises(
        GradientError,
        match=r"is not differentiable here .a kink: slope -1 on one side, 7 on the other, "
        r"at element \(0,\)",
    ):
        gradcheck(lambda x: ops.maximum(x, 1.0) ** 2 * 3 + ops.abs(x - 1), np.array([1.0]))


@pytest.mark.parametrize("function", [ops.abs, ops.relu, lambda t: ops.maximum(t, 0.0)])
def test_a_kink_right_at_the_input_is_found_though_the_rule_takes_the_middle(function):
    with pytest.raises(GradientError, match="differentiable here"):
        gradcheck(function, np.array([0.0, 1.0]))


def test_a_value_that_is_not_finite_is_called_so():
    with pytest.raises(
        GradientError, match="expected finite values at the inputs, got NaN or infinity"
    ):
        gradcheck(lambda t: t * np.inf, np.array([1.0]))


def test_constants_and_minima_have_no_kink():
    assert gradcheck(lambda t: 0 * t + 3.0, x).error == 0
    assert gradcheck(lambda t: ((t - x) ** 2).sum(), x).error < 1e-7


def test_noise_is_called_noise():
    random = np.random.default_rng(0)
    with pytest.raises(
        GradientError,
        match="expected the same result twice, got two; fix the function's random seed",
    ):
        gradcheck(lambda x: x * random.standard_normal(), np.array([1.0]))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_steps_follow_the_size_of_the_data(scale):
    assert gradcheck(lambda t: ops.sin(t / scale) * t, scale * x, order=2).error < 1e-6


def test_several_outputs_and_inputs_that_are_not_floating():
    report = gradcheck(lambda a, i: (a[i], ops.exp(a)), [x, Tensor([0, 1, 1])], order=2)
    assert [c.order for c in report.comparisons] == [1, 2, 2]


def test_float32_inputs_are_checked_in_float64():
    assert gradcheck(ops.exp, x.astype("float32")).error < 1e-10


def test_a_function_that_computes_in_float32_is_refused():
    with pytest.raises(
        DTypeError, match="expected a function that returns float64 Tensors here, got float32"
    ):
        gradcheck(lambda t: t.astype("float32"), x)
    with pytest.raises(DTypeError, match="got int"):
        gradcheck(lambda t: 3, x)


def test_nothing_to_check_is_refused():
    with pytest.raises(DTypeError, match="at least one floating array among the inputs"):
        gradcheck(ops.exp, [np.array([1, 2])])
    with pytest.raises(GradientError, match="order expected 1 or 2, got 3"):
        gradcheck(ops.exp, x, order=3)


def test_the_inputs_are_left_as_they_are():
    before = x.copy()
    gradcheck(ops.exp, x, order=2)
    assert np.array_equal(x, before)


def test_steps_that_leave_the_domain_are_not_used():
    report = gradcheck(ops.inverse_sqrt, np.diag([1.0, 5e-3]))
    assert report.error < 1e-7
    with pytest.raises(LinearAlgebraError):
        gradcheck(ops.inverse_sqrt, -np.eye(2))


def test_tolerance_may_be_given(op):
    wrong = op(cube, x=lambda g, x: 1.001 * 3 * g * x * x)
    assert 1e-4 < gradcheck(wrong, x, order=2, tolerance=1e-2).error < 1e-2


def test_a_minimum_of_value_zero_has_gradient_zero():
    assert gradcheck(lambda a: ops.mse(a, x), x, order=2).error < 1e-6
    assert check_jvp(lambda a: ops.mse(a, x), x).error < 1e-7


def test_empty_inputs_pass():
    assert gradcheck(ops.exp, np.ones((0, 3)), order=2).error == 0.0


def test_check_jvp_catches_a_wrong_rule(op):
    assert check_jvp(ops.exp, x).error < 1e-10
    with pytest.raises(GradientError, match="jvp along a random direction expected"):
        check_jvp(op(cube, x=lambda g, x: 1.001 * 3 * g * x * x), x)


def test_check_adjoint_catches_a_wrong_rule_and_a_nonlinear_function(op):
    def twice(xp, x: Array):
        return 2 * x

    with pytest.raises(GradientError, match="adjoint identity in argument 0 expected"):
        check_adjoint(op(twice, x=lambda g: 2.0000001 * g), x)
    with pytest.raises(GradientError, match="adjoint identity"):
        check_adjoint(ops.exp, x)
    assert check_adjoint(lambda t: 2 * t + 1, x).error < 1e-15


def test_check_module_names_the_parameter(op):
    scale = op(cube, x=lambda g, x: 1.001 * 3 * g * x * x)

    class Wrong(nn.Module):
        def __init__(self):
            self.inner = [nn.Linear(3, 2, rng=0)]
            self.factor = nn.Parameter([1.5])

        def forward(self, x):
            return self.inner[0](x) * scale(self.factor)

    module = Wrong()
    with pytest.raises(GradientError, match="Wrong: gradient of argument factor"):
        check_module(module, x)
    assert check_module(module.inner[0], x, order=2).error < 1e-6
    assert module.inner[0].weight.dtype == "float32"
    assert check_module(module.inner[0], x, tolerance=1e-9).error < 1e-9
