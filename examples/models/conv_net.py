"""A convolutional network on images of 28x28 pixels: digits, enlarged three times.

python examples/models/conv_net.py [--steps N]
"""

import argparse

import numpy as np

from tinygrad_ckn import nn, no_grad, ops, optim
from tinygrad_ckn.data import load_digits


def enlarged(images: np.ndarray) -> np.ndarray:
    """Return images (n, 1, 8, 8) as (n, 1, 28, 28), each pixel as 3x3 and a border of 2."""
    large = images.repeat(3, axis=2).repeat(3, axis=3)
    return np.pad(large, [(0, 0), (0, 0), (2, 2), (2, 2)])


def main(steps: int) -> None:
    """Train on batches of 32 images; print the loss and the accuracy on new ones."""
    digits = load_digits()
    images, labels = enlarged(digits.train.images), digits.train.labels
    new_images, new_labels = enlarged(digits.test.images), digits.test.labels
    rng = np.random.default_rng(0)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 10, rng=rng),
    )
    optimizer = optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(steps):
        batch = rng.integers(len(labels), size=32)
        loss = ops.cross_entropy(net(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with no_grad():
        scores = net(new_images).numpy()
    accuracy = (scores.argmax(axis=1) == new_labels).mean()
    print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}")
    print(f"{accuracy:.1%} of {len(scores)} new digits are read correctly")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="training steps (%(default)s)")
    main(parser.parse_args().steps)
