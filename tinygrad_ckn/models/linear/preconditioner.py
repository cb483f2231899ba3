"""What makes the classifier's problem nearly round: V = W R^T with R^T R = X^T X / n + shift I.

X (n, D) are the features, centred and scaled to mean squared norm 1. R may be that of a
shift a decade off.

- `Whole`: R is the Cholesky factor of a (D, D) matrix.
- `Sampled`, where that matrix would be too large: with P (m, D), some of the examples over sqrt(m shift), for all, and
  L L^T = I + P P^T (m, m),  R = sqrt(shift) (I + P^T (I + L^T)^-1 P)  is a root, as one sees by multiplying it out, and
  R^-1 = (I - P^T L^-T (I + L)^-1 P) / sqrt(shift). For directions that no example of the sample has, shift stands.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

from tinygrad_ckn.backend import CPU, to_numpy, xp_of
from tinygrad_ckn.block_sums import scatter_of
from tinygrad_ckn.models.linear.moments import Moments
from tinygrad_ckn.profiling import record_function

# features for which X^T X is used: a matrix of 1.2 GB, and 20 s for its factor
_WIDEST = 12_288
# examples
_SAMPLE = 4096
_LEAST_SHIFT = 1e-9
# and a margin, for l2 is rounded
_DECADE = 11


class Root(Protocol):
    """R as a map of rows (k, D), in float64 on the host."""

    def times(self, w: Any) -> Any:
        """Return w R^T."""

    def solve(self, v: Any) -> Any:
        """Return w of w R^T = v."""

    def solve_transposed(self, g: Any) -> Any:
        """Return h of h R = g: the gradient in V of that in W."""


class Preconditioner:
    """R for an l2; that of one serves others that are at most a decade off, for it is costly."""

    @record_function("classifier, preconditioner")
    def __init__(self, features: Any, moments: Moments) -> None:
        scale = moments.scale
        centre = xp_of(features).asarray(moments.mean, dtype=features.dtype)
        self._root: tuple[float, Root] | None = None
        if features.shape[1] <= _WIDEST:
            gram = scatter_of(
                features,
                moments.n,
                lambda rows: (features[rows] - centre) / features.dtype.type(scale),
            )
            gram /= moments.n
            self._make: Any = lambda shift: Whole(gram, shift)
        else:
            m = min(moments.n, _SAMPLE)
            sample = features[xp_of(features).asarray(CPU.xp.arange(m) * moments.n // m)] - centre
            sample /= scale * math.sqrt(m)
            products = to_numpy(sample @ sample.T).astype("float64")
            self._make = lambda shift: Sampled(sample, products, shift)

    @record_function("classifier, preconditioner")
    def root(self, l2: float) -> Root:
        """Return R for an l2, or for one that is near enough."""
        shift = max(2 * l2, _LEAST_SHIFT)
        if self._root is None or not 1 / _DECADE < self._root[0] / shift < _DECADE:
            # before there are two
            self._root = None
            self._root = shift, self._make(shift)
        return self._root[1]


class Whole:
    """R of all of X^T X / n, of which the upper triangle counts; shift grows where rounding left it indefinite."""

    def __init__(self, gram: Any, shift: float) -> None:
        from scipy.linalg import LinAlgError, cholesky

        while True:
            shifted = gram.T.copy(order="F")
            shifted[CPU.xp.diag_indices(len(gram))] += shift
            try:
                self.lower = cholesky(
                    shifted, lower=True, overwrite_a=True, check_finite=False
                )  # R^T
                return
            except LinAlgError:
                shift *= 10

    def times(self, w: Any) -> Any:
        """Return w R^T."""
        return w @ self.lower

    def solve(self, v: Any) -> Any:
        """Return w of w R^T = v."""
        return _solve(self.lower, v, transposed=True)

    def solve_transposed(self, g: Any) -> Any:
        """Return h of h R = g."""
        return _solve(self.lower, g)


class Sampled:
    """R of some examples, given as rows over sqrt(m), and of their products (m, m); the head of this file has it."""

    def __init__(self, sample: Any, products: Any, shift: float) -> None:
        from scipy.linalg import cholesky

        self.sample, self.shift = sample, shift
        shifted = products / shift
        diagonal = CPU.xp.diag_indices(len(shifted))
        shifted[diagonal] += 1
        self.lower = cholesky(shifted, lower=True, overwrite_a=True, check_finite=False)
        # I + L
        self.more = self.lower.copy(order="F")
        self.more[diagonal] += 1

    def times(self, w: Any) -> Any:
        """Return w R^T."""
        return math.sqrt(self.shift) * (
            w + self._back(_solve(self.more, self._into(w), transposed=True))
        )

    def solve(self, v: Any) -> Any:
        """Return w of w R^T = v."""
        inner = _solve(self.lower, _solve(self.more, self._into(v)), transposed=True)
        return (v - self._back(inner)) / math.sqrt(self.shift)

    def solve_transposed(self, g: Any) -> Any:
        """Return h of h R = g."""
        inner = _solve(self.more, _solve(self.lower, self._into(g)), transposed=True)
        return (g - self._back(inner)) / math.sqrt(self.shift)

    def _into(self, rows: Any) -> Any:
        """Return rows (k, D) times P^T."""
        return to_numpy(self._cast(rows) @ self.sample.T).astype("float64") / math.sqrt(self.shift)

    def _back(self, rows: Any) -> Any:
        """Return rows (k, m) times P."""
        return to_numpy(self._cast(rows) @ self.sample).astype("float64") / math.sqrt(self.shift)

    def _cast(self, rows: Any) -> Any:
        return xp_of(self.sample).asarray(rows, dtype=self.sample.dtype)


def _solve(lower: Any, rows: Any, transposed: bool = False) -> Any:
    """Return the rows (k, n) of x with lower x = row, or lower^T x = row."""
    from scipy.linalg import solve_triangular

    return solve_triangular(
        lower, rows.T, lower=True, trans=1 if transposed else 0, check_finite=False
    ).T
