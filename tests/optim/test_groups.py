from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import ConfigError, DTypeError
from tinygrad_ckn.optim import SGD, Adam, AdamW, Optimizer, Scheduler, StepDecay

Make = Callable[..., Optimizer]
makes = pytest.mark.parametrize("make", [SGD, Adam, AdamW])


def leaves() -> list[Tensor]:
    rng = np.random.default_rng(0)
    return [Tensor(rng.normal(size=n), requires_grad=True) for n in (3, 2, 1)]


def descend(optimizers: list[Optimizer], tensors: list[Tensor], steps: int = 4) -> None:
    for _ in range(steps):
        for tensor in tensors:
            tensor.grad = None
            (tensor**2).sum().backward()
        for optimizer in optimizers:
            optimizer.step()


@makes
def test_groups_move_as_with_an_optimiser_each(make: Make) -> None:
    one, other = leaves(), leaves()
    groups = [
        {"params": one[:1], "lr": 0.5, "weight_decay": 0.0},
        {"params": iter(one[1:2]), "weight_decay": 0.25},
        {"params": one[2]},
    ]
    together = make(groups, lr=0.125, weight_decay=0.5)
    assert [id(p) for p in together.params] == [id(p) for p in one]
    descend([together], one)
    alone = [
        make(other[:1], lr=0.5, weight_decay=0.0),
        make(other[1:2], lr=0.125, weight_decay=0.25),
        make(other[2:], lr=0.125, weight_decay=0.5),
    ]
    descend(alone, other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_schedule_keeps_the_ratio_of_learning_rates_also_from_0() -> None:
    tensors = leaves()
    optimizer = SGD([{"params": tensors[:1], "lr": 0.5}, {"params": tensors[1:]}], lr=0.25)
    Scheduler(optimizer, StepDecay(1, 0.5)).step()
    optimizer.lr, old = 0.0, optimizer.lr
    optimizer.lr = old
    before = [t.numpy().copy() for t in tensors]
    descend([optimizer], tensors, steps=1)
    for tensor, start, lr in zip(tensors, before, (0.25, 0.125, 0.125), strict=True):
        np.testing.assert_allclose(tensor.numpy(), start * (1 - 2 * lr), rtol=1e-14)


def test_a_tensor_without_gradient_does_not_shift_the_states() -> None:
    tensors = leaves()
    optimizer = Adam([{"params": tensors[:2]}, {"params": tensors[2:]}], lr=0.1)
    (tensors[2] ** 2).sum().backward()
    optimizer.step()
    assert [state["steps"] for state in optimizer.state] == [0, 0, 1]


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ([{"lr": 0.1}], ConfigError, r"params\[0\] expected a mapping with the entry 'params'"),
        ([{"params": []}], ConfigError, r"params\[0\]\['params'\] expected at least one tensor"),
        (lambda t: [{"params": t}, t[0]], ConfigError, r"params\[1\] expected a mapping .* Tensor"),
        (lambda t: [{"params": t, "eps": 1}], ConfigError, "'lr' and 'weight_decay', got 'eps'"),
        (
            lambda t: [{"params": t, "lr": -1}],
            ConfigError,
            r"params\[0\]\['lr'\] expected a finite",
        ),
        (lambda t: [{"params": t}, {"params": t[0]}], ConfigError, "each tensor once, got that of"),
        ([{"params": [1.0]}], DTypeError, r"params\[0\]\['params'\]\[0\] expected a Tensor"),
    ],
)
def test_wrong_groups(groups: Any, error: type[Exception], message: str) -> None:
    given = groups(leaves()) if callable(groups) else groups
    with pytest.raises(error, match=f"SGD: argument .*{message}"):
        SGD(given, lr=0.1)
