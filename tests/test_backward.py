import threading

import numpy as np
import pytest

from tinygrad_ckn import Tensor, enable_grad, grad, no_grad, ops
from tinygrad_ckn.backend import Array
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.primitive import REGISTRY, primitive


def leaf(*values, dtype=None):
    return Tensor(np.array(values, dtype=dtype), requires_grad=True)


def test_gradients_accumulate_over_backwards():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    (x * x).sum().backward()
    assert x.grad.tolist() == [4.0, 8.0]


def test_accumulating_leaves_the_earlier_gradient_as_it_was():
    x = leaf(1.0)
    x.sum().backward()
    first = x.grad
    x.sum().backward()
    assert first.item() == 1.0
    assert x.grad.item() == 2.0


def test_a_tensor_used_many_times_gets_the_sum():
    x = leaf(3.0)
    (x + x + x * x + x).sum().backward()
    assert x.grad.item() == 9.0


def test_given_gradient_is_neither_kept_nor_changed():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    g = np.array([1.0, 10.0])
    (x + y).backward(g)
    x.grad.data[:] = 7.0
    assert g.tolist() == [1.0, 10.0]
    assert y.grad.tolist() == [1.0, 10.0]


def test_backward_on_a_leaf_copies_the_gradient():
    x = leaf(1.0, 2.0)
    g = np.ones(2)
    x.backward(g)
    assert not np.shares_memory(x.grad.data, g)


def test_graph_is_freed_and_says_so():
    x = leaf(1.0, 2.0)
    y = ops.exp(x).sum()
    y.backward()
    with pytest.raises(
        GradientError, match=r"'sum' was freed by an earlier backward; pass retain_graph=True"
    ):
        y.backward()


def test_grad_through_a_freed_part_says_so_instead_of_returning_none():
    x = leaf(1.0, 2.0)
    shared = ops.exp(x)
    shared.sum().backward()
    with pytest.raises(GradientError, match="'exp' was freed"):
        grad((shared * 2).sum(), x)


def test_retained_graph_runs_twice():
    x = leaf(1.0, 2.0)
    y = ops.exp(x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert np.allclose(x.grad.numpy(), 2 * np.exp([1.0, 2.0]))


def test_derivatives_of_order_four():
    x = leaf(1.5)
    y = x**5
    for factor in (5, 4, 3, 2):
        y = grad(y.sum(), x, create_graph=True)[0]
        assert factor
    assert np.isclose(y.item(), 120 * 1.5)


def test_third_derivative_of_the_inverse_square_root_along_a_line():
    a = np.diag([1.0, 2.0])
    t = Tensor(0.0, requires_grad=True)
    y = ops.inverse_sqrt(a + t * np.eye(2)).sum()
    for _ in range(3):
        (y,) = grad(y, t, create_graph=True)
    expected = -15 / 8 * (1.0**-3.5 + 2.0**-3.5)
    assert np.isclose(y.item(), expected, rtol=1e-12)


def test_float32_gradient_of_a_float32_leaf_in_a_float64_computation():
    x = leaf(1.0, 2.0, dtype="float32")
    (x * np.array([1.0, 2.0])).sum().backward()
    assert x.grad.dtype == "float32"


def test_no_grad_and_enable_grad_as_blocks_and_decorators():
    x = leaf(1.0)

    @no_grad()
    def plain():
        return x * 2

    with no_grad():
        assert not (x * 2).requires_grad
        with enable_grad():
            assert (x * 2).requires_grad
    assert not plain().requires_grad
    assert (x * 2).requires_grad


def test_gradient_mode_belongs_to_the_thread():
    x = leaf(1.0)
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


@pytest.fixture
def scratch():
    """Return a decorator for primitives that are forgotten after the test."""
    before = set(REGISTRY)
    yield primitive
    for name in set(REGISTRY) - before:
        del REGISTRY[name]


def test_a_rule_of_a_wrong_shape_is_named(scratch):
    @scratch()
    def halve(xp, x: Array):
        return x / 2

    halve.vjp(x=lambda g: g.sum())
    x = leaf(1.0, 2.0)
    with pytest.raises(
        GradientError, match=r"halve: the rule of argument x expected .* shape \(2,\), got \(\)"
    ):
        halve(x).backward(np.ones(2))


def test_a_rule_that_names_the_unknown_is_refused_at_once(scratch):
    @scratch()
    def third(xp, x: Array):
        return x / 3

    with pytest.raises(TypeError, match="third: the rule of 'x' names"):
        third.vjp(x=lambda g, z: g)
    with pytest.raises(TypeError, match="third: the rule of 'q' is for"):
        third.vjp(q=lambda g: g)


def test_a_name_is_registered_once(scratch):
    with pytest.raises(
        ValueError, match=r"primitive 'exp': expected a name of its own, got that of .*elementwise"
    ):

        @scratch()
        def exp(xp, x: Array):
            return x


def test_argument_without_a_rule_refuses_tensors_that_require_grad():
    with pytest.raises(
        GradientError, match=r"where: argument condition has no derivative.*\.detach\(\)"
    ):
        ops.where(leaf(1.0), leaf(2.0), leaf(3.0))


def test_saved_and_recomputed_rules_agree():
    a = np.array([[2.0, 0.5], [0.5, 1.0]])
    g = np.array([[1.0, 2.0], [3.0, 4.0]])
    spd = Tensor(a, requires_grad=True)
    for function in (
        ops.inverse_sqrt,
        ops.sqrtm,
        lambda x: ops.lyapunov(x, g),
        lambda x: ops.lyapunov(a, x),
        lambda x: ops.cross_entropy(x, np.array([0, 1])) * np.ones((2, 2)),
    ):
        (plain,) = grad(function(spd), spd, gradient=g)
        (recorded,) = grad(function(spd), spd, gradient=Tensor(g), create_graph=True)
        assert np.allclose(plain.numpy(), recorded.numpy(), rtol=1e-12, atol=1e-12)


def test_accumulated_scalars_stay_arrays():
    x = Tensor(2.0, requires_grad=True)
    (x * x).backward()
    (x * x).backward()
    assert type(x.grad.data) is np.ndarray


def test_the_graph_below_an_input_stays():
    x = leaf(1.0, 2.0)
    h = ops.exp(x)
    grad((h * h).sum(), h)
    h.sum().backward()
    assert np.allclose(x.grad.numpy(), np.exp([1.0, 2.0]))


def test_a_refused_backward_uses_nothing_up():
    x, c = leaf(1.0, 2.0), Tensor([3.0, 4.0])
    y = ops.exp(x * c).sum()
    old = c.data
    c.data = np.zeros(2)
    with pytest.raises(GradientError, match="got data assigned since"):
        y.backward()
    with pytest.raises(GradientError, match="got data assigned since"):
        y.backward()
    assert old.tolist() == [3, 4]


def test_threads_may_share_a_leaf():
    w = leaf(0.0)

    def work():
        for _ in range(200):
            (w * 1.0).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert w.grad.item() == 800


def test_a_rule_that_returns_its_operand_does_not_give_it_away(scratch):
    @scratch()
    def planted(xp, x: Array):
        return x * 1

    planted.vjp(x=lambda g, x: x)
    x = leaf(1.0, 2.0)
    planted(x).sum().backward()
    x.grad.data *= 5
    assert x.tolist() == [1.0, 2.0]


def test_a_rule_that_is_set_again_counts_from_then_on(scratch):
    @scratch()
    def planted(xp, x: Array):
        return 2 * x

    x = leaf(1.0)
    for rule, expected in ((lambda g: g, 1.0), (lambda g: 2 * g, 2.0)):
        planted.vjp(x=rule)
        assert grad(planted(x).sum(), x)[0].item() == expected


def test_variadic_rules_are_checked(scratch):
    @scratch()
    def planted(xp, *xs: Array):
        return sum(xs)

    with pytest.raises(GradientError, match="argument xs has no derivative"):
        planted(leaf(1.0), leaf(2.0))
    planted.vjp(xs=lambda g: [g])
    with pytest.raises(GradientError, match="the rule of xs expected to return 2 gradients, got 1"):
        planted(leaf(1.0), leaf(2.0)).sum().backward()
