import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.nn.recurrence import lstm_sequence, lstm_step


def test_large_gates_do_not_overflow_and_float32_stays() -> None:
    state = np.ones((1, 2), np.float32)
    w = np.zeros((4, 1), np.float32)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y = lstm_step(np.array([[1e4, -1e4, 1e4, 1e4]], np.float32), state, w)
    np.testing.assert_allclose(y, [[np.tanh(1.0), 1.0]], rtol=1e-6)
    assert y.dtype == np.float32


def operands(dtype: str) -> list[Tensor]:
    rng = np.random.default_rng(0)
    return [
        Tensor(rng.normal(size=shape), dtype=dtype, requires_grad=True)
        for shape in ((4, 3, 8), (3, 4), (8, 2))
    ]


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_sequence_is_its_steps(dtype: str, rtol: float, create_graph: bool) -> None:
    inputs, start, w = operands(dtype)
    states = lstm_sequence(inputs, start, w)
    state, steps = start, []
    for x in inputs:
        state = lstm_step(x, state, w)
        steps.append(state)
    one_by_one = ops.stack(steps)
    assert states.dtype == dtype
    np.testing.assert_allclose(states.numpy(), one_by_one.numpy(), rtol=rtol)
    u = np.random.default_rng(1).normal(size=states.shape).astype(dtype)
    slopes = [
        grad((y * u).sum(), (inputs, start, w), create_graph=create_graph)
        for y in (states, one_by_one)
    ]
    for ours, theirs in zip(*slopes, strict=True):
        assert ours is not None
        assert theirs is not None
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=rtol, atol=rtol)


def test_one_tensor_in_two_roles_gets_both_gradients_also_recorded() -> None:
    state = Tensor(np.random.default_rng(0).normal(size=(2, 2)), requires_grad=True)
    w = Tensor(np.random.default_rng(1).normal(size=(4, 1)), requires_grad=True)

    def loss(state: Tensor, w: Tensor) -> Tensor:
        inputs = ops.concatenate([state, state], axis=1)[None]
        return (lstm_sequence(inputs, state, w) ** 2).sum()

    plain = grad(loss(state, w), (state, w))
    recorded = grad(loss(state, w), (state, w), create_graph=True)
    for a, b in zip(plain, recorded, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)  # type: ignore[union-attr]
