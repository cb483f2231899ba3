"""The published architectures, as rows of (filters, kernel size, subsampling, kernel).

unsup-*: two layers learned without labels (Mairal 2016, arXiv 1605.06265).
ckn5: the 5-layer, ckn14: the 14-layer supervised network for CIFAR-10 of the same line of work.
"""

from __future__ import annotations

from tinygrad_ckn.backend import Generator
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.kernels import Exponential, Kernel, Polynomial
from tinygrad_ckn.models.layer import CKNLayer

_wide, _narrow, _square = Exponential(sigma=0.6), Exponential(sigma=0.5), Polynomial(degree=2)


def _unsupervised(first: int, second: int, subsampling: int) -> list[tuple[int, int, float, Kernel]]:
    return [(first, 3, 2, _wide), (second, 3, subsampling, _wide)]


def _alternating(filters: list[int], subsampling: dict[int, float]) -> list[tuple[int, int, float, Kernel]]:
    """3x3 exponential and 1x1 polynomial layers in turn; subsampling by layer number, from 1."""
    return [
        (n, 1 if i % 2 else 3, subsampling.get(i + 1, 1), _square if i % 2 else _narrow) for i, n in enumerate(filters)
    ]


PRESETS: dict[str, list[tuple[int, int, float, Kernel]]] = {
    "unsup-32-64": _unsupervised(32, 64, 2),
    "unsup-64-256": _unsupervised(64, 256, 6),
    "unsup-256-1024": _unsupervised(256, 1024, 6),
    "ckn5": _alternating([128] * 5, {1: 2, 3: 2, 5: 3}),
    "ckn14": _alternating([256, 128, 256, 128] + [256] * 10, {4: 2, 8: 2, 12: 2, 14: 2}),
}


def preset_layers(name: str, in_channels: int, rng: Generator) -> list[CKNLayer]:
    """Return the layers of a preset for images of `in_channels` channels.

    Raises
    ------
    ConfigError
        If there is no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"CKN.preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    layers = []
    for n_filters, kernel_size, subsampling, kernel in PRESETS[name]:
        layers.append(CKNLayer(in_channels, n_filters, kernel_size, subsampling=subsampling, kernel=kernel, rng=rng))
        in_channels = n_filters
    return layers
