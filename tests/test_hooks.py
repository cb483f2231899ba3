import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad
from tinygrad_ckn.errors import DTypeError, GradientError, ShapeError
from tinygrad_ckn.hooks import GRADIENT_HOOKS, HOOKS, call_hooked


@pytest.fixture
def hook():
    seen = []

    def add(name):
        def record(operation, direction, call):
            seen.append((name, operation, direction))
            return call()

        HOOKS.append(record)

    yield add, seen
    HOOKS.clear()


def test_hooks_are_called_around_forwards_and_rules(hook):
    add, seen = hook
    add("a")
    (Tensor([2.0], requires_grad=True) * 3.0).sum().backward()
    directions = [(operation, direction) for _, operation, direction in seen]
    assert directions[:3] == [("multiply", "forward"), ("sum", "forward"), ("sum", "backward")]
    assert ("multiply", "backward") in directions


def test_the_last_hook_is_outermost(hook):
    add, seen = hook
    add("inner")
    add("outer")
    assert call_hooked("f", "forward", lambda x: x + 1, 1) == 2
    assert [name for name, *_ in seen] == ["outer", "inner"]


def leaf(values=(1.0, 2.0)):
    return Tensor(np.array(values), requires_grad=True)


def test_a_hook_gets_the_whole_gradient_once_and_may_replace_it():
    x = leaf()
    y = x * x
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: 10 * g)
    y.register_hook(lambda g: seen.append(g.tolist()))
    # registered after a use, and used three times
    (y.sum() + (3 * y).sum() + y[0]).backward()
    assert seen == [[5.0, 4.0], [50.0, 40.0]]
    assert x.grad.tolist() == [100.0, 160.0]


def test_a_hook_on_a_leaf_comes_before_the_gradient_is_added():
    x = leaf()
    handle = x.register_hook(lambda g: g.data + 1)
    for _ in range(2):
        (3 * x).sum().backward()
    assert x.grad.tolist() == [8.0, 8.0]
    assert grad((3 * x).sum(), x)[0].tolist() == [4.0, 4.0]
    handle.remove()
    handle.remove()
    assert grad((3 * x).sum(), x)[0].tolist() == [3.0, 3.0]
    assert not GRADIENT_HOOKS


def test_a_recorded_hook_is_differentiated():
    x = leaf([3.0])
    y = x * x
    y.register_hook(lambda g: g * x)
    # 2 x * x, and its derivative
    (slope,) = grad(y.sum(), x, create_graph=True)
    assert slope.tolist() == [18.0]
    assert grad(slope.sum(), x)[0].tolist() == [12.0]


def test_hooks_end_with_their_tensor_and_keep_nothing_alive():
    x = leaf()
    y = x * x
    y.register_hook(lambda g: g)
    assert len(GRADIENT_HOOKS) == 1
    del y
    assert not GRADIENT_HOOKS
    handle = (x * x).register_hook(lambda g: g)
    handle.remove()
    assert not GRADIENT_HOOKS


def test_neither_tensor_of_a_hook_shares_memory_with_the_gradient():
    x = leaf()
    mine = np.array([5.0, 5.0])

    def hook(g):
        g.data[:] = 0
        return mine

    x.register_hook(hook)
    (2 * x).sum().backward()
    mine[:] = 7
    assert x.grad.tolist() == [5.0, 5.0]
    other = leaf()
    other.register_hook(lambda g: g.data.fill(0))
    (2 * other).sum().backward()
    assert other.grad.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_scalar_and_an_empty_tensor(dtype):
    for shape in ((), (0,), (2, 0)):
        x = Tensor(np.ones(shape, dtype), requires_grad=True)
        seen = []
        x.register_hook(seen.append)
        (x * 2).sum().backward()
        assert [(g.shape, g.dtype) for g in seen] == [(shape, np.dtype(dtype))]


def test_wrong_hooks():
    x = leaf()
    with pytest.raises(GradientError, match=r"tensor that requires grad, got .* requires_grad=Fal"):
        x.detach().register_hook(print)
    with pytest.raises(DTypeError, match="function expected a function of the gradient, got int"):
        x.register_hook(3)
    for wrong, got in (
        (np.zeros(3), r"float64 \(3,\)"),
        (1.0, "float"),
        (x.astype("f4"), "float3"),
    ):
        y = x * 1
        y.register_hook(lambda g, wrong=wrong: wrong)
        with pytest.raises(
            ShapeError, match=rf"returns None or a gradient float64 \(2,\), got {got}"
        ):
            y.sum().backward()
