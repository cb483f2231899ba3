"""What the graph keeps alive, and what it notices."""

import gc
import tracemalloc

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.primitive import Array, primitive


def leaf(*values):
    return Tensor(np.array(values), requires_grad=True)


@pytest.mark.untraced
def test_a_chain_of_100_000_operations():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1e-6
    y.sum().backward()
    assert x.grad.item() == 1.0


@pytest.mark.untraced
def test_dropping_a_chain_of_100_000_operations_without_backward():
    y = leaf(1.0)
    for _ in range(100_000):
        y = y + 1e-6
    value = y.item()
    del y
    assert np.isclose(value, 1.1)


@pytest.mark.untraced
def test_memory_after_1000_steps_equals_memory_after_10_without_the_collector():
    w = Tensor(np.ones((16, 16)) * 0.01, requires_grad=True)
    x = Tensor(np.ones((8, 16)))

    def step():
        loss = ops.cross_entropy(ops.tanh(x @ w), np.arange(8))
        loss.backward()
        w.data = w.data - 0.01 * w.grad.data
        w.grad = None

    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        sizes = []
        for count in (10, 990):
            for _ in range(count):
                step()
            sizes.append(tracemalloc.get_traced_memory()[0])
        cycles = gc.collect()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert cycles == 0
    assert (
        sizes[1] - sizes[0] < 990 * 50
    )  # the interpreter's free lists fill up; one object a step would be more


def test_second_order_through_grad_leaves_no_cycle():
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        (g,) = grad(ops.exp(x).sum(), x, create_graph=True)
        grad(g.sum(), x)
        del x, g
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_assigning_data_that_a_rule_needs_is_noticed():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    x.data -= 1.0
    with pytest.raises(GradientError, match=r"argument a of 'multiply' .* got data assigned since"):
        y.backward()


def test_assigning_data_of_a_result_or_a_constant_is_noticed():
    x, c = leaf(1.0, 2.0), Tensor([3.0, 4.0])
    h = ops.exp(x)
    y = (h * c).sum()
    c.data = np.zeros(2)
    with pytest.raises(GradientError, match="argument b of 'multiply'"):
        y.backward()
    y = (h * h).sum()
    h.data = np.zeros(2)
    with pytest.raises(GradientError, match="argument a of 'multiply'"):
        y.backward()


def test_assigning_a_result_that_its_own_rule_needs_is_noticed():
    x = leaf(1.0, 2.0)
    y = ops.exp(x)
    y.data -= 1.0
    with pytest.raises(GradientError, match=r"the result of 'exp' .* got data assigned since"):
        y.backward(np.ones(2))


def test_assigning_through_a_view_is_noticed():
    x = Tensor(np.ones(4), requires_grad=True)
    y = ops.square(x.reshape(2, 2)).sum()
    x.data -= 1.0
    with pytest.raises(GradientError, match="argument x of 'square'"):
        y.backward()


def test_assigning_data_that_no_rule_needs_is_fine():
    x = leaf(1.0, 2.0)
    y = (x + 1.0).sum()
    x.data = np.zeros(2)
    y.backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_recorded_gradients_have_memory_of_their_own():
    a, b, up = leaf(1.0, 2.0), leaf(3.0, 4.0), Tensor([1.0, 1.0])
    (a + b).backward(up, create_graph=True)
    a.grad.data *= 2
    assert (up.tolist(), b.grad.tolist()) == ([1, 1], [1, 1])


@pytest.mark.parametrize(
    "shares",
    [
        lambda t: ops.unfold(t, 1),
        lambda t: ops.einsum("ncij->ncji", t),
        lambda t: ops.kappa_polynomial(t, 1),
        lambda t: ops.to_device(t, "cpu"),
        lambda t: t[0],
    ],
)
def test_whatever_shares_memory_shares_the_version(shares):
    c = Tensor(2 * np.ones((1, 1, 2, 2)))
    w = leaf(1.0)
    z = (shares(c) * w).sum()
    before = grad(z, w, retain_graph=True)[0].item()
    c.data -= 1
    try:
        after = grad(z, w)[0].item()
    except GradientError:
        return
    assert after == before == 8


@pytest.mark.parametrize("number", range(3))
def test_a_forward_that_returns_an_operand_shares_its_version(number):
    @primitive
    def chosen_operand(xp, a: Array, b: Array, c: Array) -> Array:
        return (a, b, c)[number]

    t = Tensor(np.array([3.0]))
    w = leaf(2.0)
    operands = [Tensor(np.array([1.0])) for _ in range(3)]
    operands[number] = t
    y = (chosen_operand(*operands) * w).sum()
    t.data -= 1
    with pytest.raises(GradientError, match="expected the data it was computed with"):
        y.backward()


@pytest.mark.parametrize("number", range(2))
def test_a_forward_of_two_operands_that_returns_one_shares_its_version(number):
    @primitive
    def one_of_two(xp, a: Array, b: Array) -> Array:
        return (a, b)[number]

    t = Tensor(np.array([3.0]))
    w = leaf(2.0)
    operands = [Tensor(np.array([1.0]))] * 2
    operands[number] = t
    y = (one_of_two(*operands) * w).sum()
    t.data -= 1
    with pytest.raises(GradientError, match="expected the data it was computed with"):
        y.backward()


def test_an_index_that_was_assigned_is_noticed():
    x, i = leaf(1.0, 2.0, 3.0), Tensor([0])
    y = x[i].sum()
    i.data += 2
    with pytest.raises(GradientError, match="argument index of 'getitem'"):
        y.backward()


def test_versions_reach_second_backwards_through_variadic_operations_and_constants():
    x = leaf(2.0, 3.0)
    h = x * 1.0
    (gx,) = grad(ops.einsum("i,i,i->", h, h, h), x, create_graph=True)
    h.data = h.data - 1
    with pytest.raises(GradientError, match="got data assigned since"):
        grad(gx.sum(), x)
    c, u, x = Tensor([1.0, 1.0]), leaf(1.0, 1.0), leaf(2.0, 3.0)
    (gx,) = grad(x * c, x, gradient=u, create_graph=True)
    c.data -= 1
    with pytest.raises(GradientError, match="got data assigned since"):
        grad(gx.sum(), u)


def test_an_assigned_tensor_is_copied():
    a, b = leaf(1.0, 2.0), leaf(0.0, 0.0)
    b.data = a
    y = (a * a).sum()
    b.data -= 1
    y.backward()
    assert a.tolist() == [1, 2]
    assert a.grad.tolist() == [2, 4]


def test_views_of_replaced_memory_go_their_own_way():
    x = leaf(1.0, 2.0)
    v = x.detach()[:1]
    x.data = np.zeros(2)
    w = leaf(5.0)
    y = (v * w).sum()
    x.data = np.ones(2)
    y.backward()
    assert w.grad.tolist() == [1.0]
