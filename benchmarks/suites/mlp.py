"""One training step of an MLP 64-64-10, batch 32, float32, one thread.

It is so small that it measures the overhead of the engines.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.peers import mlp as peers
from benchmarks.suite import OURS, Case, Inputs, Settings, Side, Suite, Work

BATCH = 32
WIDTHS = (64, 64, 10)
# steps after which losses and weights are compared
STEPS = 50


def _inputs() -> Inputs:
    rng = np.random.default_rng(0)
    weights: list[Any] = []
    for n, m in itertools.pairwise(WIDTHS):
        weights += [(rng.standard_normal((n, m)) / 8).astype("float32"), np.zeros(m, "float32")]
    return {
        "x": rng.standard_normal((BATCH, WIDTHS[0])).astype("float32"),
        "labels": rng.integers(0, WIDTHS[-1], BATCH),
        "weights": weights,
    }


def _work(
    inputs: Inputs,
    device: str,
    *,
    side: Callable[..., tuple[Callable[[], float], Callable[[], list[Any]]]],
) -> Work:
    """Return the work of a side, which gets its own copies of the weights."""
    step, weights = side(inputs["x"], inputs["labels"], [w.copy() for w in inputs["weights"]])

    def outputs() -> dict[str, Any]:
        losses = np.array([step() for _ in range(STEPS)])
        return {"losses": losses, "weights": [np.array(w) for w in weights()]}

    return Work(step, outputs)


def _cases(_: Settings) -> Sequence[Case]:
    def side(name: str, function: Callable[..., Any], *imports: str) -> Side:
        return Side(name, _work, {"side": function}, imports)

    return [
        Case(
            "MLP 64-64-10 training step, batch 32",
            [
                side(OURS, peers.ours, "tinygrad_ckn"),
                side("NumPy by hand", peers.by_hand),
                side("MyGrad", peers.mygrad, "mygrad"),
                side("HIPS autograd", peers.autograd, "autograd.numpy"),
                side("torch eager", peers.torch_eager, "torch"),
                side("jax.jit", peers.jax_jit, "jax"),
            ],
            _inputs,
            tolerances={"losses": 1e-4, "weights": 1e-4},
            reference=side("NumPy by hand in float64", peers.by_hand_in_float64),
            targets={"torch eager": 0.5},
            rounds=40,
            steps=50,
            warm_up=200,
        )
    ]


SUITE = Suite(
    "mlp",
    "MLP 64-64-10 training step, batch 32, one thread: the engine's own cost",
    _cases,
    threads=1,
)
