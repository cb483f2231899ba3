"""One rule for all operands of a primitive."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.backend import Array
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.primitive import REGISTRY, primitive
from tinygrad_ckn.testing import gradcheck, gradgradcheck

x, z, shift = np.array([0.5, -1.0, 2.0]), np.array([1.5, 0.3, -0.7]), np.array([1.0, 2.0, 3.0])


@pytest.fixture
def fused():
    """Return a maker of x exp(z) + shift with a joint rule, and the list of its rule's calls."""
    made = []

    def make(rule):
        @primitive(name=f"planted_{len(made)}", saves=True)
        def planted(xp, x: Array, z: Array, shift: Array = 0.0, scale: float = 1.0):
            grown = xp.exp(z)
            return scale * x * grown + shift, grown

        made.append(planted.name)
        planted.vjp_jointly(rule)
        return planted

    yield make
    for name in made:
        del REGISTRY[name]


def right(factor=1.0, seen=None):
    def rule(g, x, z, scale, saved, needs_grad):
        if seen is not None:
            seen.append((needs_grad, saved is None))
        grown = ops.exp(z) if saved is None else saved
        gx = scale * g * grown if needs_grad[0] else None
        return [
            gx,
            factor * scale * g * x * grown if needs_grad[1] else None,
            g if needs_grad[2] else None,
        ]

    return rule


def leaves(*arrays):
    return [Tensor(a, requires_grad=True) for a in arrays]


def test_gradients_of_order_1_and_2(fused):
    assert gradcheck(fused(right()), [x, z, shift], order=2).error < 1e-5


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_a_joint_rule_off_by_a_thousandth_in_one_operand_is_caught(fused, check):
    with pytest.raises(GradientError, match="gradient of argument 1"):
        check(fused(right(factor=1.001)), [x, z, shift])


def test_what_is_asked_for_is_told_and_nothing_else_need_be_returned(fused):
    seen = []
    op = fused(right(seen=seen))
    a, b, c = leaves(x, z, shift)
    op(a, b, c).sum().backward()
    op(a, z).sum().backward()
    op(x, b, scale=2.0).sum().backward()
    grad(op(a, b, c).sum(), b)
    asked = [needs_grad for needs_grad, _ in seen]
    assert asked == [
        (True, True, True),
        (True, False, False),
        (False, True, False),
        (False, True, False),
    ]
    assert np.allclose(a.grad.numpy(), 2 * np.exp(z))
    assert np.allclose(b.grad.numpy(), 3 * x * np.exp(z))
    assert c.grad.tolist() == [1.0, 1.0, 1.0]


def test_what_was_saved_is_none_while_the_rule_is_differentiated(fused):
    seen = []
    op = fused(right(seen=seen))
    (a,) = leaves(x)
    (plain,) = grad(op(a, z).sum(), a)
    (recorded,) = grad(op(a, z).sum(), a, create_graph=True)
    assert [missing for _, missing in seen] == [False, True]
    assert plain.tolist() == recorded.tolist()


def test_its_names_are_what_is_retained(fused):
    a, b = leaves(x, z)
    shifted = fused(lambda g, shift, x_shape: [g, g, None])(a, b, shift)
    assert (shifted._node.plan.operands, shifted._node.plan.shapes) == ([2], [0])
    b.data -= 1.0
    shifted.sum().backward()
    y = fused(right())(a, b)
    b.data -= 1.0
    with pytest.raises(
        GradientError, match=r"argument z of 'planted_1' .* got data assigned since"
    ):
        y.sum().backward()


def test_wrong_names_are_refused_at_once(fused):
    with pytest.raises(
        TypeError, match=r"planted_0: the joint rule names \('g', 'q'\); known are .*'needs_grad'"
    ):
        fused(lambda g, q: [g, g, g])


def test_wanted_is_for_joint_rules_only(fused):
    with pytest.raises(TypeError, match=r"sign: the rule of 'x' names \('g', 'needs_grad'\)"):
        ops.sign.vjp(x=lambda g, needs_grad: g)


def test_both_kinds_of_rules_are_refused(fused):
    op = fused(right())
    with pytest.raises(
        TypeError, match="planted_0: expected one joint rule or a rule for each operand, got both"
    ):
        op.vjp(x=lambda g: g)
    with pytest.raises(
        TypeError, match="exp: expected one joint rule or a rule for each operand, got both"
    ):
        ops.exp.vjp_jointly(lambda g: [g])


def test_a_gradient_for_each_operand_is_expected(fused):
    (a,) = leaves(x)
    with pytest.raises(
        GradientError, match="the rule of x, z, shift expected to return 3 gradients, got 2"
    ):
        fused(lambda g: [g, g])(a, z).sum().backward()


def test_a_gradient_of_a_wrong_shape_is_named(fused):
    (b,) = leaves(z)
    with pytest.raises(
        GradientError, match=r"the rule of argument z expected .* shape \(3,\), got \(\)"
    ):
        fused(lambda g: [None, g.sum(), None])(x, b).sum().backward()


def test_variadic_rules_are_joint_and_told_what_is_asked_for():
    @primitive()
    def planted(xp, *xs: Array):
        return xs[0] * xs[1]

    seen = []

    def rule(g, xs, needs_grad):
        seen.append(needs_grad)
        return [g * xs[1] if needs_grad[0] else None, g * xs[0] if needs_grad[1] else None]

    planted.vjp(xs=rule)
    del REGISTRY["planted"]
    a, b = leaves(x, z)
    planted(a, b).sum().backward()
    planted(x, b).sum().backward()
    assert seen == [(True, True), (False, True)]
    assert b.grad.tolist() == (2 * x).tolist()
    assert a.grad.tolist() == z.tolist()
