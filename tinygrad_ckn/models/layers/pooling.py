"""Pooling of a layer's maps: one of five ways to reduce the number of positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from tinygrad_ckn import checks, ops
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.ops.pool_matrices import Subsampling, check_subsampling, gaussian_size
from tinygrad_ckn.tensor import Tensor

PoolingName = Literal["gaussian", "average", "max", "strided", "none"]
POOLINGS: tuple[PoolingName, ...] = get_args(PoolingName)


@dataclass(frozen=True)
class Pooling:
    """A pooling and its subsampling, as the checked option of a layer.

    Attributes
    ----------
    owner : str
        The layer's class, named in errors.
    name : str
        "gaussian" (`ops.gaussian_pool2d`), "average" or "max" (over windows of s x s),
        "strided" (every s-th position, by the stride of the patches) or "none" (for a
        subsampling of 1).
    subsampling : (float, float)
        s >= 1, vertical and horizontal; fractional for Gaussian pooling only. 1: no
        pooling.

    Examples
    --------
    >>> Pooling.of("Layer", "max", 2).output_size((7, 8))
    (3, 4)
    """

    owner: str
    name: PoolingName
    subsampling: tuple[float, float]

    @classmethod
    def of(cls, owner: str, name: PoolingName, subsampling: Subsampling) -> Pooling:
        """Return the pooling for the options of a layer.

        Raises
        ------
        ConfigError, ShapeError
            If the name is unknown, or the pooling does not support the subsampling.
        """
        checks.one_of(owner, POOLINGS, pooling=name)
        both = check_subsampling(owner, subsampling)
        if name == "none" and both != (1, 1):
            raise ConfigError(
                f"{owner}: argument subsampling expected 1 with pooling 'none', got {subsampling!r}"
            )
        if name != "gaussian" and any(s != int(s) for s in both):
            raise ConfigError(
                f"{owner}: argument subsampling expected integers with pooling {name!r}, "
                f"got {subsampling!r}; only Gaussian pooling takes fractions"
            )
        return cls(owner, name, both)

    @property
    def steps(self) -> tuple[int, int]:
        """The subsampling as integers, for poolings other than Gaussian."""
        return int(self.subsampling[0]), int(self.subsampling[1])

    @property
    def stride(self) -> tuple[int, int]:
        """The stride of the patches: the subsampling for "strided", else 1."""
        return self.steps if self.name == "strided" else (1, 1)

    @property
    def windowed(self) -> bool:
        """Whether disjoint windows are pooled; incomplete ones at the border are dropped."""
        return self.name in ("average", "max")

    def __call__(self, y: Tensor) -> Tensor:
        """Return the pooled maps (N, p, Ho, Wo) of maps (N, p, H, W)."""
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
                f"{self.owner}: expected a map of at least the subsampling {self.steps}, "
                f"got {size}; use a smaller subsampling or larger images"
            )
        return pooled
