"""A multilayer perceptron 64-256-256-10 that reads handwritten digits.

python examples/models/mlp.py [--steps N]
"""

import argparse

import numpy as np

from tinygrad_ckn import nn, ops, optim
from tinygrad_ckn.data import load_digits


def main(steps: int) -> None:
    """Train on batches of 64 digits; print the loss and the accuracy on new ones."""
    digits = load_digits()
    rng = np.random.default_rng(0)
    net = nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 256, rng=rng),
        nn.ReLU(),
        nn.Linear(256, 256, rng=rng),
        nn.ReLU(),
        nn.Linear(256, 10, rng=rng),
    )
    optimizer = optim.Adam(net.parameters(), lr=1e-3)
    images, labels = digits.train.images, digits.train.labels
    first = ops.cross_entropy(net(images), labels).item()
    for _ in range(steps):
        batch = rng.integers(len(labels), size=64)
        loss = ops.cross_entropy(net(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    last = ops.cross_entropy(net(images), labels).item()
    scores = net(digits.test.images).numpy()
    accuracy = (scores.argmax(axis=1) == digits.test.labels).mean()
    print(f"loss {first:.4f} -> {last:.4f}")
    print(f"{accuracy:.1%} of {len(scores)} new digits are read correctly")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=500, help="training steps (%(default)s)")
    main(parser.parse_args().steps)
