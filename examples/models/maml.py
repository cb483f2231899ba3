"""Meta-learning (MAML): weights from which three gradient steps fit any sine wave.

    python examples/models/maml.py [--steps N]

Source: Finn, Abbeel & Levine 2017 (arXiv 1703.03400), section 5.1.
"""

import argparse

import numpy as np

from tinygrad_ckn import Tensor, grad, ops, optim

TASKS, INNER_STEPS, INNER_LR = 4, 3, 0.01


def predict(weights: list[Tensor], x: np.ndarray) -> Tensor:
    """Return the output of a network 1-40-40-1."""
    w1, b1, w2, b2, w3, b3 = weights
    return ops.relu(ops.relu(x @ w1 + b1) @ w2 + b2) @ w3 + b3


def adapted(weights: list[Tensor], x: np.ndarray, y: np.ndarray) -> list[Tensor]:
    """Return the weights after the inner steps, differentiable in those before."""
    for _ in range(INNER_STEPS):
        gradients = grad(ops.mse(predict(weights, x), y), weights, create_graph=True)
        weights = [w - INNER_LR * g for w, g in zip(weights, gradients, strict=True)]
    return weights


def outer_loss(weights: list[Tensor], rng: np.random.Generator, tasks: int) -> Tensor:
    """Return the mean loss on new points of waves after adapting to 10 points of each."""
    losses = []
    for _ in range(tasks):
        amplitude, phase = rng.uniform(0.1, 5), rng.uniform(0, np.pi)
        x, new_x = rng.uniform(-5, 5, (2, 10, 1))
        y, new_y = amplitude * np.sin(x + phase), amplitude * np.sin(new_x + phase)
        losses.append(ops.mse(predict(adapted(weights, x, y), new_x), new_y))
    return ops.stack(losses).mean()


def main(steps: int) -> None:
    """Train on 4 waves a step; print the loss on 50 other waves, before and after."""
    rng = np.random.default_rng(0)
    shapes = [(1, 40), (40,), (40, 40), (40,), (40, 1), (1,)]
    weights = [Tensor(rng.normal(0, 0.3, shape), requires_grad=True) for shape in shapes]
    optimizer = optim.Adam(weights, lr=3e-3)
    first = outer_loss(weights, np.random.default_rng(1), tasks=50).item()
    for _ in range(steps):
        optimizer.zero_grad()
        outer_loss(weights, rng, TASKS).backward()
        optimizer.step()
    last = outer_loss(weights, np.random.default_rng(1), tasks=50).item()
    print(f"loss {first:.4f} -> {last:.4f} on new waves, after {INNER_STEPS} steps on each")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=500, help="training steps (%(default)s)")
    main(parser.parse_args().steps)
