"""What is told: the element at fault, both numbers, NaN, and points without a derivative."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.backend import Array
from tinygrad_ckn.errors import (
    GradientError,
    NotDifferentiableError,
    UndecidedError,
)
from tinygrad_ckn.primitive import REGISTRY, primitive
from tinygrad_ckn.testing import gradcheck

x = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]])


def square(xp, x: Array):
    return x * x


@pytest.mark.parametrize("place", [0, 1500, 2999])
def test_the_culprit_is_found_among_any_number_of_elements(op, place):
    flip = np.ones(3000)
    flip[place] = -1
    with pytest.raises(GradientError) as error:
        gradcheck(
            op(square, x=lambda g, x: 2 * g * x * flip), np.random.default_rng(0).normal(size=3000)
        )
    assert f"gradient of argument 0: element ({place},) expected" in str(error.value)
    assert f"differences of output element ({place},)" in str(error.value)


def test_the_output_at_fault_is_named_among_several(op):
    wrong = op(square, x=lambda g, x: 2 * g * x + np.array([0, 1e-3, 0]) * g)

    def both(x):
        return {"plain": x * 3, "faulty": (wrong(x), x.sum())}

    with pytest.raises(
        GradientError, match=r"element \(1,\) expected .* \(differences of output 1, element \(1,\)"
    ):
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
    # 1e-6 beside 2000
    if report:
        assert abs(off) < 1e-3
        return
    expected, got = re.search(r"expected (\S+) \+- .*, got (\S+);", report.message).groups()
    assert expected != got
    assert float(got) - float(expected) == pytest.approx(off, rel=0.1)


@pytest.mark.parametrize(
    ("value", "told"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "-infinity")]
)
def test_a_gradient_that_is_not_finite_is_called_so_with_its_element(op, value, told):
    with pytest.raises(
        GradientError, match=rf"element \(1,\) expected a finite number, got {told}, though"
    ):
        gradcheck(
            op(square, x=lambda g, x: np.where([False, True, False], value, 2 * g * x)), np.ones(3)
        )


def test_values_that_are_not_finite_are_named_with_output_and_element():
    with pytest.raises(
        GradientError, match=r"got NaN or infinity \(NaN in output 1, element \(2,\)\)"
    ):
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
    with pytest.raises(
        GradientError,
        match=r"planted_0: the rule of argument x expected to return an array .* a list",
    ):
        gradcheck(op(square, x=lambda g, x: list(2 * g * x)), np.ones(3))


@pytest.mark.parametrize(
    ("function", "at", "told"),
    [
        (ops.sqrt, 0.0, "expected a finite number, got infinity"),
        (lambda t: t**1.5, 0.0, "the edge of the domain: no finite value on one side"),
        (lambda t: ops.where(t.data >= 0, t + 1, t), 0.0, "a jump by 1, at element"),
        (lambda t: ops.where(t.data > 0, t + 1e-6, t), 0.0, "a jump by 1e-06, at element"),
        (
            lambda t: t + 1e-4 * ops.abs(t),
            0.0,
            "a kink: slope 0.9999.* on one side, 1.0001.* on the other",
        ),
        (
            lambda t: ops.norm(ops.stack([t, t]), axis=0),
            0.0,
            "a kink: slope -1.414.* on one side, 1.414",
        ),
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
    with pytest.raises(
        NotDifferentiableError, match=r"a kink of the gradient, at element \(1,\) of argument 0"
    ):
        gradcheck(function, at, order=2)


def test_a_wrong_second_derivative_names_both_elements(op):
    def forgets(g, x):
        return (
            2
            * g
            * (
                x
                if isinstance(x, np.ndarray)
                else x * np.array([1, 0, 1]) + x.detach() * np.array([0, 1, 0])
            )
        )

    with pytest.raises(
        GradientError,
        match=r"in the inputs \(element \(1,\) of argument 0\), of the gradient of arg",
    ):
        gradcheck(op(square, x=forgets), np.array([1.0, 2.0, 3.0]), order=2)


def test_a_function_that_raises_outside_its_domain_is_checked_inside():
    def guarded(t):
        if t.data.min() < 0:
            raise ValueError("a negative number")
        return ops.sqrt(t)

    assert gradcheck(guarded, np.array([1e-9, 1.0]), order=2)
    with pytest.raises(
        NotDifferentiableError, match=r"the edge of the domain.*ValueError: a negative number"
    ):
        gradcheck(lambda t: guarded(t) ** 3, np.array([0.0, 1.0]) + 1e-300)


def test_what_is_too_noisy_to_tell_is_called_undecided():
    def noisy(t):
        return t + (1e-3 * np.sin(1e12 * t.data)) + 0 * t

    with pytest.raises(UndecidedError, match="cannot decide, differences"):
        gradcheck(noisy, np.array([1.0, 2.0]))
    assert gradcheck(noisy, np.array([1.0, 2.0]), tolerance=0.5)


@pytest.mark.parametrize("function", [ops.relu, ops.abs, lambda t: ops.maximum(t, 0.0)])
@pytest.mark.parametrize("seed", range(5))
def test_a_kink_at_the_point_is_told_among_others_that_are_near(function, seed):
    at = np.random.default_rng(seed).normal(size=100)
    at[37] = 0
    with pytest.raises(NotDifferentiableError, match=r"a kink: slope .*, at element \(37,\)"):
        gradcheck(function, at, seed=seed)


@pytest.mark.parametrize("seed", range(5))
def test_a_kink_of_the_gradient_is_told_among_others_that_are_near(seed):
    at = np.random.default_rng(seed).normal(size=100)
    at[37] = 0
    with pytest.raises(NotDifferentiableError, match=r"a kink of the gradient, at element \(37,\)"):
        gradcheck(lambda t: ops.relu(t) ** 2, at, order=2, seed=seed)


def test_a_kink_of_the_gradient_that_is_near_is_no_kink_of_the_function():
    report = gradcheck(
        lambda t: ops.relu(t) ** 2, np.array([5e-7, -0.3, 1.0]), order=2, raise_exception=False
    )
    assert report.verdict == "right"
    assert gradcheck(lambda t: ops.relu(t) ** 2, np.array([5e-7]), order=2)


@pytest.mark.parametrize("distance", [1e-9, 1e-8])
def test_the_edge_of_the_domain_leaves_the_other_side(distance):
    def guarded(t):
        if t.data.min() < 0:
            raise ValueError("a negative number")
        return (t * t + t).sum()

    assert gradcheck(guarded, np.array([distance, 1.0]))
