"""Kernel logistic regression: two interlocking half-moons, with the kernel's width learned.

python examples/models/kernel_logistic.py [--steps N]
"""

import argparse

import numpy as np

from tinygrad_ckn import Tensor, ops, optim


def moons(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy points (n, 2) on two half circles, and labels (n,) -1 and 1."""
    labels = np.where(np.arange(n) % 2, 1.0, -1.0)
    angle = rng.uniform(0, np.pi, n)
    points = np.stack([np.cos(angle) - labels / 2, labels * (0.25 - np.sin(angle))], axis=1)
    return points + rng.normal(0, 0.2, (n, 2)), labels


def kernel(x: np.ndarray, y: np.ndarray, log_width: Tensor) -> Tensor:
    """Return exp(-|x - y|^2 / (2 width^2)) of all pairs of points."""
    squared_distances = ((x[:, None] - y) ** 2).sum(axis=2)
    return ops.exp(-0.5 * squared_distances * ops.exp(-2 * log_width))


def main(steps: int) -> None:
    """Fit 200 points; print the loss, the width, and the accuracy on new points."""
    rng = np.random.default_rng(0)
    x, y = moons(200, rng)
    new_x, new_y = moons(1000, rng)
    coefficients = Tensor(np.zeros(200), requires_grad=True)
    log_width = Tensor(1.0, requires_grad=True)

    def loss() -> Tensor:
        scores = kernel(x, x, log_width) @ coefficients
        return ops.softplus(-y * scores).mean() + 1e-3 * (coefficients @ scores)

    first = loss().item()
    optimizer = optim.LBFGS([coefficients, log_width], max_iterations=steps)
    last = optimizer.step(loss)
    scores = (kernel(new_x, x, log_width) @ coefficients).numpy()
    print(f"loss {first:.4f} -> {last:.4f}, width of the kernel {np.exp(log_width.item()):.2f}")
    print(f"{(np.sign(scores) == new_y).mean():.1%} of 1000 new points are on the right side")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=100, help="L-BFGS iterations (%(default)s)")
    main(parser.parse_args().steps)
