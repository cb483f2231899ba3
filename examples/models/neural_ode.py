"""A neural differential equation dx/dt = f(x), fitted to paths of a spiral.

    python examples/models/neural_ode.py [--steps N]

Source: Chen, Rubanova, Bettencourt & Duvenaud 2018 (arXiv 1806.07366). The gradient goes
back through all 40 Runge-Kutta steps of the solver.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_ckn import Tensor, nn, ops, optim

STEPS = 40
DT = 0.05


def path(field: Callable[[Any], Any], x: Any) -> list[Any]:
    """Return the points that Runge-Kutta's method of order 4 reaches from x."""
    points = []
    for _ in range(STEPS):
        k1 = field(x)
        k2 = field(x + DT / 2 * k1)
        k3 = field(x + DT / 2 * k2)
        k4 = field(x + DT * k3)
        x = x + DT / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        points.append(x)
    return points


def main(steps: int) -> None:
    """Fit paths that begin at 16 points; print the loss and the error on new paths."""
    rng = np.random.default_rng(0)
    matrix = np.array([[-0.1, 2.0], [-2.0, -0.1]])
    start, new_start = rng.uniform(-1.5, 1.5, (2, 16, 2))
    truth, new_truth = (np.stack(path(lambda x: x**3 @ matrix, s)) for s in (start, new_start))
    net = nn.Sequential(
        nn.Linear(2, 32, rng=rng, dtype="float64"),
        nn.Tanh(),
        nn.Linear(32, 2, rng=rng, dtype="float64"),
    )
    optimizer = optim.Adam(net.parameters(), lr=0.02)
    first = ops.mse(ops.stack(path(net, Tensor(start))), truth).item()
    for _ in range(steps):
        optimizer.zero_grad()
        ops.mse(ops.stack(path(net, Tensor(start))), truth).backward()
        optimizer.step()
    last = ops.mse(ops.stack(path(net, Tensor(start))), truth).item()
    new = ops.mse(ops.stack(path(net, Tensor(new_start))), new_truth).item()
    print(f"loss {first:.4f} -> {last:.4f}; on paths from new points {new:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=300, help="training steps (%(default)s)")
    main(parser.parse_args().steps)
