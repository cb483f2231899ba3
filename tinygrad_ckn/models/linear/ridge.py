"""Ridge regression on given features, solved exactly; the regularisation is chosen by leaving one example out.

n examples, D features, k targets, X (n, D) centred and scaled to mean squared norm 1, T
(n, k) centred. Minimises (1/n) sum |W x_i + b - t_i|^2 / 2 + l2/2 |W|^2 over W and b.
With a = n l2,

    W = T^T X (X^T X + a I)^-1 = T^T (X X^T + a I)^-1 X,

of which the smaller matrix is solved, (D, D) or (n, n). The residual of example i in
the fit to all others, with the same a, is r_i / (1 - h_i), r_i being its residual in
the fit to all and h_i = 1/n + x_i^T (X^T X + a I)^-1 x_i (Allen 1974, The relationship
between variable selection and data augmentation; Golub, Heath and Wahba 1979).

Features are read in blocks and may lie in a file (numpy.memmap). Sums and products are
in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tinygrad_ckn.backend import CPU, check_real, to_numpy, xp_of
from tinygrad_ckn.block_sums import blocks_of, scatter_of, sum_over
from tinygrad_ckn.errors import ConfigError, DataError, DTypeError, LinearAlgebraError
from tinygrad_ckn.models.linear.logistic import LinearFit
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.profiling import record_function
from tinygrad_ckn.windows import is_finite

L2_GRID = tuple(10.0**-i for i in range(-1, 11))


class _Centred:
    """Features (n, D) about their mean, block by block in float64."""

    def __init__(self, features: Any) -> None:
        self.features = features
        self.blocks = blocks_of(features, len(features))
        self.mean: Any = CPU.xp.zeros(features.shape[1])
        self.mean = self.sum(lambda x, rows: x.sum(axis=0), self.mean.shape) / len(features)
        if not bool(CPU.xp.isfinite(self.mean).all()):
            raise DataError(
                "fit_ridge: argument features expected finite numbers, got NaN or infinity; look at the images"
            )

    def rows(self, rows: slice) -> Any:
        """Return some examples, (rows, D)."""
        x = self.features[rows].astype("float64")
        x -= xp_of(x).asarray(self.mean)
        return x

    def columns(self, columns: slice) -> Any:
        """Return some features of all examples, (columns, n)."""
        x = self.features.T[columns].astype("float64")
        x -= xp_of(x).asarray(self.mean[columns, None])
        return x

    def sum(self, term: Callable[[Any, slice], Any], shape: tuple[int, ...]) -> Any:
        """Return the sum over blocks of term(examples, rows), on the host."""

        def add(rows: slice, total: Any) -> None:
            total += term(self.rows(rows), rows)

        return to_numpy(
            sum_over(self.features, add, self.blocks, lambda: xp_of(self.features).zeros(shape))
        )

    def times(self, m: Any) -> Any:
        """Return X^T m, (D, k) on the host, for m (n, k)."""
        m = xp_of(self.features).asarray(m)
        return self.sum(lambda x, rows: x.T @ m[rows], (self.features.shape[1], m.shape[1]))


@record_function("ridge regression")
@plain_arguments
def fit_ridge(features: Any, targets: Any, *, l2: float | None = None) -> LinearFit:
    """Fit a linear regression, or the scores of classes given as one-hot rows, with a penalty on the weights.

    Parameters
    ----------
    features
        (n, D), floating; in memory or in a file (numpy.memmap), which is read in blocks.
    targets
        Numbers (n,) or (n, k).
    l2
        Regularisation, for features of mean squared norm 1: scikit-learn's alpha is n
        l2 scale^2. None: that of `L2_GRID` with the least loss of examples left out,
        one at a time; 10, the largest, where there is one example. 0 is least squares,
        and with n <= D the solution of least norm.

    Returns
    -------
    LinearFit
        weight (k, D) and bias (k,) in the features' dtype, with k = 1 for targets (n,).
        `held_out` has for each l2 the mean over examples of half the squared residual
        of the example left out.

    Raises
    ------
    DataError
        If there are no examples, lengths differ, or numbers are not finite.
    DTypeError
        If features are not floating, or targets no numbers.
    ConfigError
        If l2 is negative.
    LinearAlgebraError
        If rounding would decide about the weights: features are linearly dependent, or
        for n <= D examples are, and l2 is too small.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> fit = fit_ridge(x, 2 * x[:, 0] + 1, l2=0)
    >>> fit.weight.round(6), fit.bias.round(6)
    (array([[2.]]), array([1.]))
    """
    if l2 is not None and not (is_finite(l2) and l2 >= 0):
        raise ConfigError(f"fit_ridge: argument l2 expected a number >= 0 or None, got {l2!r}")
    t = _targets(features, targets)
    centred, origin = _Centred(features), t.mean(axis=0)
    t -= origin
    n, d = features.shape
    dual = n <= d
    gram = (
        scatter_of(features.T, d, centred.columns)
        if dual
        else scatter_of(features, n, centred.rows)
    )
    scale = math.sqrt(CPU.xp.trace(gram) / n) or 1.0
    if dual:
        gram += (
            2 * scale**2
        )  # the constant vector, of eigenvalue 0 and orthogonal to t, gets the largest
    right = t if dual else centred.times(t)
    held_out: dict[float, float] = {}
    if l2 is None and n > 1:
        unit = n * scale**2
        losses, solve = (
            _leave_one_out_dual(t, gram, unit)
            if dual
            else _leave_one_out(centred, t, gram, right, unit)
        )
        best = int(losses.argmin())
        l2, solution = L2_GRID[best], solve(best)
        held_out = dict(zip(L2_GRID, (losses / (2 * n)).tolist(), strict=True))
    else:
        l2 = L2_GRID[0] if l2 is None else l2
        solution = _solve(gram, right, n * l2 * scale**2, max(n, d))
    weight = (centred.times(solution) if dual else solution).T
    xp = xp_of(features)
    bias = origin - weight @ centred.mean
    return LinearFit(
        xp.asarray(weight, dtype=features.dtype),
        xp.asarray(bias, dtype=features.dtype),
        l2,
        scale,
        held_out,
    )


def _targets(features: Any, targets: Any) -> Any:
    """Return the targets (n, k) in float64 on the host, once they are known to fit the features."""
    t = check_real("fit_ridge", "targets", to_numpy(targets)).astype("float64")
    if features.dtype.kind != "f":
        raise DTypeError(
            f"fit_ridge: argument features expected a floating dtype, got {features.dtype}; use .astype('float32')"
        )
    if features.ndim != 2 or not len(features) or t.ndim not in (1, 2) or len(t) != len(features):
        raise DataError(
            "fit_ridge: expected features (n, D), n >= 1, and targets (n,) or (n, k), "
            f"got {features.shape} and {t.shape}"
        )
    if not bool(CPU.xp.isfinite(t).all()):
        raise DataError("fit_ridge: argument targets expected finite numbers, got NaN or infinity")
    return t.reshape(len(t), -1)


def _solve(gram: Any, right: Any, shift: float, terms: int) -> Any:
    """Return (gram + shift I)^-1 right by Cholesky; gram, whose entries are sums of terms, is overwritten."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    xp = CPU.xp
    gram[xp.diag_indices(len(gram))] += shift
    try:
        factor = cho_factor(gram, overwrite_a=True, check_finite=False)
        pivots = xp.diagonal(factor[0]) ** 2
    except LinAlgError:
        pivots = xp.zeros(1)
    if not pivots.min() > terms * xp.finfo("float64").eps * pivots.max():
        raise LinearAlgebraError(
            "fit_ridge: expected features that with l2 fix the weights, got a singular matrix of moments; "
            "use a larger l2, such as 1e-8"
        )
    return cho_solve(factor, right, check_finite=False)


def _leave_one_out(
    centred: _Centred, t: Any, gram: Any, right: Any, unit: float
) -> tuple[Any, Any]:
    """Return the loss for each l2 and the function that returns (gram + l2 unit I)^-1 right, gram being X^T X."""
    values, vectors = _eigh(gram)
    inverses = 1 / (values[:, None] + CPU.xp.array(L2_GRID) * unit)
    projected = vectors.T @ right
    xp = xp_of(centred.features)
    basis, factors, coefficients, goals = (xp.asarray(a) for a in (vectors, inverses, projected, t))

    def losses(x: Any, rows: slice) -> Any:
        components = x @ basis
        # 1 - h_i, (rows, l2)
        rest = 1 - 1 / len(t) - components**2 @ factors
        found = xp.empty(len(L2_GRID))
        for i in range(len(L2_GRID)):
            residuals = goals[rows] - components @ (coefficients * factors[:, i : i + 1])
            found[i] = ((residuals / rest[:, i : i + 1]) ** 2).sum()
        return found

    return centred.sum(
        losses, (len(L2_GRID),)
    ), lambda i: vectors @ (projected * inverses[:, i : i + 1])


def _leave_one_out_dual(t: Any, gram: Any, unit: float) -> tuple[Any, Any]:
    """Return what `_leave_one_out` does, gram being X X^T, and right being t.

    Residuals and 1 - h_i are sums over eigenvectors with factors a / (s + a), s being
    the eigenvalue, over all but the constant one, along which there is nothing to
    explain. It has the largest eigenvalue and so is the last.
    """
    values, vectors = (a[..., :-1] for a in _eigh(gram))
    penalties = CPU.xp.array(L2_GRID) * unit
    factors = penalties / (values[:, None] + penalties)
    projected = vectors.T @ t
    rest = vectors**2 @ factors
    losses = CPU.xp.empty(len(L2_GRID))
    for i in range(len(L2_GRID)):
        residuals = vectors @ (projected * factors[:, i : i + 1])
        losses[i] = ((residuals / rest[:, i : i + 1]) ** 2).sum()
    return losses, lambda i: vectors @ (projected * factors[:, i : i + 1]) / penalties[i]


def _eigh(gram: Any) -> tuple[Any, Any]:
    """Return eigenvalues, ascending, and eigenvectors of a positive semi-definite matrix, of the upper triangle."""
    from scipy.linalg import eigh

    values, vectors = eigh(gram, lower=False, overwrite_a=True, check_finite=False)
    return values.clip(0), vectors
