"""The training step of a small MLP, relu and cross-entropy, in the idiom of each library.

Each function takes x (N, D), labels (N,) and the weights [W1, b1, W2, b2], which it may
change in place. It returns a step, which returns the loss, and a function that returns
the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

LR = 0.1
Step = tuple[Callable[[], float], Callable[[], list[Any]]]


def by_hand(x: NDArray[Any], labels: NDArray[Any], weights: list[Any]) -> Step:
    """Return the step with a handwritten gradient."""
    w1, b1, w2, b2 = weights
    rows = np.arange(len(x))
    rate = x.dtype.type(LR)

    def step() -> float:
        h = np.maximum(x @ w1 + b1, 0)
        scores = h @ w2 + b2
        scores -= scores.max(axis=1, keepdims=True)
        e = np.exp(scores)
        total = e.sum(axis=1, keepdims=True)
        loss = (np.log(total[:, 0]) - scores[rows, labels]).mean()
        e /= total
        e[rows, labels] -= 1
        e /= len(x)
        dh = (e @ w2.T) * (h > 0)
        for p, g in ((w2, h.T @ e), (b2, e.sum(axis=0)), (w1, x.T @ dh), (b1, dh.sum(axis=0))):
            np.subtract(p, rate * g, out=p)
        return float(loss)

    return step, lambda: weights


def by_hand_in_float64(x: NDArray[Any], labels: NDArray[Any], weights: list[Any]) -> Step:
    """Return the reference for float32."""
    return by_hand(x.astype("float64"), labels, [w.astype("float64") for w in weights])


def ours(x: NDArray[Any], labels: NDArray[Any], weights: list[Any]) -> Step:
    """Return the step in this library."""
    from tinygrad_ckn import Tensor, ops

    params = w1, b1, w2, b2 = [Tensor(p, requires_grad=True) for p in weights]
    inputs = Tensor(x)
    targets = Tensor(labels)

    def step() -> float:
        loss = ops.cross_entropy(ops.relu(inputs @ w1 + b1) @ w2 + b2, targets)
        loss.backward()
        for p in params:
            assert p.grad is not None
            p.data -= LR * p.grad.data
            p.grad = None
        value: float = loss.item()
        return value

    return step, lambda: [p.data for p in params]


def mygrad(x: NDArray[Any], labels: NDArray[Any], weights: list[Any]) -> Step:
    """Return the step in MyGrad."""
    import mygrad as mg
    from mygrad.nnet.losses import softmax_crossentropy

    params = w1, b1, w2, b2 = [mg.tensor(p) for p in weights]

    def step() -> float:
        loss = softmax_crossentropy(mg.maximum(x @ w1 + b1, 0) @ w2 + b2, labels)
        loss.backward()
        for p in params:
            p.data -= LR * p.grad
        return float(loss)

    return step, lambda: [p.data for p in params]


def autograd(x: NDArray[Any], labels: NDArray[Any], weights: list[Any]) -> Step:
    """Return the step in HIPS autograd."""
    import autograd.numpy as anp
    from autograd import value_and_grad

    rows = np.arange(len(x))
    rate = x.dtype.type(LR)

    def loss_of(params: list[Any]) -> Any:
        w1, b1, w2, b2 = params
        scores = anp.dot(anp.maximum(anp.dot(x, w1) + b1, 0), w2) + b2
        shifted = scores - anp.max(scores, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(shifted), axis=1)) - shifted[rows, labels])

    differentiate = value_and_grad(loss_of)

    def step() -> float:
        loss, gradients = differentiate(weights)
        for p, g in zip(weights, gradients, strict=True):
            np.subtract(p, rate * g, out=p)
        return float(loss)

    return step, lambda: weights


def torch_eager(x: NDArray[Any], labels: NDArray[Any], weights: list[Any]) -> Step:
    """Return the step in PyTorch, with one call that updates all weights."""
    import torch

    params = w1, b1, w2, b2 = [torch.from_numpy(p).requires_grad_() for p in weights]
    inputs = torch.from_numpy(x)
    targets = torch.from_numpy(labels)
    optimizer = torch.optim.SGD(params, lr=LR)

    def step() -> float:
        loss = torch.nn.functional.cross_entropy(
            torch.addmm(b2, torch.addmm(b1, inputs, w1).relu_(), w2), targets
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        value: float = loss.item()
        return value

    return step, lambda: [p.detach().numpy() for p in params]


def jax_jit(x: NDArray[Any], labels: NDArray[Any], weights: list[Any]) -> Step:
    """Return the step in JAX, compiled as a whole."""
    import jax
    from jax import numpy as jnp

    state = [jnp.asarray(p) for p in weights]
    inputs = jnp.asarray(x)
    targets = jnp.asarray(labels)

    def loss_of(params: list[Any]) -> Any:
        w1, b1, w2, b2 = params
        logs = jax.nn.log_softmax(jax.nn.relu(inputs @ w1 + b1) @ w2 + b2)
        return -jnp.take_along_axis(logs, targets[:, None], axis=1).mean()

    @jax.jit
    def update(params: list[Any]) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(params)
        return loss, [p - LR * g for p, g in zip(params, gradients, strict=True)]

    def step() -> float:
        loss, state[:] = update(state)
        return float(loss)

    return step, lambda: [np.asarray(p) for p in state]
