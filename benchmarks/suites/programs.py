"""A training step of whole programs against PyTorch eager and HIPS autograd.

They are those of examples/models: sizes and precision are the same, data and weights random.
The LSTM is there twice, written with basic operations and as the layer of each library.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ckn import TUNED
from benchmarks.suite import OURS, Case, Inputs, Settings, Side, Suite, Work

AUTOGRAD = "HIPS autograd"
Arrays = dict[str, NDArray[Any]]
Rng = np.random.Generator


@dataclass(frozen=True)
class Program:
    """A program, whose loss is a function of this name in each module of peers.

    Parameters
    ----------
    name, title
        Name of the functions, and name in the table.
    data
        Makes the data.
    weights
        Shapes of the weights.
    dtype
        Of data and weights.
    """

    name: str
    title: str
    data: Callable[[Rng], Arrays]
    weights: Sequence[tuple[int, ...]]
    dtype: str = "float32"


def _layers(*widths: int) -> list[tuple[int, ...]]:
    """Return the shapes of the weights and biases of linear layers."""
    shapes: list[tuple[int, ...]] = []
    for n, m in itertools.pairwise(widths):
        shapes += [(n, m), (m,)]
    return shapes


def _classes(rng: Rng, shape: tuple[int, ...]) -> Arrays:
    return {"x": rng.random(shape), "labels": rng.integers(0, 10, shape[0])}


def _bits(rng: Rng) -> Arrays:
    bits = rng.choice([-1.0, 1.0], (16, 4))
    return {"x": bits, "y": bits.prod(axis=1, keepdims=True)}


def _equation(_: Rng) -> Arrays:
    x = np.linspace(0, 1, 64)[:, None]
    return {"x": x, "source": -(math.pi**2) * np.sin(math.pi * x)}


def _kernel(rng: Rng, n: int) -> Arrays:
    points = rng.standard_normal((n, 2))
    y = np.where(points.prod(axis=1) > 0, 1.0, -1.0)
    return {
        "squared_distances": ((points[:, None] - points) ** 2).sum(axis=2),
        "y": y,
        "identity": np.eye(n),
    }


def _paths(rng: Rng) -> Arrays:
    return {"start": rng.standard_normal((16, 2)), "truth": rng.standard_normal((40, 16, 2))}


def _noisy_images(rng: Rng) -> Arrays:
    return {"x": rng.random((64, 64)), "noise": rng.standard_normal((64, 8))}


def _waves(rng: Rng) -> Arrays:
    waves = np.sin(0.2 * np.arange(201)[:, None, None] + rng.uniform(0, 6, (16, 1)))
    return {"x": waves[:-1], "y": waves[1:], "state": np.zeros((16, 32))}


def _letters(rng: Rng) -> Arrays:
    letters = rng.integers(0, 22, (51, 16))
    return {"letters": letters[:-1], "next": letters[1:].ravel(), "state": np.zeros((16, 64))}


def _sequences(rng: Rng) -> Arrays:
    x, y = rng.standard_normal((50, 16, 32)), rng.uniform(-0.5, 0.5, (50, 16, 64))
    return {"x": x, "y": y, "state": np.zeros((16, 64))}


def _tasks(rng: Rng) -> Arrays:
    x, new_x = rng.uniform(-5, 5, (2, 4, 10, 1))
    phases = rng.uniform(0, math.pi, (4, 1, 1))
    return {"x": x, "y": np.sin(x + phases), "new_x": new_x, "new_y": np.sin(new_x + phases)}


PROGRAMS = (
    Program(
        "mlp",
        "MLP 64-256-256-10",
        functools.partial(_classes, shape=(64, 64)),
        _layers(64, 256, 256, 10),
    ),
    Program("tiny_mlp", "tiny MLP 4-8-1", _bits, _layers(4, 8, 1), "float64"),
    Program(
        "conv_net",
        "conv net 28x28, batch 32",
        functools.partial(_classes, shape=(32, 1, 28, 28)),
        [(6, 1, 5, 5), (6,), (16, 6, 5, 5), (16,), *_layers(256, 10)],
    ),
    Program("pinn", "PINN, u'' by two grads", _equation, _layers(1, 32, 32, 1), "float64"),
    Program(
        "kernel_logistic",
        "kernel logistic regression, n = 200",
        functools.partial(_kernel, n=200),
        [(200,), ()],
        "float64",
    ),
    Program("neural_ode", "neural ODE, RK4 x 40", _paths, _layers(2, 32, 2), "float64"),
    Program("vae", "VAE", _noisy_images, [*_layers(64, 128, 16), *_layers(8, 128, 64)]),
    Program("rnn", "RNN, 200 steps", _waves, [*_layers(1, 32), (32, 32), *_layers(32, 1)]),
    Program("lstm", "LSTM, 50 steps", _letters, [(22, 256), (64, 256), (256,), *_layers(64, 22)]),
    Program(
        "lstm_layer",
        "LSTM, 50 steps, the layer",
        _sequences,
        [(256, 32), (256, 64), (256,), (256,)],
    ),
    Program("maml", "MAML 4x3", _tasks, _layers(1, 40, 40, 1), "float64"),
    Program(
        "gaussian_process",
        "Gaussian-process likelihood, n = 300",
        functools.partial(_kernel, n=300),
        # logarithms of the kernel's width and height, and of the noise
        [(), (), ()],
        "float64",
    ),
)


def _inputs(name: str) -> Inputs:
    """Return data and weights, both by name."""
    program = _named(name)
    rng = np.random.default_rng(0)
    data = {
        key: array.astype(program.dtype) if array.dtype.kind == "f" else array
        for key, array in program.data(rng).items()
    }
    weights = {}
    for i, shape in enumerate(program.weights):
        # inputs of a unit: (n, m) for layers, (O, C, kh, kw) for filters
        fan_in = math.prod(shape[1:]) if len(shape) == 4 else shape[0] if shape else 4
        values = rng.standard_normal(shape) / math.sqrt(fan_in)
        weights[f"w{i}"] = np.asarray(values, program.dtype)
    return {"data": data, "weights": weights}


def _named(name: str) -> Program:
    """Return a program by its name."""
    return next(program for program in PROGRAMS if program.name == name)


def _work(inputs: Inputs, device: str, *, peer: str, **options: Any) -> Work:
    """Return the training step of a module of peers."""
    work: Work = importlib.import_module(peer).training(inputs, device, **options)
    return work


def _case(program: Program) -> Case:
    def side(name: str, module: str, *imports: str, **options: Any) -> Side:
        peer = f"benchmarks.peers.{module}"
        settings = {"peer": peer, "name": program.name, **options}
        return Side(name, _work, settings, (*imports, peer), tuned_malloc=name == TUNED)

    tolerance = 1e-4 if program.dtype == "float32" else 1e-9
    return Case(
        program.title,
        [
            side(OURS, "programs", "tinygrad_ckn"),
            side(TUNED, "programs_torch", "torch"),
            side(AUTOGRAD, "programs_autograd", "autograd"),
        ],
        functools.partial(_inputs, program.name),
        tolerances={"loss": tolerance, "gradients": tolerance},
        reference=side("ours in float64", "programs", "tinygrad_ckn", dtype="float64"),
        targets={TUNED: 1.0, AUTOGRAD: 0.4},
        mean_targets={TUNED: 0.8},
        rounds=20,
        steps=10,
        warm_up=10,
        group="training step of a program",
    )


def _cases(_: Settings) -> Sequence[Case]:
    return [_case(program) for program in PROGRAMS]


SUITE = Suite(
    "programs",
    f"a training step of {len(PROGRAMS)} programs, against PyTorch eager and HIPS autograd",
    _cases,
)
