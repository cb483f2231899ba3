"""What layers do after the map of patches: fewer positions, by one of five poolings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinygrad_ckn import ops
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.ops.pool_matrices import Subsampling, check_subsampling, gaussian_size

POOLINGS = ("gaussian", "average", "max", "strided", "none")


@dataclass(frozen=True)
class Pooling:
    """A pooling with its subsampling, checked, as the option of a layer.

    Parameters
    ----------
    owner
        The layer's class, for errors.
    name
        "gaussian" (`ops.gaussian_pool2d`), "average" or "max" (of windows of s x s),
        "strided" (each s-th position and no more, by the stride of the patches), or
        "none", for a subsampling of 1.
    subsampling
        s >= 1, or (vertical, horizontal); may be fractional where the pooling is
        Gaussian. 1: no pooling.

    Raises
    ------
    ConfigError, ShapeError
        If the name is unknown, or the subsampling is not one that it takes.

    Examples
    --------
    >>> Pooling.of("Layer", "max", 2).output_size((7, 8))
    (3, 4)
    """

    owner: str
    name: str
    subsampling: tuple[float, float]

    @classmethod
    def of(cls, owner: str, name: str, subsampling: Subsampling) -> Pooling:
        """Return the pooling of an owner's options, checked."""
        if name not in POOLINGS:
            raise ConfigError(
                f"{owner}: argument pooling expected one of {', '.join(POOLINGS)}, got {name!r}"
            )
        both = check_subsampling(owner, subsampling)
        if name == "none" and both != (1, 1):
            raise ConfigError(
                f"{owner}: argument subsampling expected 1 with pooling 'none', got {subsampling!r}"
            )
        if name != "gaussian" and any(s != int(s) for s in both):
            raise ConfigError(
                f"{owner}: argument subsampling expected integers with pooling {name!r}, got {subsampling!r}; "
                "Gaussian pooling takes others"
            )
        return cls(owner, name, both)

    @property
    def steps(self) -> tuple[int, int]:
        """The subsampling where it is whole."""
        return int(self.subsampling[0]), int(self.subsampling[1])

    @property
    def stride(self) -> tuple[int, int]:
        """The stride of the patches: the subsampling where there is no other pooling, else 1."""
        return self.steps if self.name == "strided" else (1, 1)

    @property
    def windowed(self) -> bool:
        """Whether windows that do not overlap are pooled, those that do not fit left out."""
        return self.name in ("average", "max")

    def __call__(self, y: Any) -> Any:
        """Return the maps (N, p, Ho, Wo) of maps (N, p, H, W)."""
        if self.windowed:
            pool = ops.avg_pool2d if self.name == "average" else ops.max_pool2d
            return pool(y, self.steps)
        return ops.gaussian_pool2d(y, self.subsampling) if self.name == "gaussian" else y

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (Ho, Wo) for maps of size (H, W).

        Raises
        ------
        ShapeError
            If the subsampling leaves nothing of them.
        """
        if self.name == "gaussian":
            return gaussian_size(size, self.subsampling)
        if not self.windowed:
            return size
        pooled = size[0] // self.steps[0], size[1] // self.steps[1]
        if 0 in pooled:
            raise ShapeError(
                f"{self.owner}: expected a map of at least the subsampling {self.steps}, got {size}; "
                "use a smaller subsampling or larger images"
            )
        return pooled
