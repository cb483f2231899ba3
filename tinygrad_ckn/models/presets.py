"""Architectures by name, with their sources and published accuracies.

Presets that name a repository follow the results in its README; no code was taken from
it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.kernels import Exponential, Polynomial

PAPER = "Mairal 2016, arXiv 1605.06265"
REPOSITORY = "github.com/claying/CKN-Pytorch-image, which reproduces Mairal 2016, arXiv 1605.06265"
OURS = "none, the architecture is ours"


@dataclass(frozen=True)
class Preset:
    """An architecture.

    Attributes
    ----------
    model : "CKN" or "CNN"
        The class of the network.
    layers : sequence of mappings
        The arguments of each layer except `in_channels`.
    source : str
        Publication or repository, and which parts are our interpretation.
    published : str
        Test accuracy that others published, with its source; README.md has some of ours.
    """

    model: Literal["CKN", "CNN"]
    layers: Sequence[Mapping[str, Any]]
    source: str
    published: str


def _unsupervised(
    first: int, second: int, subsampling: int, kernel_size: int = 3
) -> list[dict[str, Any]]:
    kernel = Exponential(sigma=0.6)
    return [
        {"n_filters": first, "kernel_size": 3, "subsampling": 2, "kernel": kernel},
        {
            "n_filters": second,
            "kernel_size": kernel_size,
            "subsampling": subsampling,
            "kernel": kernel,
        },
    ]


def _alternating(filters: list[int], subsampling: dict[int, float]) -> list[dict[str, Any]]:
    """Return alternating 3x3 exponential and 1x1 polynomial layers.

    `subsampling` has layer numbers, from 1, as keys.
    """
    return [
        {
            "n_filters": n,
            "kernel_size": 1 if i % 2 else 3,
            "subsampling": subsampling.get(i + 1, 1),
            "kernel": Polynomial(degree=2) if i % 2 else Exponential(sigma=0.5),
        }
        for i, n in enumerate(filters)
    ]


def _lenet(**options: Any) -> list[dict[str, Any]]:
    """Return two layers of 5x5 filters, each followed by average pooling over 2x2."""
    return [
        {"n_filters": n, "kernel_size": 5, "subsampling": 2, "pooling": "average", **options}
        for n in (32, 64)
    ]


def _without_kernels(layers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the layers of the CNN with the same shapes."""
    return [{name: value for name, value in layer.items() if name != "kernel"} for layer in layers]


_CKN5 = _alternating([128] * 5, {1: 2, 3: 2, 5: 3})
_CKN9 = _alternating(
    [128] * 9, {1: math.sqrt(2), 3: math.sqrt(2), 5: math.sqrt(2), 7: math.sqrt(2), 9: 3}
)
_CKN14 = _alternating([256, 128, 256, 128] + [256] * 10, {4: 2, 8: 2, 12: 2, 14: 2})

PRESETS: dict[str, Preset] = {
    "unsup-32-64": Preset(
        "CKN", _unsupervised(32, 64, 2), f"ours, a small network of the form of {PAPER}", OURS
    ),
    "unsup-64-256": Preset(
        "CKN", _unsupervised(64, 256, 6), REPOSITORY, "CIFAR-10, whitened: 77.5 % (its README)"
    ),
    "unsup-256-1024": Preset(
        "CKN", _unsupervised(256, 1024, 6), REPOSITORY, "CIFAR-10, whitened: 82.0 % (its README)"
    ),
    "unsup-256-4096": Preset(
        "CKN",
        _unsupervised(256, 4096, 6),
        "ours, unsup-256-1024 with four times the filters in its last layer",
        OURS,
    ),
    "unsup-512-8192": Preset(
        "CKN", _unsupervised(512, 8192, 6, 2), REPOSITORY, "CIFAR-10, whitened: 84.0 % (its README)"
    ),
    "ckn5": Preset("CKN", _CKN5, REPOSITORY, "CIFAR-10, whitened, supervised: 86.1 % (its README)"),
    "ckn9": Preset(
        "CKN",
        _CKN9,
        f"{PAPER}, section 4: nine layers, 3x3 and 1x1 in turn, subsampling sqrt(2); our "
        "interpretation: subsampling at the 3x3 layers, 3 at the last one, 128 filters per layer "
        "and the kernels of ckn5",
        "none for exactly this network; the paper's has 10.20 % error on CIFAR-10, without "
        "augmentation",
    ),
    "ckn14": Preset(
        "CKN", _CKN14, REPOSITORY, "CIFAR-10, whitened, supervised: 90.2 % (its README)"
    ),
    "lenet-ckn": Preset(
        "CKN",
        _lenet(kernel=Exponential(sigma=0.6)),
        "LeCun et al. 1998, LeNet-5, layers C1 to S4: 5x5 filters, average pooling over 2x2; "
        "numbers of filters, zero padding and the kernel are ours; Jones, Roulet, Harchaoui 2019, "
        "arXiv 1903.08131, also make CKNs of LeNets",
        OURS,
    ),
    "cnn5": Preset("CNN", _without_kernels(_CKN5), "ours, the CNN with the shapes of ckn5", OURS),
    "lenet": Preset("CNN", _lenet(), "ours, the CNN with the shapes of lenet-ckn", OURS),
}


def get_preset(name: str) -> Preset:
    """Return a preset by name.

    Raises
    ------
    ConfigError
        If it does not exist.

    Examples
    --------
    >>> [layer["n_filters"] for layer in get_preset("unsup-64-256").layers]
    [64, 256]
    """
    if name not in PRESETS:
        raise ConfigError(f"get_preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]
