"""Preconditioner of the classifier: V = W R^T with R^T R = X^T X / n + shift I.

X (n, D) are the features, centred and scaled to mean squared norm 1, with weights times
the roots of those. An R whose shift is up to a factor of 10 off will do.

- `FullRoot`: R is the Cholesky factor of a (D, D) matrix.
- `SampledRoot`, if that matrix would be too large: with P (m, D), a sample of the
  examples divided by sqrt(m shift), and L L^T = I + P P^T (m, m),
      R = sqrt(shift) (I + P^T (I + L^T)^-1 P)
  is a root, as multiplying it out shows, and
      R^-1 = (I - P^T L^-T (I + L)^-1 P) / sqrt(shift).
  Directions orthogonal to the sample have the eigenvalue shift.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from tinygrad_ckn.backend import NDArray, to_numpy, xp_of
from tinygrad_ckn.block_sums import scatter_of
from tinygrad_ckn.models.linear.moments import Moments
from tinygrad_ckn.profiling import record_function

# Maximum number of features for a full root: 1.2 GB, and 20 s for its Cholesky factor.
_MAX_FULL = 12_288
# Examples of a sample.
_SAMPLE = 4096
_MIN_SHIFT = 1e-9
# A factor of 10, with a margin because l2 is rounded.
_DECADE = 11
# Rows (k, D) or matrices, in float64 on the host.
Matrix = NDArray[np.float64]


class Root(Protocol):
    """R as a map of rows (k, D), in float64 on the host."""

    def times(self, w: Matrix) -> Matrix:
        """Return w R^T."""
        ...

    def solve(self, v: Matrix) -> Matrix:
        """Return the solution w of w R^T = v."""
        ...

    def solve_transposed(self, g: Matrix) -> Matrix:
        """Return the solution h of h R = g: the gradient in V from that in W."""
        ...


class Preconditioner:
    """Computes R for an l2, and reuses it for values of l2 up to a factor of 10 off."""

    @record_function("classifier, preconditioner")
    def __init__(
        self, features: NDArray[Any], moments: Moments, weights: NDArray[Any] | None = None
    ) -> None:
        scale = moments.scale
        xp = xp_of(features)
        center = xp.asarray(moments.mean, dtype=features.dtype)
        self._cached: tuple[float, Root] | None = None
        self._make: Callable[[float], Root]
        if features.shape[1] <= _MAX_FULL:

            def block(rows: slice) -> NDArray[Any]:
                x = (features[rows] - center) / features.dtype.type(scale)
                return x if weights is None else x * xp.sqrt(weights[rows, None]).astype(x.dtype)

            gram = scatter_of(features, len(features), block)
            gram /= moments.n
            self._make = lambda shift: FullRoot(gram, shift)
        else:
            n = len(features)
            m = min(n, _SAMPLE)
            chosen = xp.asarray(np.arange(m) * n // m)
            sample = features[chosen] - center
            sample /= scale * math.sqrt(m)
            if weights is not None:
                sample *= xp.sqrt(weights[chosen, None] * (n / moments.n)).astype(sample.dtype)
            products = to_numpy(sample @ sample.T).astype("float64")
            self._make = lambda shift: SampledRoot(sample, products, shift)

    @record_function("classifier, preconditioner")
    def root(self, l2: float) -> Root:
        """Return R for an l2, or for one close enough."""
        shift = max(2 * l2, _MIN_SHIFT)
        if self._cached is None or not 1 / _DECADE < self._cached[0] / shift < _DECADE:
            # Free the old root before the new one is made.
            self._cached = None
            self._cached = shift, self._make(shift)
        return self._cached[1]


class FullRoot:
    """R from the upper triangle of X^T X / n (D, D).

    The shift grows until rounding leaves the matrix positive definite.
    """

    def __init__(self, gram: Matrix, shift: float) -> None:
        from scipy.linalg import LinAlgError, cholesky

        while True:
            shifted = gram.T.copy(order="F")
            shifted[np.diag_indices(len(gram))] += shift
            try:
                # R^T
                self.lower = cholesky(shifted, lower=True, overwrite_a=True, check_finite=False)
                return
            except LinAlgError:
                shift *= 10

    def times(self, w: Matrix) -> Matrix:
        """Return w R^T."""
        product: Matrix = w @ self.lower
        return product

    def solve(self, v: Matrix) -> Matrix:
        """Return the solution w of w R^T = v."""
        return _solve(self.lower, v, transposed=True)

    def solve_transposed(self, g: Matrix) -> Matrix:
        """Return the solution h of h R = g."""
        return _solve(self.lower, g)


class SampledRoot:
    """R from a sample of m examples as rows over sqrt(m), and their products (m, m).

    The head of this file derives it.
    """

    def __init__(self, sample: NDArray[Any], products: Matrix, shift: float) -> None:
        from scipy.linalg import cholesky

        self.sample = sample
        self.shift = shift
        shifted = products / shift
        diagonal = np.diag_indices(len(shifted))
        shifted[diagonal] += 1
        self.lower = cholesky(shifted, lower=True, overwrite_a=True, check_finite=False)
        # I + L
        self.lower_plus_identity = self.lower.copy(order="F")
        self.lower_plus_identity[diagonal] += 1

    def times(self, w: Matrix) -> Matrix:
        """Return w R^T."""
        inner = _solve(self.lower_plus_identity, self._times_sample(w), transposed=True)
        return math.sqrt(self.shift) * (w + self._from_sample(inner))

    def solve(self, v: Matrix) -> Matrix:
        """Return the solution w of w R^T = v."""
        inner = _solve(self.lower_plus_identity, self._times_sample(v))
        inner = _solve(self.lower, inner, transposed=True)
        return (v - self._from_sample(inner)) / math.sqrt(self.shift)

    def solve_transposed(self, g: Matrix) -> Matrix:
        """Return the solution h of h R = g."""
        inner = _solve(self.lower, self._times_sample(g))
        inner = _solve(self.lower_plus_identity, inner, transposed=True)
        return (g - self._from_sample(inner)) / math.sqrt(self.shift)

    def _times_sample(self, rows: Matrix) -> Matrix:
        """Return rows (k, D) times P^T."""
        return to_numpy(self._cast(rows) @ self.sample.T).astype("float64") / math.sqrt(self.shift)

    def _from_sample(self, rows: Matrix) -> Matrix:
        """Return rows (k, m) times P."""
        return to_numpy(self._cast(rows) @ self.sample).astype("float64") / math.sqrt(self.shift)

    def _cast(self, rows: Matrix) -> NDArray[Any]:
        return xp_of(self.sample).asarray(rows, dtype=self.sample.dtype)


def _solve(lower: Matrix, rows: Matrix, transposed: bool = False) -> Matrix:
    """Return rows x (k, n) that solve lower x = row, or lower^T x = row."""
    from scipy.linalg import solve_triangular

    solution: Any = solve_triangular(
        lower, rows.T, lower=True, trans=1 if transposed else 0, check_finite=False
    )
    transposed_solution: Matrix = solution.T
    return transposed_solution
