"""A kernel ridge classifier on a given Gram matrix, with leave-one-out choice of l2.

n examples, k classes, K (n, n) their Gram matrix, Y (n, k) with 1 at an example's class
and -1 elsewhere. Minimises (1/n) sum |y_i - f(x_i) - b|^2 + l2 |f|^2 over f and b, K
centred in feature space and scaled to mean diagonal 1. Adding a matrix of ones to the
centred K gives the constant vector, otherwise one of many null vectors, the eigenvalue
n. With K + 1 1^T = V diag(w) V^T, c = n l2 / (w + n l2) and A = V diag(c) V^T, the
residuals of the centred Y are A Y, and the leave-one-out residual of example i is (A Y)_i
/ (A_ii - a), where a = l2 / (n + n l2) is due to the ones. Source: Golub, Heath and
Wahba, Generalized Cross-Validation (1979), for the residuals; Saunders, Gammerman and
Vovk, Ridge Regression in Dual Variables (1998).

With weights u_i of mean 1 the sum is (1/n) sum u_i |y_i - f(x_i) - b|^2, and all means
are weighted. Multiplying rows and columns of K, the rows of Y and the ones by sqrt(u_i)
leaves the problem above, with u_i a in place of a.
"""

from __future__ import annotations

import math
from typing import Any, Self

from numpy.typing import ArrayLike

from tinygrad_ckn.backend import (
    Labels,
    NDArray,
    asarray,
    backend_of,
    floating,
    is_array,
    to_numpy,
    xp_of,
)
from tinygrad_ckn.errors import ConfigError, DataError, LinearAlgebraError, ShapeError
from tinygrad_ckn.models.checks import check_device
from tinygrad_ckn.models.example_weights import ClassWeight, example_weights
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import is_finite

L2_GRID = tuple(10.0**-k for k in range(1, 11))
_FIT = "KernelRidgeClassifier.fit"


class KernelRidgeClassifier:
    """One-against-the-rest least squares on targets -1 and 1, in the space of a kernel.

    `sklearn.kernel_ridge.KernelRidge(kernel="precomputed")` solves the same equations;
    this class adds the intercept, the classes and the choice of l2.

    Parameters
    ----------
    l2 : float or None, default None
        Regularisation, for a centred Gram matrix of mean diagonal 1. None: the value of
        `L2_GRID` with the lowest leave-one-out error.

    Attributes
    ----------
    l2_ : float
        The regularisation used.
    errors_ : dict
        The mean squared leave-one-out error for each l2 tried.
    dual_coef_ : array
        (n, k); scores are gram @ dual_coef_ + intercept_.
    intercept_ : array
        (k,).

    Raises
    ------
    ConfigError
        If l2 is not a number > 0.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [4.0], [5.0]])
    >>> classifier = KernelRidgeClassifier().fit(x @ x.T, np.array([0, 0, 1, 1]))
    >>> classifier.predict(np.array([[0.5], [4.5]]) @ x.T)
    array([0, 1])
    """

    l2_: float
    errors_: dict[float, float]
    dual_coef_: NDArray[Any]
    intercept_: NDArray[Any]

    @plain_arguments
    def __init__(self, l2: float | None = None) -> None:
        if l2 is not None and not (is_finite(l2) and l2 > 0):
            raise ConfigError(
                f"KernelRidgeClassifier: argument l2 expected a number > 0 or None, got {l2!r}"
            )
        self.l2 = l2

    def fit(
        self,
        gram: NDArray[Any],
        labels: Labels,
        *,
        class_weight: ClassWeight | None = None,
        sample_weight: ArrayLike | Tensor | None = None,
    ) -> Self:
        """Fit the classifier.

        Parameters
        ----------
        gram : array
            (n, n), symmetric positive semi-definite, floating.
        labels : array
            Integers (n,), 0 .. k - 1.
        class_weight : "balanced", mapping or None, default None
            Weights >= 0 by class number, 1 for those left out, or n / (k count). None: 1.
        sample_weight : array or None, default None
            Weights (n,) >= 0 of the examples, times those of their classes: in the fit
            and in the leave-one-out error. None: 1.

        Raises
        ------
        ShapeError
            If gram is not square.
        DataError
            If labels are not n class numbers of at least two classes, or all examples are
            equal; if weights are not n finite numbers >= 0.
        ConfigError
            If class_weight is something else.
        LinearAlgebraError
            If gram is not finite, symmetric and positive semi-definite up to rounding.
        """
        xp = xp_of(gram)
        gram = floating(xp, gram)
        tolerance = float(xp.finfo(gram.dtype).eps) ** 0.5
        targets = _targets(gram, labels)
        weights = _weights(targets, class_weight, sample_weight)
        gram = gram.astype("float64", copy=False)
        n = len(gram)
        size = float(xp.abs(gram).max())
        if not (size < math.inf and float(xp.abs(gram - gram.T).max()) <= tolerance * size):
            raise LinearAlgebraError(
                f"{_FIT}: argument gram expected a finite symmetric matrix, got another"
            )
        root = xp.ones(n) if weights is None else xp.sqrt(weights)
        means = _mean(gram, weights)
        mean_target = _mean(targets, weights)
        centred = gram - means - means[:, None] + _mean(means, weights)
        if weights is not None:
            centred = root[:, None] * centred * root
        scale = float(xp.trace(centred)) / n
        if not scale > tolerance * size:
            raise DataError(f"{_FIT}: argument gram expected examples that differ, got equal ones")
        w, v = _eigh(centred / scale + root[:, None] * root, scale, tolerance)
        rotated = v.T @ (root[:, None] * (targets - mean_target))
        grid = L2_GRID if self.l2 is None else (self.l2,)
        self.errors_ = {l2: _leave_one_out_error(w, v, rotated, root, l2) for l2 in grid}
        self.l2_ = min(self.errors_, key=self.errors_.__getitem__)
        self.dual_coef_ = root[:, None] * (v @ (rotated / (w + n * self.l2_)[:, None])) / scale
        self.intercept_ = mean_target - means @ self.dual_coef_
        return self

    def scores(self, gram: NDArray[Any]) -> NDArray[Any]:
        """Return class scores (m, k) from a Gram matrix (m, n) with the fitted examples.

        Raises
        ------
        ConfigError
            If the classifier is not fitted.
        ShapeError
            If the matrix does not have n columns.
        """
        if not hasattr(self, "dual_coef_"):
            raise ConfigError(
                "KernelRidgeClassifier: expected a fitted classifier; call fit(gram, labels) first"
            )
        n = len(self.dual_coef_)
        if gram.ndim != 2 or gram.shape[1] != n:
            raise ShapeError(
                f"KernelRidgeClassifier: argument gram expected shape (m, {n}), one column for "
                f"each fitted example, got {gram.shape}"
            )
        return gram @ self.dual_coef_ + self.intercept_

    def predict(self, gram: NDArray[Any]) -> NDArray[Any]:
        """Return class numbers (m,) from a Gram matrix (m, n); errors as for `scores`."""
        return self.scores(gram).argmax(axis=1)


def _leave_one_out_error(
    w: NDArray[Any], v: NDArray[Any], rotated: NDArray[Any], root: NDArray[Any], l2: float
) -> float:
    """Return the mean squared leave-one-out error; the head of this file derives it."""
    n = len(w)
    c = n * l2 / (w + n * l2)
    rest = (v * v) @ c - root * root * (l2 / (n + n * l2))
    left_out = (v @ (c[:, None] * rotated)) / rest[:, None]
    return float((left_out**2).mean())


def _mean(x: NDArray[Any], weights: NDArray[Any] | None) -> Any:
    """Return the mean over rows (n, ...) with weights (n,) of mean 1."""
    return x.mean(axis=0) if weights is None else weights @ x / len(x)


def _weights(
    targets: NDArray[Any],
    class_weight: ClassWeight | None,
    sample_weight: ArrayLike | Tensor | None,
) -> NDArray[Any] | None:
    """Return the weights (n,) of examples with targets (n, k), of mean 1; None: all equal."""
    numbers = to_numpy(targets.argmax(axis=1))
    classes = range(targets.shape[1])
    weights = example_weights(_FIT, numbers, classes, class_weight, sample_weight)
    return None if weights is None else xp_of(targets).asarray(weights / weights.mean())


def _eigh(
    matrix: NDArray[Any], scale: float, tolerance: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return eigenvalues, clipped to >= 0, and eigenvectors of a symmetric matrix.

    Raises
    ------
    LinearAlgebraError
        If an eigenvalue is negative by more than rounding; `scale` converts it to that of
        the Gram matrix.
    """
    xp = xp_of(matrix)
    with backend_of(matrix).strict_linalg():
        w, v = xp.linalg.eigh(matrix)
    if w[0] < -tolerance * w[-1]:
        raise LinearAlgebraError(
            f"{_FIT}: argument gram expected a positive semi-definite matrix, got smallest "
            f"eigenvalue {float(w[0]) * scale:.3g}; pass the kernel's values unchanged"
        )
    return xp.maximum(w, 0), v


def _targets(gram: NDArray[Any], labels: Labels) -> NDArray[Any]:
    """Return targets (n, k), 1 at an example's class and -1 elsewhere, after checks."""
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
        raise ShapeError(f"{_FIT}: argument gram expected shape (n, n), got {gram.shape}")
    backend = backend_of(gram)
    n = len(gram)
    array: Any = labels if is_array(labels) else asarray(labels, device=backend.device)
    check_device(_FIT, "labels", array, backend.device)
    if array.shape != (n,) or array.dtype.kind not in "iu":
        raise DataError(
            f"{_FIT}: argument labels expected {n} integers, one for each row of gram, "
            f"got {array.dtype} of shape {array.shape}"
        )
    classes = set(to_numpy(array).tolist())
    if len(classes) < 2 or min(classes) < 0:
        raise DataError(
            f"{_FIT}: argument labels expected class numbers >= 0 of at least two classes, "
            f"got {sorted(classes)}"
        )
    return backend.xp.where(array[:, None] == backend.xp.arange(max(classes) + 1), 1.0, -1.0)
