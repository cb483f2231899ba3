"""Number, mean and scatter of examples, which the classifier's preconditioner is made of."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import CPU, to_numpy, xp_of
from tinygrad_ckn.blockwise import blocks_of, scatter_of, sum_over
from tinygrad_ckn.errors import DataError


class Moments:
    """Number, mean (D,) and scatter matrix (D, D) of examples, in float64 on the host; the upper triangle counts."""

    def __init__(self, features: Any, chosen: Any = None, origin: Any = None) -> None:
        """Look at all examples, or at those of which the numbers are given, scattered about a point or their mean."""
        self.n = len(features) if chosen is None else len(chosen)
        blocks = blocks_of(features, self.n)

        def block(rows: slice) -> Any:
            return features[rows if chosen is None else chosen[rows]]

        def add(rows: slice, total: Any) -> None:
            total += block(rows).sum(axis=0, dtype="float64")

        total = sum_over(features, add, blocks, lambda: xp_of(features).zeros(features.shape[1]))
        self.mean = to_numpy(total) / self.n
        if not bool(CPU.xp.isfinite(self.mean).all()):
            raise DataError(
                "fit_linear: argument features expected finite numbers, got NaN or infinity; look at the images"
            )
        centre = xp_of(features).asarray(self.mean if origin is None else origin, dtype=features.dtype)
        self.scatter = scatter_of(features, self.n, lambda rows: block(rows) - centre)
        if not bool(CPU.xp.isfinite(CPU.xp.trace(self.scatter))):
            raise DataError(
                "fit_linear: argument features expected squares that do not overflow, got others; scale them"
            )

    def without(self, features: Any, aside: Any) -> Moments:
        """Return the moments of all examples but those of which the numbers are given."""
        xp = CPU.xp
        others, rest = Moments(features, aside, self.mean), object.__new__(Moments)
        rest.n = self.n - others.n
        rest.mean = (self.n * self.mean - others.n * others.mean) / rest.n
        shift = rest.mean - self.mean
        rest.scatter = self.scatter - others.scatter - rest.n * xp.outer(shift, shift)
        if xp.trace(rest.scatter) <= self.n * xp.finfo(rest.scatter.dtype).eps * xp.trace(self.scatter):
            rest.scatter[...] = 0  # they are all alike: what is left is rounding
        return rest
