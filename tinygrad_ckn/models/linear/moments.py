"""Number, mean and spread of examples, by which features are centred and scaled.

An example of weight w counts as w examples.
"""

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
    n : float
        Number of examples, or the sum of their weights.
    mean : array
        (D,).
    spread : float
        Sum of squared distances from the mean.
    """

    n: float
    mean: NDArray[np.float64]
    spread: float

    @property
    def scale(self) -> float:
        """The root mean squared distance from the mean; 1 if that is 0."""
        return math.sqrt(self.spread / self.n) or 1.0

    @classmethod
    def of(cls, features: NDArray[Any], weights: NDArray[Any] | None = None) -> Moments:
        """Return the moments of features (n, D), with weights (n,) >= 0.

        Raises
        ------
        DataError
            If they or their squares are not finite.
        """
        n = len(features) if weights is None else float(weights.sum())
        mean = _sum(features, None, weights, _identity) / n
        if not bool(np.isfinite(mean).all()):
            raise DataError(
                "fit_linear: argument features expected finite numbers, got NaN or infinity; "
                "check the images"
            )
        spread = float(_sum(features, None, weights, _squares_about(features, mean)).sum())
        if not np.isfinite(spread):
            raise DataError(
                "fit_linear: argument features expected squares that do not overflow, got larger "
                "numbers; scale them"
            )
        return cls(n, mean, spread)

    def without(
        self,
        features: NDArray[Any],
        held_out: NDArray[Any],
        weights: NDArray[Any] | None = None,
    ) -> Moments:
        """Return the moments of all examples except those with the given indices."""
        n = self.n - (len(held_out) if weights is None else float(weights[held_out].sum()))
        mean = (self.n * self.mean - _sum(features, held_out, weights, _identity)) / n
        squares = _squares_about(features, self.mean)
        removed = float(_sum(features, held_out, weights, squares).sum())
        spread = self.spread - removed - n * float(((mean - self.mean) ** 2).sum())
        if spread <= self.n * np.finfo("float64").eps * self.spread:
            # The remaining examples are equal; what is left is rounding.
            spread = 0.0
        return Moments(n, mean, spread)


def _identity(x: NDArray[Any]) -> NDArray[Any]:
    return x


def _squares_about(
    features: NDArray[Any], origin: NDArray[np.float64]
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return a function of a block: squared distances from a point along each axis, (n, D).

    They are squared in float64, because in float32 the squares of small and large
    features underflow and overflow.
    """
    center = xp_of(features).asarray(origin, dtype=features.dtype)
    return lambda x: (x - center).astype("float64", copy=False) ** 2


def _sum(
    features: NDArray[Any],
    chosen: NDArray[Any] | None,
    weights: NDArray[Any] | None,
    function: Callable[[NDArray[Any]], NDArray[Any]],
) -> NDArray[Any]:
    """Return the weighted sum over examples of a function of blocks, (D,) on the host.

    `chosen` None: all examples; otherwise those with the given indices.
    """
    xp = xp_of(features)

    def add(rows: slice, total: NDArray[Any]) -> None:
        these = rows if chosen is None else chosen[rows]
        values = function(features[these])
        if weights is None:
            total += values.sum(axis=0, dtype="float64")
        else:
            total += weights[these] @ values

    blocks = blocks_of(features, len(features) if chosen is None else len(chosen))
    return to_numpy(sum_over(features, add, blocks, lambda: xp.zeros(features.shape[1])))
