"""A linear classifier on given features, by preconditioned L-BFGS.

n examples, D features, k classes, X (n, D) centred and scaled to mean squared norm 1. Minimises
(1/n) sum L(y_i, W x_i + b) + l2/2 |W|^2 over W and b (Mairal 2016). Plain L-BFGS is slow on CKN
features, whose covariance is badly conditioned; in V = W R^T with R^T R = X^T X / n + 2 l2 I the problem is nearly
round, for the Hessian of the loss is at most a multiple of X^T X / n.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tinygrad_ckn import ops
from tinygrad_ckn.backend import CPU, Generator, to_numpy, xp_of
from tinygrad_ckn.backend import rng as generator
from tinygrad_ckn.backward import grad
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.tensor import Tensor

LOSSES: dict[str, Callable[[Any, Any], Any]] = {"cross_entropy": ops.cross_entropy, "squared_hinge": ops.squared_hinge}
L2_GRID = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10)
_LEAST = 10  # examples from which some can be held out
_BLOCK = 4096  # examples taken at a time


@dataclass
class LinearFit:
    """Scores are x @ weight.T + bias: weight (k, D), bias (k,).

    `l2` is the one used, `scale` the root mean squared norm of the centred features, by which they were divided, and
    `held_out` the loss on the part held out for each l2 tried.
    """

    weight: Any
    bias: Any
    l2: float
    scale: float
    held_out: dict[float, float] = field(default_factory=dict)


class _Problem:
    """The objective on given data; a point is [W | b] (k, D + 1) in float64 on the host."""

    def __init__(self, features: Any, labels: Any, n_classes: int, loss: str) -> None:
        self.xp = xp_of(features)
        self.x, self.labels, self.k = features, labels, n_classes
        self.loss = LOSSES[loss]
        self.mean = features.mean(axis=0)
        gram: Any = 0.0
        for i in range(0, len(features), _BLOCK):
            centred = features[i : i + _BLOCK] - self.mean
            gram = gram + to_numpy(centred.T @ centred).astype("float64")
        self.scale = math.sqrt(CPU.xp.trace(gram) / len(features)) or 1.0
        self.gram = gram / (len(features) * self.scale**2)

    def linear(self, point: Any) -> tuple[Any, Any]:
        """Return weight and bias on features as they are, neither centred nor scaled."""
        weight = self.xp.asarray(point[:, :-1] / self.scale, dtype=self.x.dtype)
        return weight, self.xp.asarray(point[:, -1], dtype=self.x.dtype) - weight @ self.mean

    def value_and_gradient(self, point: Any, l2: float) -> tuple[float, Any]:
        weight, bias = self.linear(point)
        products = self.xp.empty((len(self.x), self.k), dtype=self.x.dtype)
        for i in range(0, len(self.x), _BLOCK):  # BLAS is slow at a tall matrix times a narrow one in one go
            products[i : i + _BLOCK] = self.x[i : i + _BLOCK] @ weight.T
        scores = Tensor(products + bias, requires_grad=True)
        loss = self.loss(scores, self.labels)
        g = grad(loss, scores)[0].data  # (n, k)
        total = g.sum(axis=0)
        slope = (g.T @ self.x - self.xp.outer(total, self.mean)) / self.scale
        gradient = CPU.xp.column_stack([to_numpy(slope), to_numpy(total)]).astype("float64")
        gradient[:, :-1] += l2 * point[:, :-1]
        return loss.item() + 0.5 * l2 * float((point[:, :-1] ** 2).sum()), gradient

    def minimise(self, l2: float, start: Any, iterations: int) -> Any:
        """Return the point that L-BFGS reaches from `start`."""
        from scipy.optimize import minimize

        root, inverse = _root(self.gram, 2 * l2)

        def point_of(v: Any) -> Any:
            point = v.reshape(start.shape).copy()
            point[:, :-1] = point[:, :-1] @ inverse.T
            return point

        def function(v: Any) -> tuple[float, Any]:
            value, gradient = self.value_and_gradient(point_of(v), l2)
            gradient[:, :-1] = gradient[:, :-1] @ inverse
            return value, gradient.reshape(-1)

        v = start.copy()
        v[:, :-1] = start[:, :-1] @ root.T
        found = minimize(function, v.reshape(-1), jac=True, method="L-BFGS-B", options={"maxiter": iterations})
        return point_of(found.x)


def _root(gram: Any, shift: float) -> tuple[Any, Any]:
    """Return upper R with R^T R = gram + shift I, and its inverse.

    The shift is raised where rounding in float32 left the matrix indefinite. The inverse is formed so that the
    iterations are products: triangular solves would call SciPy's BLAS in turns with NumPy's, whose threads then wait
    for each other.
    """
    from scipy.linalg import LinAlgError, cholesky, solve_triangular

    shift = max(shift, 1e-9)
    while True:
        try:
            root = cholesky(gram + shift * CPU.xp.eye(len(gram)))
            return root, solve_triangular(root, CPU.xp.eye(len(gram)))
        except LinAlgError:
            shift *= 10


def fit_linear(
    features: Any,
    labels: Any,
    n_classes: int,
    *,
    loss: str = "cross_entropy",
    l2: float | None = None,
    iterations: int = 30,
    rng: Generator | int | None = None,
    report: Callable[[float, float], None] = lambda l2, loss: None,
) -> LinearFit:
    """Fit a linear classifier.

    Parameters
    ----------
    features
        (n, D), floating.
    labels
        Integers (n,), 0 .. n_classes - 1.
    loss
        "cross_entropy" (multinomial logistic) or "squared_hinge" (one against the rest).
    l2
        Regularisation, for features of mean squared norm 1; None: that of `L2_GRID` with the least loss on a part held
        out (a tenth, of small sets up to a fifth; with fewer than ten examples the first of the grid).
    iterations
        Of L-BFGS, for each l2 tried and for the final fit.
    rng
        Generator or seed of the part held out.
    report
        Called with each l2 tried and the loss held out.

    Raises
    ------
    DataError
        If there are no examples, or lengths differ, or features are not finite.
    ConfigError
        If the loss is unknown or l2 is negative.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [4.0], [5.0]])
    >>> fit = fit_linear(x, np.array([0, 0, 1, 1]), 2, l2=1e-3)
    >>> (x @ fit.weight.T + fit.bias).argmax(axis=1)
    array([0, 0, 1, 1])
    """
    if loss not in LOSSES or (l2 is not None and not l2 >= 0):
        raise ConfigError(f"fit_linear: expected loss of {', '.join(LOSSES)} and l2 >= 0, got {loss!r} and {l2!r}")
    if features.ndim != 2 or not len(features) or len(features) != len(labels):
        raise DataError(
            f"fit_linear: expected features (n, D), n >= 1, and n labels, got {features.shape}, {len(labels)}"
        )
    if not bool(xp_of(features).isfinite(features.sum(axis=0, dtype="float64")).all()):
        raise DataError(
            "fit_linear: argument features expected finite numbers, got NaN or infinity; look at the images"
        )
    start = CPU.xp.zeros((n_classes, features.shape[1] + 1))
    held_out: dict[float, float] = {}
    if l2 is None and len(features) < _LEAST:
        l2 = L2_GRID[0]
    elif l2 is None:
        order = generator(rng).permutation(len(features))
        count = max(1, min(max(len(order) // 10, 1000), len(order) // 5))
        l2, start, held_out = _choose_l2(
            features, labels, n_classes, loss, order[count:], order[:count], iterations, start, report
        )
    problem = _Problem(features, labels, n_classes, loss)
    weight, bias = problem.linear(problem.minimise(l2, start, iterations))
    return LinearFit(weight, bias, l2, problem.scale, held_out)


def _choose_l2(
    features: Any,
    labels: Any,
    n_classes: int,
    loss: str,
    kept: Any,
    aside: Any,
    iterations: int,
    start: Any,
    report: Callable[[float, float], None],
) -> tuple[float, Any, dict[float, float]]:
    """Return the l2 of least loss on the rows `aside`, its solution on the rows `kept`, and all losses held out.

    The loss says more than the accuracy, which on few examples takes few values.
    """
    xp = xp_of(features)
    kept, aside = xp.asarray(kept), xp.asarray(aside)
    problem = _Problem(features[kept], labels[kept], n_classes, loss)
    x, y = features[aside], labels[aside]
    losses: dict[float, float] = {}
    best_l2, best_point, point = L2_GRID[0], start, start
    for l2 in L2_GRID:
        point = problem.minimise(l2, point, iterations)
        weight, bias = problem.linear(point)
        losses[l2] = float(LOSSES[loss](x @ weight.T + bias, y))
        report(l2, losses[l2])
        if losses[l2] <= losses[best_l2]:
            best_l2, best_point = l2, point
        elif l2 < 0.05 * best_l2:
            break  # worse twice in a row: less regularisation overfits from here on
    return best_l2, best_point, losses
