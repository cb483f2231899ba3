"""One training step of an MLP 64-64-10, batch 32, float32, one thread: ours beside MyGrad, HIPS autograd and NumPy.

    pip install -e '.[bench]'
    python benchmarks/engine_overhead.py

The arrays are small, so that a step costs what the engine costs. The four sides run in turns in one process, after a
warm-up and after their losses and updated weights were compared; figures are microseconds, minimum and median.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_ckn
from tinygrad_ckn import Tensor, ops

BATCH, INPUTS, HIDDEN, CLASSES, LR = 32, 64, 64, 10, 0.1
ROUNDS, STEPS = 60, 50

random = np.random.default_rng(0)
x = random.standard_normal((BATCH, INPUTS)).astype("float32")
labels = random.integers(0, CLASSES, BATCH)
start = [
    (random.standard_normal((INPUTS, HIDDEN)) / 8).astype("float32"),
    np.zeros(HIDDEN, "float32"),
    (random.standard_normal((HIDDEN, CLASSES)) / 8).astype("float32"),
    np.zeros(CLASSES, "float32"),
]

Side = tuple[Callable[[], float], Callable[[], list[Any]]]  # a step that returns the loss, and the weights


def numpy_side() -> Side:
    """Return the step written out by hand."""
    w1, b1, w2, b2 = (p.copy() for p in start)
    rows = np.arange(BATCH)

    def step() -> float:
        h = np.maximum(x @ w1 + b1, 0)
        scores = h @ w2 + b2
        scores -= scores.max(axis=1, keepdims=True)
        e = np.exp(scores)
        total = e.sum(axis=1, keepdims=True)
        loss = (np.log(total[:, 0]) - scores[rows, labels]).mean()
        e /= total
        e[rows, labels] -= 1
        e /= BATCH
        dh = (e @ w2.T) * (h > 0)
        for p, g in ((w2, h.T @ e), (b2, e.sum(axis=0)), (w1, x.T @ dh), (b1, dh.sum(axis=0))):
            np.subtract(p, np.float32(LR) * g, out=p)
        return float(loss)

    return step, lambda: [w1, b1, w2, b2]


def our_side() -> Side:
    """Return the step on this library."""
    params = w1, b1, w2, b2 = [Tensor(p, requires_grad=True) for p in start]
    inputs, targets = Tensor(x), Tensor(labels)

    def step() -> float:
        loss = ops.cross_entropy(ops.relu(inputs @ w1 + b1) @ w2 + b2, targets)
        loss.backward()
        for p in params:
            p.data -= LR * p.grad.data
            p.grad = None
        return loss.item()

    return step, lambda: [p.data for p in params]


def mygrad_side() -> Side:
    """Return the step on MyGrad."""
    import mygrad as mg
    from mygrad.nnet.losses import softmax_crossentropy

    params = w1, b1, w2, b2 = [mg.tensor(p) for p in start]

    def step() -> float:
        loss = softmax_crossentropy(mg.maximum(x @ w1 + b1, 0) @ w2 + b2, labels)
        loss.backward()
        for p in params:
            p.data -= LR * p.grad
        return float(loss)

    return step, lambda: [p.data for p in params]


def autograd_side() -> Side:
    """Return the step on HIPS autograd."""
    import autograd.numpy as anp
    from autograd import value_and_grad

    params = [p.copy() for p in start]
    rows = np.arange(BATCH)

    def loss_of(params: list[Any]) -> Any:
        w1, b1, w2, b2 = params
        scores = anp.dot(anp.maximum(anp.dot(x, w1) + b1, 0), w2) + b2
        shifted = scores - anp.max(scores, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(shifted), axis=1)) - shifted[rows, labels])

    differentiate = value_and_grad(loss_of)

    def step() -> float:
        loss, gradients = differentiate(params)
        for p, g in zip(params, gradients, strict=True):
            np.subtract(p, np.float32(LR) * g, out=p)
        return float(loss)

    return step, lambda: params


def main() -> None:
    sides: dict[str, Side] = {"NumPy by hand": numpy_side(), "tinygrad-ckn": our_side()}
    for name, make in (("MyGrad", mygrad_side), ("HIPS autograd", autograd_side)):
        try:
            sides[name] = make()
        except ImportError:
            print(f"{name} is not installed: pip install -e '.[bench]'")
    for _ in range(200):
        losses = {name: step() for name, (step, _) in sides.items()}
    for name, (_, weights) in sides.items():
        np.testing.assert_allclose(losses[name], losses["NumPy by hand"], rtol=1e-4, err_msg=name)
        for ours, theirs in zip(weights(), sides["NumPy by hand"][1](), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4, err_msg=name)

    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, (step, _) in sides.items():
            for _ in range(STEPS):
                before = time.perf_counter()
                step()
                times[name].append((time.perf_counter() - before) * 1e6)
    print(f"tinygrad-ckn {tinygrad_ckn.__version__}, NumPy {np.__version__}, {ROUNDS * STEPS} steps each, one thread")
    print(f"{'':16}{'minimum':>9}{'median':>9}   ours / theirs (medians)")
    ours = statistics.median(times["tinygrad-ckn"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:16}{min(values):9.0f}{median:9.0f}   {ours / median:.2f}")


if __name__ == "__main__":
    main()
