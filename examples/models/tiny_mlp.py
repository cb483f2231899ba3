"""A tiny multilayer perceptron 4-8-1 that learns the parity of four bits.

python examples/models/tiny_mlp.py [--steps N]
"""

import argparse
import itertools

import numpy as np

from tinygrad_ckn import Tensor


def main(steps: int) -> None:
    """Descend the squared error of all 16 inputs; print it and how many are right."""
    bits = np.array(list(itertools.product([-1.0, 1.0], repeat=4)))
    parity = bits.prod(axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    w1 = Tensor(rng.normal(size=(4, 8)), requires_grad=True)
    b1 = Tensor(np.zeros(8), requires_grad=True)
    w2 = Tensor(rng.normal(size=(8, 1)) / 4, requires_grad=True)
    b2 = Tensor(np.zeros(1), requires_grad=True)

    def output() -> Tensor:
        return (bits @ w1 + b1).tanh() @ w2 + b2

    def error() -> Tensor:
        return ((output() - parity) ** 2).mean()

    first = error().item()
    for _ in range(steps):
        error().backward()
        for p in (w1, b1, w2, b2):
            p.data -= 0.1 * p.grad.data
            p.grad = None
    right = int((np.sign(output().numpy()) == parity).sum())
    print(f"loss {first:.4f} -> {error().item():.4f}")
    print(f"the parity of {right} of 16 inputs is right")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000, help="training steps (%(default)s)")
    main(parser.parse_args().steps)
