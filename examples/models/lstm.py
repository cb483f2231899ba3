"""A long short-term memory, written with basic operations, that learns a sentence by heart.

    python examples/models/lstm.py [--steps N]

Source: Gers, Schmidhuber & Cummins 2000 (Neural Computation 12).
"""

import argparse

import numpy as np

from tinygrad_ckn import Tensor, nn, ops, optim

TEXT = "a gradient flows back through every step that made the loss, and no further. " * 8
LETTERS = sorted(set(TEXT))
LENGTH = 50


class LSTM(nn.Module):
    """Letters (T, N) as numbers -> scores of the next letter (T, N, letters)."""

    def __init__(self, hidden: int, rng: np.random.Generator) -> None:
        self.embedding = nn.Parameter(nn.init.normal((len(LETTERS), 4 * hidden), std=0.5, rng=rng))
        self.recur = nn.Linear(hidden, 4 * hidden, rng=rng)
        self.write = nn.Linear(hidden, len(LETTERS), rng=rng)

    def forward(self, letters: np.ndarray) -> Tensor:
        """Return scores after each letter."""
        h = c = Tensor(np.zeros((letters.shape[1], self.recur.in_features), "float32"))
        outputs = []
        for x in self.embedding[letters]:
            i, f, g, o = ops.split(x + self.recur(h), 4, axis=1)
            c = ops.sigmoid(f + 1) * c + ops.sigmoid(i) * ops.tanh(g)
            h = ops.sigmoid(o) * ops.tanh(c)
            outputs.append(h)
        return self.write(ops.stack(outputs))


def main(steps: int) -> None:
    """Train on 16 pieces of 50 letters a step; print the loss of a letter, in nats."""
    rng = np.random.default_rng(0)
    numbers = np.array([LETTERS.index(letter) for letter in TEXT])
    model = LSTM(64, rng)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(steps):
        places = rng.integers(len(TEXT) - LENGTH, size=16) + np.arange(LENGTH + 1)[:, None]
        scores = model(numbers[places[:-1]]).reshape(-1, len(LETTERS))
        loss = ops.cross_entropy(scores, numbers[places[1:]].ravel())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f} nats a letter")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=150, help="training steps (%(default)s)")
    main(parser.parse_args().steps)
