"""A network that solves u'' = -pi^2 sin(pi x) with u(0) = u(1) = 0, from the equation alone.

    python examples/models/pinn.py [--steps N]

The solution is u(x) = sin(pi x). Source: Raissi, Perdikaris & Karniadakis 2019 (Journal
of Computational Physics 378), "Physics-informed neural networks".
"""

import argparse

import numpy as np

from tinygrad_ckn import Tensor, grad, nn, ops, optim


def main(steps: int) -> None:
    """Minimise the residual of the equation; print it and the error of the solution."""
    x = Tensor(np.linspace(0, 1, 64)[:, None], requires_grad=True)
    source = -(np.pi**2) * ops.sin(np.pi * x.numpy())
    rng = np.random.default_rng(0)
    net = nn.Sequential(
        nn.Linear(1, 32, rng=rng, dtype="float64"),
        nn.Tanh(),
        nn.Linear(32, 32, rng=rng, dtype="float64"),
        nn.Tanh(),
        nn.Linear(32, 1, rng=rng, dtype="float64"),
    )

    def solution(x: Tensor) -> Tensor:
        """Return a function of x that is 0 at both ends whatever the weights are."""
        return x * (1 - x) * net(x)

    def residual() -> Tensor:
        """Return the mean square of u'' - source."""
        (slope,) = grad(solution(x).sum(), x, create_graph=True)
        (curvature,) = grad(slope.sum(), x, create_graph=True)
        return ops.mse(curvature, source)

    first = residual().item()
    last = optim.LBFGS(net.parameters(), max_iterations=steps).step(residual)
    new = np.linspace(0, 1, 501)[:, None]
    error = abs(solution(Tensor(new)).numpy() - np.sin(np.pi * new)).max()
    print(f"loss {first:.4f} -> {last:.2e}")
    print(f"the solution is within {error:.2e} of sin(pi x)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="L-BFGS iterations (%(default)s)")
    main(parser.parse_args().steps)
