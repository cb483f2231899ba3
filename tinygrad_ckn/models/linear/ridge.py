"""Ridge regression on given features, solved exactly, with leave-one-out choice of l2.

n examples, D features, k targets, X (n, D) centred and scaled to mean squared norm 1, T
(n, k) centred. Minimises (1/n) sum |W x_i + b - t_i|^2 / 2 + l2/2 |W|^2 over W and b.
With a = n l2,

    W = T^T X (X^T X + a I)^-1 = T^T (X X^T + a I)^-1 X,

where the smaller of the two matrices is solved, (D, D) or (n, n). The residual of example
i in a fit to all others, with the same a, is r_i / (1 - h_i), where r_i is its residual
in the fit to all and h_i = 1/n + x_i^T (X^T X + a I)^-1 x_i (Allen 1974, The relationship
between variable selection and data augmentation; Golub, Heath and Wahba 1979).

With weights u_i of mean 1 the sum is (1/n) sum u_i |W x_i + b - t_i|^2 / 2, and X and T
are centred by their weighted means. Multiplying their rows by sqrt(u_i) leaves the
problem above, with u_i / n in place of 1/n in h_i.

Features are read in blocks and may lie in a file (numpy.memmap). Sums and products are in
float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_ckn.backend import NDArray, Shape, check_real, to_numpy, xp_of
from tinygrad_ckn.block_sums import blocks_of, scatter_of, sum_over
from tinygrad_ckn.errors import ConfigError, DataError, DTypeError, LinearAlgebraError
from tinygrad_ckn.models.example_weights import check_weights
from tinygrad_ckn.models.linear.logistic import LinearFit
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.profiling import record_function
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import is_finite

L2_GRID = tuple(10.0**-i for i in range(-1, 11))
Matrix = NDArray[np.float64]
# The loss for each l2 of the grid, and the solution for an index of the grid.
LeaveOneOut = tuple[Matrix, Callable[[int], Matrix]]


class _Centred:
    """Features (n, D) minus their mean, block by block in float64.

    `root` (n,) are the roots of weights of mean 1, by which examples are multiplied; None:
    all count the same.
    """

    def __init__(self, features: NDArray[Any], root: NDArray[Any] | None) -> None:
        self.features = features
        self.root = root
        self.blocks = blocks_of(features, len(features))
        self.mean: Matrix = np.zeros(features.shape[1])
        total = self.sum(
            lambda x, rows: x.sum(axis=0) if root is None else root[rows] @ x, self.mean.shape
        )
        self.mean = total / len(features)
        if not bool(np.isfinite(self.mean).all()):
            raise DataError(
                "fit_ridge: argument features expected finite numbers, got NaN or infinity; "
                "check the images"
            )

    def rows(self, rows: slice) -> NDArray[Any]:
        """Return some examples, (rows, D)."""
        x = self.features[rows].astype("float64")
        x -= xp_of(x).asarray(self.mean)
        if self.root is not None:
            x *= self.root[rows, None]
        return x

    def columns(self, columns: slice) -> NDArray[Any]:
        """Return some features of all examples, (columns, n)."""
        x = self.features.T[columns].astype("float64")
        x -= xp_of(x).asarray(self.mean[columns, None])
        if self.root is not None:
            x *= self.root
        return x

    def sum(self, term: Callable[[NDArray[Any], slice], NDArray[Any]], shape: Shape) -> Matrix:
        """Return the sum over blocks of term(examples, rows), on the host."""
        xp = xp_of(self.features)

        def add(rows: slice, total: NDArray[Any]) -> None:
            total += term(self.rows(rows), rows)

        return to_numpy(sum_over(self.features, add, self.blocks, lambda: xp.zeros(shape)))

    def times(self, m: Matrix) -> Matrix:
        """Return X^T m, (D, k) on the host, for m (n, k)."""
        factor = xp_of(self.features).asarray(m)
        return self.sum(lambda x, rows: x.T @ factor[rows], (self.features.shape[1], m.shape[1]))


@record_function("ridge regression")
@plain_arguments
def fit_ridge(
    features: NDArray[Any],
    targets: NDArray[Any],
    *,
    l2: float | None = None,
    sample_weight: ArrayLike | Tensor | None = None,
) -> LinearFit:
    """Fit a linear regression with a penalty on the weights.

    Targets may be classes as one-hot rows.

    Parameters
    ----------
    features : array
        (n, D), floating; in memory or in a file (numpy.memmap), which is read in blocks.
    targets : array
        Numbers (n,) or (n, k).
    l2 : float or None, default None
        Regularisation, for features of mean squared norm 1; scikit-learn's alpha is n l2
        scale^2. None: the value of `L2_GRID` with the lowest leave-one-out loss; 10, the
        largest, for a single example. 0 gives least squares, for n <= D the solution of
        minimum norm.
    sample_weight : array or None, default None
        Numbers (n,) >= 0, not all 0: an example of weight 2 counts as two, in the fit and
        in the leave-one-out loss. None: all count the same.

    Returns
    -------
    LinearFit
        weight (k, D) and bias (k,) in the features' dtype, with k = 1 for targets (n,).
        `held_out` has for each l2 the mean over examples of half the squared
        leave-one-out residual.

    Raises
    ------
    DataError
        If there are no examples, lengths differ, or numbers are not finite; if weights
        are not n finite numbers >= 0.
    DTypeError
        If features are not floating, or targets are not numbers.
    ConfigError
        If l2 is negative.
    LinearAlgebraError
        If the weights would be determined by rounding: features, or for n <= D examples,
        are linearly dependent, and l2 is too small.

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
    n, d = features.shape
    root = _roots(sample_weight, n)
    centred = _Centred(features, None if root is None else xp_of(features).asarray(root))
    origin = _centre(t, root)
    dual = n <= d
    gram, scale = _gram(centred, dual)
    right = t if dual else centred.times(t)
    held_out: dict[float, float] = {}
    if l2 is None and n > 1:
        unit = n * scale**2
        primal = _leave_one_out(centred, t, gram, right, unit) if not dual else None
        losses, solve = primal or _leave_one_out_dual(t, gram, unit)
        best = int(losses.argmin())
        l2 = L2_GRID[best]
        solution = solve(best)
        held_out = dict(zip(L2_GRID, (losses / (2 * n)).tolist(), strict=True))
    else:
        l2 = L2_GRID[0] if l2 is None else l2
        solution = _solve(gram, right, n * l2 * scale**2, max(n, d))
    weight = (centred.times(solution) if dual else solution).T
    bias = origin - weight @ centred.mean
    xp = xp_of(features)
    weight, bias = (xp.asarray(array, dtype=features.dtype) for array in (weight, bias))
    return LinearFit(weight, bias, l2, scale, held_out)


def _gram(centred: _Centred, dual: bool) -> tuple[Matrix, float]:
    """Return X X^T if dual, else X^T X, of features that are not scaled, and their scale."""
    features = centred.features
    n, d = features.shape
    if not dual:
        gram = scatter_of(features, n, centred.rows)
        return gram, math.sqrt(np.trace(gram) / n) or 1.0
    gram = scatter_of(features.T, d, centred.columns)
    scale = math.sqrt(np.trace(gram) / n) or 1.0
    # The constant vector (with weights that of their roots), of eigenvalue 0 and orthogonal
    # to the targets, gets the largest.
    if centred.root is None:
        gram += 2 * scale**2
    else:
        root = to_numpy(centred.root)
        gram += 2 * scale**2 * np.outer(root, root)
    return gram, scale


def _roots(sample_weight: ArrayLike | Tensor | None, n: int) -> Matrix | None:
    """Return the roots (n,) of weights of mean 1; None if all are equal."""
    if sample_weight is None:
        return None
    weights = check_weights("fit_ridge", sample_weight, n)
    equal = bool((weights == weights[0]).all())
    return None if equal else np.sqrt(weights / weights.mean())


def _targets(features: NDArray[Any], targets: NDArray[Any]) -> Matrix:
    """Return the targets (n, k) in float64 on the host, after checking them."""
    t = check_real("fit_ridge", "targets", to_numpy(targets)).astype("float64")
    if features.dtype.kind != "f":
        raise DTypeError(
            f"fit_ridge: argument features expected a floating dtype, got {features.dtype}; "
            "use .astype('float32')"
        )
    if features.ndim != 2 or not len(features) or t.ndim not in (1, 2) or len(t) != len(features):
        raise DataError(
            "fit_ridge: expected features (n, D), n >= 1, and targets (n,) or (n, k), "
            f"got {features.shape} and {t.shape}"
        )
    if not bool(np.isfinite(t).all()):
        raise DataError("fit_ridge: argument targets expected finite numbers, got NaN or infinity")
    reshaped: Matrix = t.reshape(len(t), -1)
    return reshaped


def _centre(t: Matrix, root: Matrix | None) -> Matrix:
    """Subtract the mean from targets (n, k), multiply rows by `root`, and return the mean."""
    mean: Matrix = t.mean(axis=0) if root is None else root**2 @ t / len(t)
    t -= mean
    if root is not None:
        t *= root[:, None]
    return mean


def _solve(gram: Matrix, right: Matrix, shift: float, terms: int) -> Matrix:
    """Return (gram + shift I)^-1 right by Cholesky, overwriting gram.

    `terms` is the number of terms that entries of gram are sums of.
    """
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    gram[np.diag_indices(len(gram))] += shift
    factor = None
    pivots = np.zeros(1)
    try:
        factor = cho_factor(gram, overwrite_a=True, check_finite=False)
        pivots = np.diagonal(factor[0]) ** 2
    except LinAlgError:
        pass
    if factor is None or not pivots.min() > terms * np.finfo("float64").eps * pivots.max():
        raise LinearAlgebraError(
            "fit_ridge: expected features that with l2 determine the weights, got a singular "
            "matrix of moments; use a larger l2, such as 1e-8"
        )
    solution: Matrix = cho_solve(factor, right, check_finite=False)
    return solution


def _leave_one_out(
    centred: _Centred, t: Matrix, gram: Matrix, right: Matrix, unit: float
) -> LeaveOneOut:
    """Return losses, and solutions (gram + l2 unit I)^-1 right, where gram = X^T X."""
    values, vectors = _eigh(gram)
    inverses = 1 / (values[:, None] + np.array(L2_GRID) * unit)
    projected = vectors.T @ right
    xp = xp_of(centred.features)
    basis, factors, coefficients, goals = (xp.asarray(a) for a in (vectors, inverses, projected, t))

    def losses(x: NDArray[Any], rows: slice) -> NDArray[Any]:
        components = x @ basis
        # 1 - h_i, (rows, l2)
        share: Any = 1.0 if centred.root is None else centred.root[rows, None] ** 2
        rest = 1 - share / len(t) - components**2 @ factors
        block_losses = xp.empty(len(L2_GRID))
        for i in range(len(L2_GRID)):
            residuals = goals[rows] - components @ (coefficients * factors[:, i : i + 1])
            block_losses[i] = ((residuals / rest[:, i : i + 1]) ** 2).sum()
        return block_losses

    def solve(i: int) -> Matrix:
        solution: Matrix = vectors @ (projected * inverses[:, i : i + 1])
        return solution

    return centred.sum(losses, (len(L2_GRID),)), solve


def _leave_one_out_dual(t: Matrix, gram: Matrix, unit: float) -> LeaveOneOut:
    """Return losses, and solutions (gram + l2 unit I)^-1 t, where gram = X X^T.

    Residuals and 1 - h_i are sums over eigenvectors with factors a / (s + a), s being the
    eigenvalue. The constant eigenvector is left out, because targets are orthogonal to it;
    it has the largest eigenvalue and so is the last.
    """
    values, vectors = (a[..., :-1] for a in _eigh(gram))
    penalties = np.array(L2_GRID) * unit
    factors = penalties / (values[:, None] + penalties)
    projected = vectors.T @ t
    rest = vectors**2 @ factors
    losses = np.empty(len(L2_GRID))
    for i in range(len(L2_GRID)):
        residuals = vectors @ (projected * factors[:, i : i + 1])
        losses[i] = ((residuals / rest[:, i : i + 1]) ** 2).sum()

    def solve(i: int) -> Matrix:
        solution: Matrix = vectors @ (projected * factors[:, i : i + 1]) / penalties[i]
        return solution

    return losses, solve


def _eigh(gram: Matrix) -> tuple[Matrix, Matrix]:
    """Return eigenvalues, ascending, and eigenvectors of a positive semi-definite matrix.

    Only the upper triangle is read.
    """
    from scipy.linalg import eigh

    values, vectors = eigh(gram, lower=False, overwrite_a=True, check_finite=False)
    return values.clip(0), vectors
