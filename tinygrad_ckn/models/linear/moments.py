"""Number, mean and spread of examples, by which features are centred and scaled."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_ckn.backend import NDArray, to_numpy, xp_of
from tinygrad_ckn.block_sums import blocks_of, sum_over
from tinygrad_ckn.errors import DataError


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of n examples, in float64 on the host.

    Attributes
    ----------
    n : int
        Number of examples.
    mean : array
        (D,).
    spread : float
        Sum of squared distances from the mean.
    """

    n: int
    mean: NDArray[np.float64]
    spread: float

    @property
    def scale(self) -> float:
        """The root mean squared distance from the mean; 1 if that is 0."""
        return math.sqrt(self.spread / self.n) or 1.0

    @classmethod
    def of(cls, features: NDArray[Any]) -> Moments:
        """Return the moments of features (n, D).

        Raises
        ------
        DataError
            If they or their squares are not finite.
        """
        mean = _sum(features, None, _column_sums) / len(features)
        if not bool(np.isfinite(mean).all()):
            raise DataError(
                "fit_linear: argument features expected finite numbers, got NaN or infinity; "
                "check the images"
            )
        spread = float(_sum(features, None, _squares_about(features, mean)).sum())
        if not np.isfinite(spread):
            raise DataError(
                "fit_linear: argument features expected squares that do not overflow, got larger "
                "numbers; scale them"
            )
        return cls(len(features), mean, spread)

    def without(self, features: NDArray[Any], held_out: NDArray[Any]) -> Moments:
        """Return the moments of all examples except those with the given indices."""
        n = self.n - len(held_out)
        mean = (self.n * self.mean - _sum(features, held_out, _column_sums)) / n
        removed = float(_sum(features, held_out, _squares_about(features, self.mean)).sum())
        spread = self.spread - removed - n * float(((mean - self.mean) ** 2).sum())
        if spread <= self.n * np.finfo("float64").eps * self.spread:
            # The remaining examples are equal; what is left is rounding.
            spread = 0.0
        return Moments(n, mean, spread)


def _column_sums(x: NDArray[Any]) -> NDArray[Any]:
    return x.sum(axis=0, dtype="float64")


def _squares_about(
    features: NDArray[Any], origin: NDArray[np.float64]
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return a function of a block: sums over rows of squared distances from a point, (D,).

    They are squared in float64, because in float32 the squares of small and large
    features underflow and overflow.
    """
    center = xp_of(features).asarray(origin, dtype=features.dtype)
    return lambda x: ((x - center).astype("float64", copy=False) ** 2).sum(axis=0)


def _sum(
    features: NDArray[Any],
    chosen: NDArray[Any] | None,
    function: Callable[[NDArray[Any]], NDArray[Any]],
) -> NDArray[Any]:
    """Return the sum of a function over blocks of examples, (D,) on the host.

    `chosen` None: all examples; otherwise those with the given indices.
    """
    xp = xp_of(features)

    def add(rows: slice, total: NDArray[Any]) -> None:
        total += function(features[rows if chosen is None else chosen[rows]])

    blocks = blocks_of(features, len(features) if chosen is None else len(chosen))
    return to_numpy(sum_over(features, add, blocks, lambda: xp.zeros(features.shape[1])))
