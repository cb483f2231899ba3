"""A recurrent network that predicts the next value of a wave, over 200 steps.

python examples/models/rnn.py [--steps N]
"""

import argparse

import numpy as np

from tinygrad_ckn import Tensor, nn, ops, optim

LENGTH = 200


class RNN(nn.Module):
    """Sequences (T, N, 1) -> the next values (T, N, 1), with 32 hidden units."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.read = nn.Linear(1, 32, rng=rng)
        self.recur = nn.Parameter(nn.init.orthogonal((32, 32), rng=rng))
        self.write = nn.Linear(32, 1, rng=rng)

    def forward(self, x: np.ndarray) -> Tensor:
        """Return a prediction after each value."""
        state = Tensor(np.zeros((x.shape[1], 32), x.dtype))
        states = []
        for value in self.read(x):
            state = ops.tanh(value + state @ self.recur)
            states.append(state)
        return self.write(ops.stack(states))


def waves(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return sums of two sines of random phases, (LENGTH + 1, n, 1)."""
    time = np.arange(LENGTH + 1)[:, None, None]
    phases = rng.uniform(0, 2 * np.pi, (2, 1, n, 1))
    return (np.sin(0.2 * time + phases[0]) + np.sin(0.53 * time + phases[1])).astype("float32")


def main(steps: int) -> None:
    """Train on 16 new waves a step; print the squared error of others, before and after."""
    rng = np.random.default_rng(0)
    model = RNN(rng)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    new = waves(16, rng)
    first = ops.mse(model(new[:-1]), new[1:]).item()
    for _ in range(steps):
        batch = waves(16, rng)
        optimizer.zero_grad()
        ops.mse(model(batch[:-1]), batch[1:]).backward()
        optim.clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
    print(f"loss {first:.4f} -> {ops.mse(model(new[:-1]), new[1:]).item():.4f} of new waves")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="training steps (%(default)s)")
    main(parser.parse_args().steps)
