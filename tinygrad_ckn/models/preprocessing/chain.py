"""What images go through before the first layer, by name, and one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from tinygrad_ckn.backend import Shape
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.preprocessing.base import Preprocessor
from tinygrad_ckn.models.preprocessing.gradient_map import GradientMap
from tinygrad_ckn.models.preprocessing.standardize import Standardize
from tinygrad_ckn.models.preprocessing.whitening import LocalWhitening, PatchZCA
from tinygrad_ckn.models.registry import made

__all__ = [
    "PREPROCESSORS",
    "Chain",
    "GradientMap",
    "LocalWhitening",
    "PatchZCA",
    "Standardize",
    "make_preprocessor",
]


class Chain(Preprocessor):
    """Preprocessors one after the other; each is fitted to what those before it make of the training images.

    Parameters
    ----------
    steps
        What `preprocessing` takes, but None.

    Raises
    ------
    ConfigError
        If a step is unknown.

    Examples
    --------
    >>> x = np.random.default_rng(0).random((5, 3, 8, 8))
    >>> Chain(["standardize", GradientMap(6)]).fit(x)(x).shape
    (5, 6, 8, 8)
    """

    name = "chain"

    def __init__(self, steps: Sequence[Any]) -> None:
        self.steps = [_made(step) for step in steps]

    def fit(self, images: Any) -> Self:
        """Fit the first to images (N, C, H, W), and so on; return self."""
        images = unwrap(images)
        for i, step in enumerate(self.steps):
            step.fit(images)
            if i + 1 < len(self.steps):
                images = step(images)
        return self

    def forward(self, x: Any) -> Any:
        """Return what the last one makes of what those before it made of images (N, C, H, W)."""
        for step in self.steps:
            x = step(x)
        return x

    def output_shape(self, shape: Shape) -> Shape:
        """Return (C', H', W') of an image of shape (C, H, W)."""
        for step in self.steps:
            shape = step.output_shape(shape)
        return tuple(shape)

    def config(self) -> dict[str, Any]:
        """Return the name and the steps' configurations, as JSON takes them."""
        return {"name": self.name, "steps": [step.config() for step in self.steps]}

    def extra_repr(self) -> str:
        """Return nothing: the steps stand below."""
        return ""


PREPROCESSORS: dict[str, type[Preprocessor]] = {
    kind.name: kind for kind in (Chain, GradientMap, LocalWhitening, PatchZCA, Standardize)
}
NAMES = tuple(
    name for name in PREPROCESSORS if name != Chain.name
)  # of those that need no arguments


def make_preprocessor(
    spec: Preprocessor | str | Mapping[str, Any] | Sequence[Any] | None,
) -> Preprocessor | None:
    """Return a preprocessor from itself, its name, its `config()`, or a sequence of those: a Chain. None gives None.

    Raises
    ------
    ConfigError
        If the name or an argument is unknown, or out of its range.

    Examples
    --------
    >>> make_preprocessor({"name": "gradient_map", "n_orientations": 8}).n_orientations
    8
    >>> make_preprocessor(["standardize", "local_whitening"]).output_shape((3, 32, 32))
    (3, 32, 32)
    """
    return None if spec is None else _made(spec)


def _made(spec: Any) -> Preprocessor:
    if isinstance(spec, Preprocessor):
        return spec
    if isinstance(spec, Sequence) and not isinstance(spec, str):
        return Chain(spec)
    found: Preprocessor | None = made(PREPROCESSORS, spec)
    if found is None:
        raise ConfigError(
            f"preprocessing: expected a Preprocessor, a sequence, or one of the names {', '.join(NAMES)}, with "
            f"its arguments, got {spec!r}"
        )
    return found
