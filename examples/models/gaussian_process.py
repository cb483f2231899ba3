"""A Gaussian process: hyper-parameters by maximum likelihood, predictions with error bars.

    python examples/models/gaussian_process.py

Source: Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), algorithm 2.1.
"""

import argparse
import math

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import Tensor, linalg, no_grad, ops, optim

Vector = NDArray[np.float64]


def rbf(a: Vector, b: Vector, log_width: Tensor, log_height: Tensor) -> Tensor:
    """Return the kernel matrix height^2 exp(-(a_i - b_j)^2 / (2 width^2))."""
    squares = (a[:, None] - b) ** 2
    return ops.exp(2 * log_height - squares / (2 * ops.exp(2 * log_width)))


def main(steps: int = 100) -> None:
    """Fit noisy values of sin, and predict at new points, one of them far away."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 7, 40))
    y = np.sin(x) + rng.normal(0, 0.1, 40)
    log_width, log_height, log_noise = (Tensor(0.0, requires_grad=True) for _ in range(3))

    def factor() -> Tensor:
        noise = ops.exp(2 * log_noise) * np.eye(len(x))
        return linalg.cholesky(rbf(x, x, log_width, log_height) + noise)

    def loss() -> Tensor:
        """Return the negative log marginal likelihood, equation (2.30)."""
        lower = factor()
        white = linalg.solve_triangular(lower, y, lower=True)
        log_root_det = ops.log(linalg.diagonal(lower)).sum()
        return (white**2).sum() / 2 + log_root_det + len(x) / 2 * math.log(2 * math.pi)

    parameters = [log_width, log_height, log_noise]
    print(f"negative log likelihood {loss().item():.2f}")
    optim.LBFGS(parameters, max_iterations=steps).step(loss)
    width, height, noise = (math.exp(t.item()) for t in parameters)
    print(f"negative log likelihood {loss().item():.2f} after the fit")
    print(f"width {width:.3f}, height {height:.3f}, noise {noise:.3f} (true noise 0.1)")
    with no_grad():
        new = np.array([1.0, 2.5, 4.0, 20.0])
        cross = linalg.solve_triangular(factor(), rbf(x, new, log_width, log_height), lower=True)
        mean = cross.T @ linalg.solve_triangular(factor(), y, lower=True)
        deviation = ops.sqrt(height**2 - (cross**2).sum(axis=0))
    for point, value, error in zip(new, mean.tolist(), deviation.tolist(), strict=True):
        print(f"f({point:4.1f}) = {value:6.3f} +- {error:.3f}, sin {math.sin(point):6.3f}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=str(__doc__).splitlines()[0]).parse_args()
    main()
