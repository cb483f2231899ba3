"""Preprocessors by name, and one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeAlias

from tinygrad_ckn.backend import Images, Shape
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.preprocessing.base import Preprocessor
from tinygrad_ckn.models.preprocessing.gradient_map import GradientMap
from tinygrad_ckn.models.preprocessing.standardize import Standardize
from tinygrad_ckn.models.preprocessing.whitening import LocalWhitening, PatchZCA
from tinygrad_ckn.models.registry import from_spec
from tinygrad_ckn.tensor import Tensor

# A preprocessor, its name or `config()`, a sequence of those, or None.
PreprocessorSpec: TypeAlias = Preprocessor | str | Mapping[str, Any] | Sequence[Any] | None


class Chain(Preprocessor):
    """Preprocessors one after the other, each fitted to the output of those before it.

    Parameters
    ----------
    steps : sequence
        Preprocessors, their names or configurations.

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
        self.steps = [_from_spec(step) for step in steps]

    def fit(self, images: Images) -> Self:
        """Fit each step to training images (N, C, H, W) after the steps before; return self."""
        x = unwrap(images)
        for i, step in enumerate(self.steps):
            step.fit(x)
            if i + 1 < len(self.steps):
                x = step(x)
        return self

    def forward(self, x: Images) -> Tensor:
        """Return images (N, C, H, W) after all steps."""
        y: Any = x
        for step in self.steps:
            y = step(y)
        return y

    def output_shape(self, shape: Shape) -> Shape:
        """Return (C', H', W') for an image of shape (C, H, W)."""
        for step in self.steps:
            shape = step.output_shape(shape)
        return tuple(shape)

    def config(self) -> dict[str, Any]:
        """Return the name and the steps' configurations as JSON values."""
        return {"name": self.name, "steps": [step.config() for step in self.steps]}

    def extra_repr(self) -> str:
        """Return nothing: the module tree shows the steps."""
        return ""


PREPROCESSORS: dict[str, type[Preprocessor]] = {
    kind.name: kind for kind in (Chain, GradientMap, LocalWhitening, PatchZCA, Standardize)
}
# Those that need no arguments.
NAMES = tuple(name for name in PREPROCESSORS if name != Chain.name)


def make_preprocessor(spec: PreprocessorSpec) -> Preprocessor | None:
    """Return a preprocessor from itself, its name, its `config()`, or a sequence of those.

    A sequence gives a `Chain`, None gives None.

    Raises
    ------
    ConfigError
        If the name or an argument is unknown, or out of range.

    Examples
    --------
    >>> make_preprocessor({"name": "gradient_map", "n_orientations": 8}).n_orientations
    8
    >>> make_preprocessor(["standardize", "local_whitening"]).output_shape((3, 32, 32))
    (3, 32, 32)
    """
    return None if spec is None else _from_spec(spec)


def _from_spec(spec: Any) -> Preprocessor:
    if isinstance(spec, Preprocessor):
        return spec
    if isinstance(spec, Sequence) and not isinstance(spec, str):
        return Chain(spec)
    preprocessor = from_spec(PREPROCESSORS, spec)
    if preprocessor is None:
        raise ConfigError(
            "preprocessing: expected a Preprocessor, a sequence, or one of the names "
            f"{', '.join(NAMES)}, with its arguments, got {spec!r}"
        )
    return preprocessor
