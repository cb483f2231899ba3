"""Number, mean and spread of examples, by which the classifier centres and scales them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tinygrad_ckn.backend import CPU, to_numpy, xp_of
from tinygrad_ckn.block_sums import blocks_of, sum_over
from tinygrad_ckn.errors import DataError


@dataclass(frozen=True, slots=True)
class Moments:
    """Number n, mean (D,) and sum of squared distances from the mean, of examples, in float64 on the host."""

    n: int
    mean: Any
    spread: float

    @property
    def scale(self) -> float:
        """The root mean squared distance from the mean; 1 where there is none."""
        return math.sqrt(self.spread / self.n) or 1.0

    @classmethod
    def of(cls, features: Any) -> Moments:
        """Return the moments of features (n, D).

        Raises
        ------
        DataError
            If they are not finite, or their squares are not.
        """
        mean = _sum(features, None, lambda x: x.sum(axis=0, dtype="float64")) / len(features)
        if not bool(CPU.xp.isfinite(mean).all()):
            raise DataError(
                "fit_linear: argument features expected finite numbers, got NaN or infinity; look at the images"
            )
        spread = float(_sum(features, None, _squares_about(features, mean)).sum())
        if not CPU.xp.isfinite(spread):
            raise DataError(
                "fit_linear: argument features expected squares that do not overflow, got others; scale them"
            )
        return cls(len(features), mean, spread)

    def without(self, features: Any, aside: Any) -> Moments:
        """Return the moments of all examples but those of which the numbers are given."""
        xp = CPU.xp
        n = self.n - len(aside)
        total = _sum(features, aside, lambda x: x.sum(axis=0, dtype="float64"))
        mean = (self.n * self.mean - total) / n
        theirs = float(_sum(features, aside, _squares_about(features, self.mean)).sum())
        spread = self.spread - theirs - n * float(((mean - self.mean) ** 2).sum())
        if spread <= self.n * xp.finfo("float64").eps * self.spread:
            # they are all alike: what is left is rounding
            spread = 0.0
        return Moments(n, mean, spread)


def _squares_about(features: Any, origin: Any) -> Any:
    """Return what sums the squares of a block's distances from a point, a column by itself.

    They are squared in float64: in float32 those of small and of large features
    underflow and overflow.
    """
    centre = xp_of(features).asarray(origin, dtype=features.dtype)
    return lambda x: ((x - centre).astype("float64", copy=False) ** 2).sum(axis=0)


def _sum(features: Any, chosen: Any, of_block: Any) -> Any:
    """Return the sum over blocks of examples, all or those of which the numbers are given, as (D,) on the host."""

    def add(rows: slice, total: Any) -> None:
        total += of_block(features[rows if chosen is None else chosen[rows]])

    blocks, xp = (
        blocks_of(features, len(features) if chosen is None else len(chosen)),
        xp_of(features),
    )
    return to_numpy(sum_over(features, add, blocks, lambda: xp.zeros(features.shape[1])))
