"""The checkers are themselves checked: what is wrong must be caught, and the report must name it."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, grad, nn, ops
from tinygrad_ckn.backend import Array
from tinygrad_ckn.errors import (
    ConfigError,
    DTypeError,
    GradientError,
    LinearAlgebraError,
    NotDifferentiableError,
    UndecidedError,
)
from tinygrad_ckn.primitive import REGISTRY, primitive
from tinygrad_ckn.testing import (
    check_adjoint,
    check_hygiene,
    check_jvp,
    check_module,
    gradcheck,
    gradgradcheck,
)

x = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]])


@pytest.fixture
def op():
    """Return a maker of primitives with given rules, which are forgotten after the test."""
    made = []

    def make(forward, *, broadcasts=False, **rules):
        result = primitive(name=f"planted_{len(made)}", broadcasts=broadcasts)(forward)
        made.append(result.name)
        result.vjp(**rules)
        return result

    yield make
    for name in made:
        del REGISTRY[name]


def cube(xp, x: Array):
    return x * x * x


@pytest.mark.parametrize("off", [1.001, 0.999])
def test_a_rule_off_by_a_thousandth_is_caught_at_each_order(op, off):
    wrong = op(cube, x=lambda g, x: off * 3 * g * x * x)
    with pytest.raises(GradientError, match=r"gradient of argument 0: element \(\d, \d\) expected .* got"):
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

    with pytest.raises(GradientError, match=r"planted_0: gradient of argument 0: element \(1, 2\) expected .*got 0;"):
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
        match=r"is not differentiable here .a kink: slope -1 on one side, 7 on the other, at element \(0,\)",
    ):
        gradcheck(lambda x: ops.maximum(x, 1.0) ** 2 * 3 + ops.abs(x - 1), np.array([1.0]))


@pytest.mark.parametrize("function", [ops.abs, ops.relu, lambda t: ops.maximum(t, 0.0)])
def test_a_kink_right_at_the_input_is_found_though_the_rule_takes_the_middle(function):
    with pytest.raises(GradientError, match="differentiable here"):
        gradcheck(function, np.array([0.0, 1.0]))


def test_a_value_that_is_not_finite_is_called_so():
    with pytest.raises(GradientError, match="expected finite values at the inputs, got NaN or infinity"):
        gradcheck(lambda t: t * np.inf, np.array([1.0]))


def test_constants_and_minima_have_no_kink():
    assert gradcheck(lambda t: 0 * t + 3.0, x).error == 0
    assert gradcheck(lambda t: ((t - x) ** 2).sum(), x).error < 1e-7


def test_noise_is_called_noise():
    random = np.random.default_rng(0)
    with pytest.raises(GradientError, match="expected the same result twice, got two; fix the function's random seed"):
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
    with pytest.raises(DTypeError, match="expected a function that returns float64 Tensors here, got float32"):
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


def test_hygiene_catches_changed_arguments_and_dtypes():
    aliased = x.copy()

    def changes_its_argument(t):
        aliased[:] += 1
        return t * 2

    with pytest.raises(GradientError, match="changes_its_argument: argument 0 expected to be left as it was"):
        check_hygiene(changes_its_argument, [aliased])
    with pytest.raises(GradientError, match="float32 arguments expected a float32 result, got float64"):
        check_hygiene(lambda t: t.astype("float64") * 2, [x])


def test_hygiene_catches_gradients_that_share_memory(op):
    made = []

    def total(xp, a: Array, b: Array):
        return a + b

    shared = op(total, a=lambda g: made.append(g * 1) or made[-1], b=lambda g: made[-1])
    with pytest.raises(GradientError, match="gradient of argument 1 expected memory of its own"):
        check_hygiene(shared, [x, x + 1])


def test_hygiene_catches_rules_that_change_or_keep_what_is_not_theirs(op):
    def same(xp, x: Array):
        return x * 1

    def mutating(g):
        g *= 2
        return g

    def layout(g, x):
        return g if x.flags.c_contiguous else 2 * g

    for rule, match in (
        (mutating, "upstream gradient expected to be left as it was"),
        (lambda g: g * g, "linear in the upstream gradient"),
        (layout, "strided arguments expected to give the same results"),
        (lambda g: g if g.dtype == "float64" else 3 * g, "near those of float64"),
    ):
        with pytest.raises(GradientError, match=match):
            check_hygiene(op(same, x=rule), [x])


# What is told


def square(xp, x: Array):
    return x * x


@pytest.mark.parametrize("place", [0, 1500, 2999])
def test_the_culprit_is_found_among_any_number_of_elements(op, place):
    flip = np.ones(3000)
    flip[place] = -1
    with pytest.raises(GradientError) as error:
        gradcheck(op(square, x=lambda g, x: 2 * g * x * flip), np.random.default_rng(0).normal(size=3000))
    assert f"gradient of argument 0: element ({place},) expected" in str(error.value)
    assert f"differences of output element ({place},)" in str(error.value)


def test_the_output_at_fault_is_named_among_several(op):
    wrong = op(square, x=lambda g, x: 2 * g * x + np.array([0, 1e-3, 0]) * g)

    def both(x):
        return {"plain": x * 3, "faulty": (wrong(x), x.sum())}

    with pytest.raises(GradientError, match=r"element \(1,\) expected .* \(differences of output 1, element \(1,\)"):
        gradcheck(both, np.array([1.0, 2.0, 3.0]))


@given(st.floats(1e-6, 1e3) | st.floats(-1e3, -1e-6), st.integers(0, 4))
def test_two_equal_numbers_are_never_printed(off, k):
    change = np.zeros(5)
    change[k] = off
    at = np.array([0.3, 1.0, -2.0, 4.0, 1e3])
    wrong = primitive(name="planted_numbers")(square)
    wrong.vjp(x=lambda g, x: 2 * g * x + change * g)
    report = gradcheck(wrong, at, raise_exception=False)
    del REGISTRY["planted_numbers"]
    if report:  # 1e-6 beside 2000
        assert abs(off) < 1e-3
        return
    expected, got = re.search(r"expected (\S+) \+- .*, got (\S+);", report.message).groups()
    assert expected != got
    assert float(got) - float(expected) == pytest.approx(off, rel=0.1)


@pytest.mark.parametrize(("value", "told"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "-infinity")])
def test_a_gradient_that_is_not_finite_is_called_so_with_its_element(op, value, told):
    with pytest.raises(GradientError, match=rf"element \(1,\) expected a finite number, got {told}, though"):
        gradcheck(op(square, x=lambda g, x: np.where([False, True, False], value, 2 * g * x)), np.ones(3))


def test_values_that_are_not_finite_are_named_with_output_and_element():
    with pytest.raises(GradientError, match=r"got NaN or infinity \(NaN in output 1, element \(2,\)\)"):
        gradcheck(lambda x: (x, x * np.array([1, 1, np.nan])), np.ones(3))


def test_a_forward_or_rule_that_writes_into_what_it_is_given_is_told(op):
    def into(xp, x: Array):
        y = x * x
        x += 0.1
        return y

    def into_gradient(g, x):
        g *= 2
        return g * x

    before = x.copy()
    with pytest.raises(GradientError, match="the forward expected to leave argument 0 as it is"):
        gradcheck(op(into, x=lambda g, x: 2 * g * x), x)
    assert np.array_equal(x, before)
    with pytest.raises(GradientError, match="the upstream gradient expected to be left as it is"):
        gradcheck(op(square, x=into_gradient), x)


def test_a_rule_that_returns_something_else_than_an_array_is_told(op):
    with pytest.raises(GradientError, match=r"planted_0: the rule of argument x expected to return an array .* a list"):
        gradcheck(op(square, x=lambda g, x: list(2 * g * x)), np.ones(3))


@pytest.mark.parametrize(
    ("function", "at", "told"),
    [
        (ops.sqrt, 0.0, "expected a finite number, got infinity"),
        (lambda t: t**1.5, 0.0, "the edge of the domain: no finite value on one side"),
        (lambda t: ops.where(t.data >= 0, t + 1, t), 0.0, "a jump by 1, at element"),
        (lambda t: ops.where(t.data > 0, t + 1e-6, t), 0.0, "a jump by 1e-06, at element"),
        (lambda t: t + 1e-4 * ops.abs(t), 0.0, "a kink: slope 0.9999.* on one side, 1.0001.* on the other"),
        (lambda t: ops.norm(ops.stack([t, t]), axis=0), 0.0, "a kink: slope -1.414.* on one side, 1.414"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*encountered")
def test_points_without_a_derivative_are_told_apart(function, at, told):
    with pytest.raises(GradientError, match=told) as error:
        gradcheck(function, np.array([2.0, at, 1.0]))
    assert "element (1,)" in str(error.value)


@pytest.mark.parametrize("function", [lambda t: t * ops.abs(t), lambda t: ops.relu(t) ** 2])
def test_a_kink_of_the_gradient_is_told_at_order_2_only(function):
    at = np.array([1.0, 0.0, 2.0])
    assert gradcheck(function, at)
    with pytest.raises(NotDifferentiableError, match=r"a kink of the gradient, at element \(1,\) of argument 0"):
        gradcheck(function, at, order=2)


def test_a_wrong_second_derivative_names_both_elements(op):
    def forgets(g, x):
        return 2 * g * (x if isinstance(x, np.ndarray) else x * np.array([1, 0, 1]) + x.detach() * np.array([0, 1, 0]))

    with pytest.raises(GradientError, match=r"in the inputs \(element \(1,\) of argument 0\), of the gradient of arg"):
        gradcheck(op(square, x=forgets), np.array([1.0, 2.0, 3.0]), order=2)


def test_a_function_that_raises_outside_its_domain_is_checked_inside():
    def guarded(t):
        if t.data.min() < 0:
            raise ValueError("a negative number")
        return ops.sqrt(t)

    assert gradcheck(guarded, np.array([1e-9, 1.0]), order=2)
    with pytest.raises(NotDifferentiableError, match=r"the edge of the domain.*ValueError: a negative number"):
        gradcheck(lambda t: guarded(t) ** 3, np.array([0.0, 1.0]) + 1e-300)


def test_what_is_too_noisy_to_tell_is_called_undecided():
    def noisy(t):
        return t + (1e-3 * np.sin(1e12 * t.data)) + 0 * t

    with pytest.raises(UndecidedError, match="cannot decide, differences"):
        gradcheck(noisy, np.array([1.0, 2.0]))
    assert gradcheck(noisy, np.array([1.0, 2.0]), tolerance=0.5)


# Functions that ask for gradients themselves


def slope(t):
    return grad(ops.sin(t).sum(), t, create_graph=True)[0]


def adapted(w, t):
    loss = ((t * w) ** 2).mean()
    return ops.tanh(t * (w - 0.1 * grad(loss, w, create_graph=True)[0]))


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck, check_jvp])
def test_functions_that_call_grad_are_checked(check):
    assert check(slope, np.array([0.3, 1.2])).error < 1e-7
    assert check(adapted, [np.array([0.3, 1.2]), np.array([[1.0, -2.0], [0.5, 0.2]])]).error < 1e-7


def test_a_module_that_calls_grad_and_a_function_that_calls_backward_are_checked():
    class Force(nn.Module):
        def __init__(self):
            self.energy = nn.Linear(2, 1, rng=0)

        def forward(self, t):
            return -grad(ops.tanh(self.energy(t)).sum(), t, create_graph=True)[0]

    def accumulated(t):
        (t**3).sum().backward(create_graph=True)
        return t.grad

    assert check_module(Force(), np.array([[0.3, 1.2]]), order=2).error < 1e-6
    assert gradcheck(accumulated, np.array([0.3, 1.2])).error < 1e-7


def test_a_wrong_rule_inside_an_inner_gradient_is_caught(op):
    frozen = op(cube, x=lambda g, x: 3 * g * (x.detach() if isinstance(x, Tensor) else x) ** 2)
    with pytest.raises(GradientError, match="element"):
        gradcheck(lambda t: grad(frozen(t).sum(), t, create_graph=True)[0], np.array([0.3, 1.2]))


# Options


def test_a_report_instead_of_an_error(op):
    wrong = op(cube, x=lambda g, x: 3.01 * g * x * x)
    report = gradcheck(wrong, x, raise_exception=False)
    assert not report
    assert report.verdict == "wrong"
    assert str(report) == report.message
    assert "element" in report.message
    assert not gradgradcheck(wrong, x, raise_exception=False)
    assert not check_jvp(wrong, x, raise_exception=False)
    assert gradcheck(ops.abs, np.zeros(2), raise_exception=False).verdict == "not differentiable"
    assert bool(gradcheck(ops.exp, x, raise_exception=False))
    with pytest.raises(DTypeError):  # a wrong call, not a wrong gradient
        gradcheck(ops.exp, np.array([1]), raise_exception=False)


def test_tolerances_of_pytorch(op):
    wrong = op(cube, x=lambda g, x: 3 * g * x * x + 1e-3 * g)
    assert not gradcheck(wrong, x, raise_exception=False)
    assert gradcheck(wrong, x, atol=2e-3)
    assert not gradcheck(wrong, x, atol=1e-4, raise_exception=False)
    assert gradcheck(wrong, x, rtol=1e-1)
    assert gradcheck(wrong, x, eps=1e-6, atol=1e-5, rtol=1e-1)
    with pytest.raises(ConfigError, match="tolerance or rtol, which are the same, got both"):
        gradcheck(ops.exp, x, rtol=1e-3, tolerance=1e-3)
    with pytest.raises(ConfigError, match="argument eps expected a number > 0, got 0"):
        gradcheck(ops.exp, x, eps=0.0)
    with pytest.raises(ConfigError, match="argument atol expected a number >= 0, got -1"):
        gradcheck(ops.exp, x, atol=-1.0)


@pytest.mark.parametrize("eps", [1e-12, 1e-6, 1e-1, 1e3])
def test_a_bad_first_step_is_mended(eps):
    assert gradcheck(lambda t: ops.sin(3 * t), x, eps=eps, order=2)


def test_nondet_tol():
    random = np.random.default_rng(0)

    def shaky(t):
        return t * t + 1e-12 * random.standard_normal(t.shape)

    with pytest.raises(GradientError, match=r"expected the same result twice, got two; .* nondet_tol="):
        gradcheck(shaky, x)
    assert gradcheck(shaky, x, nondet_tol=1e-10)


def test_a_rule_of_chance_is_told(op):
    random = np.random.default_rng(0)
    shaky = op(square, x=lambda g, x: 2 * g * x * (1 + 1e-12 * random.standard_normal()))
    with pytest.raises(GradientError, match="gradient of argument 0 expected the same values twice"):
        gradcheck(shaky, x)
    assert gradcheck(shaky, x, nondet_tol=1e-9)


def test_keyword_arguments_are_passed_and_checked(op):
    def product(xp, a: Array, b: Array):
        return a * b

    wrong = op(product, broadcasts=True, a=lambda g, b: g * b, b=lambda g, a: g * a * 1.01)
    assert gradcheck(ops.sum, x, kwargs={"axis": 0, "keepdims": True}, order=2)
    with pytest.raises(GradientError, match="gradient of argument scale"):
        gradcheck(lambda t, *, scale: wrong(t, scale), x, kwargs={"scale": x + 1})
    assert check_module(nn.Linear(3, 2, rng=0), kwargs={"x": x})


def test_tensors_without_requires_grad_beside_one_that_requires_it_are_left_unchecked(op):
    def product(xp, a: Array, b: Array):
        return a * b

    wrong = op(product, broadcasts=True, a=lambda g, b: g * b, b=lambda g, a: g * a * 1.01)
    fixed, free = Tensor(x + 1), Tensor(x, requires_grad=True)
    assert len(gradcheck(wrong, [free, fixed]).comparisons) == 1
    with pytest.raises(GradientError, match="gradient of argument 1"):
        gradcheck(wrong, [Tensor(x), fixed])
    with pytest.raises(GradientError, match="gradient of argument 1"):
        gradcheck(wrong, [free, x + 1])
    assert free.grad is None


def test_integer_outputs_are_left_out_and_alone_refused():
    assert gradcheck(lambda t: (t.max(axis=0), ops.argmax(t, axis=0)), x, order=2)
    with pytest.raises(DTypeError, match="got nothing but integers or booleans"):
        gradcheck(lambda t: ops.argmax(t, axis=0), x)


# Layouts in memory


def broken_unless_contiguous(array):
    return 1.0 if (array.data if isinstance(array, Tensor) else array).flags.c_contiguous else 0.5


LAYOUTS = {
    "columns": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "reversed": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "rows": lambda a: np.repeat(a, 3, axis=0)[::3],
    "broadcast": lambda a: np.broadcast_to(a[:, :1], a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_inputs_keep_their_layout(layout, dtype):
    seen = []
    given = LAYOUTS[layout](x.astype(dtype))
    step = np.dtype(dtype).itemsize

    def look(t):
        seen.append(t.data)
        return t * 1

    gradcheck(look, given)
    first = seen[0]
    assert np.array_equal(first, given)
    assert np.array_equal(np.sign(first.strides), np.sign(given.strides))
    assert np.array_equal(np.argsort(np.abs(first.strides)), np.argsort(np.abs(given.strides)))
    assert (min(abs(s) for s in first.strides if s) > 8) == (min(abs(s) for s in given.strides if s) > step)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_rule_that_is_wrong_for_a_layout_is_caught_whatever_the_layout_given(op, layout):
    wrong = op(square, x=lambda g, x: 2 * g * x * broken_unless_contiguous(x))
    with pytest.raises(GradientError, match="element"):
        gradcheck(wrong, LAYOUTS[layout](x))
    with pytest.raises(GradientError, match="with inputs that are strided in memory"):
        gradcheck(wrong, x)


def test_upstream_gradients_that_are_strided_or_expanded_are_tried(op):
    with pytest.raises(GradientError, match="with a strided upstream gradient; a rule must not depend on the layout"):
        gradcheck(op(square, x=lambda g, x: 2 * g * x * broken_unless_contiguous(g)), x)
    with pytest.raises(GradientError, match="with an expanded upstream gradient"):
        gradcheck(op(square, x=lambda g, x: 2 * g * x * (0.5 if 0 in g.strides else 1)), x)


def test_gradients_in_float32_are_told(op):
    with pytest.raises(GradientError, match="expected the precision of float64, got float32 numbers"):
        gradcheck(op(square, x=lambda g, x: (2 * g * x).astype("float32")), x)


# Scales


@pytest.mark.parametrize("scale", [1e-100, 1e-30, 1e-10, 1e10, 1e30, 1e100])
def test_any_scale_is_checked_and_a_wrong_gradient_is_found_there(op, scale):
    assert gradcheck(lambda t: t * t, scale * x, order=2)
    assert gradcheck(lambda t: 1 / t, scale * x, order=2)
    assert gradcheck(lambda t: ops.sin(t / scale), scale * x, order=2)
    with pytest.raises(GradientError, match="element"):
        gradcheck(op(square, x=lambda g, x: 2.001 * g * x), scale * x)


@pytest.mark.parametrize("scale", [1e-100, 1e-30, 1e-10])
def test_inputs_too_small_to_change_anything_are_moved_further(op, scale):
    def exp(xp, x: Array):
        return xp.exp(x)

    assert gradcheck(ops.exp, scale * x, order=2)
    with pytest.raises(GradientError, match=r"expected 1(\.0*)? .* got 2"):
        gradcheck(op(exp, x=lambda g, y: 2 * g * y), scale * x)


def test_a_rule_right_at_zero_only_is_caught_at_order_2(op):
    with pytest.raises(GradientError, match="of the gradient of argument 0 expected"):
        gradgradcheck(op(square, x=lambda g, x: 2.1 * g * x), np.zeros(3))
