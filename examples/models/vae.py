"""A variational autoencoder of handwritten digits, with a code of 8 numbers.

    python examples/models/vae.py [--steps N]

Source: Kingma & Welling 2014 (arXiv 1312.6114).
"""

import argparse

import numpy as np

from tinygrad_ckn import Tensor, nn, ops, optim
from tinygrad_ckn.data import load_digits


class VAE(nn.Module):
    """Images x of 64 pixels -> codes of 8 numbers -> images."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.hidden = nn.Linear(64, 128, rng=rng)
        # mean and logarithm of the variance
        self.code = nn.Linear(128, 16, rng=rng)
        self.decoder = nn.Sequential(
            nn.Linear(8, 128, rng=rng), nn.ReLU(), nn.Linear(128, 64, rng=rng)
        )

    def forward(self, x: np.ndarray, noise: np.ndarray) -> Tensor:
        """Return the negative evidence lower bound of an image, in nats."""
        code = self.code(ops.relu(self.hidden(x)))
        mean, log_variance = code[:, :8], code[:, 8:]
        logits = self.decoder(mean + ops.exp(0.5 * log_variance) * noise)
        reconstruction = (ops.softplus(logits) - x * logits).sum(axis=1)
        divergence = 0.5 * (ops.exp(log_variance) + mean**2 - 1 - log_variance).sum(axis=1)
        return (reconstruction + divergence).mean()


def main(steps: int) -> None:
    """Train on batches of 64 digits; print the loss of new digits before and after."""
    digits = load_digits()
    images = digits.train.images.reshape(-1, 64)
    new_images = digits.test.images.reshape(-1, 64)
    rng = np.random.default_rng(0)
    new_noise = rng.standard_normal((len(new_images), 8), dtype="float32")
    model = VAE(rng)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    first = model(new_images, new_noise).item()
    for _ in range(steps):
        batch = images[rng.integers(len(images), size=64)]
        optimizer.zero_grad()
        model(batch, rng.standard_normal((64, 8), dtype="float32")).backward()
        optimizer.step()
    print(f"loss {first:.4f} -> {model(new_images, new_noise).item():.4f} nats a new digit")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000, help="training steps (%(default)s)")
    main(parser.parse_args().steps)
