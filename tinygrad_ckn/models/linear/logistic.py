"""A linear classifier on given features, fitted by preconditioned L-BFGS.

n examples, D features, k classes, X (n, D) centred and scaled to mean squared norm 1.
Minimises (1/n) sum L(y_i, W x_i + b) + l2/2 |W|^2 over W and b (Mairal 2016). Plain
L-BFGS is slow on CKN features, whose covariance is badly conditioned. In V = W R^T with
R^T R = X^T X / n + 2 l2 I (`preconditioner.py`) the problem is well conditioned, because
the Hessian of the loss is at most a multiple of X^T X / n.

Features are read in blocks of examples, once for each value and gradient: they may lie in
a file (numpy.memmap). Products are in the features' dtype, sums over blocks in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tinygrad_ckn import checks, ops
from tinygrad_ckn.backend import Array, Generator, NDArray, default_rng, to_numpy, xp_of
from tinygrad_ckn.block_sums import blocks_of, scores_of, small_matrices, sum_over
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.gradient import grad
from tinygrad_ckn.models.linear.calibration import fit_temperature
from tinygrad_ckn.models.linear.l2_search import HeldOut, choose_l2, held_out_indices
from tinygrad_ckn.models.linear.moments import Moments
from tinygrad_ckn.models.linear.preconditioner import Preconditioner, Root
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.profiling import record_function
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import is_finite

Loss = Literal["cross_entropy", "squared_hinge"]
LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "cross_entropy": ops.cross_entropy,
    "squared_hinge": ops.squared_hinge,
}
# The l2 for fewer examples than can be split.
DEFAULT_L2 = 1e-4
_MIN_SPLIT = 10
# L-BFGS stops at a smaller gain per iteration, relative to the objective.
_MIN_GAIN = 2.2e-9
# The score of a class without examples lies this far below the mean score.
_BELOW = 16.0
# [W | b] (k, D + 1), in float64 on the host.
Point = NDArray[np.float64]


@dataclass
class LinearFit:
    """A linear map whose scores are x @ weight.T + bias.

    Attributes
    ----------
    weight, bias : array
        (k, D) and (k,).
    l2 : float
        The regularisation used.
    scale : float
        Root mean squared norm of the centred features, by which they were divided.
    held_out : dict
        For each l2 tried the results on held-out examples: a `HeldOut`, or for ridge
        regression the loss.
    temperature : float or None
        Probabilities are the softmax of scores / temperature; None: this fit does not
        give probabilities.
    """

    weight: NDArray[Any]
    bias: NDArray[Any]
    l2: float
    scale: float
    held_out: dict[float, Any] = field(default_factory=dict)
    temperature: float | None = None


class _Problem:
    """The objective on given data, as a function of a point [W | b].

    `included` (n,) are booleans: False for held-out examples, which do not count. None:
    all count.
    """

    def __init__(
        self,
        features: NDArray[Any],
        labels: NDArray[Any],
        n_classes: int,
        loss: Loss,
        moments: Moments,
        included: NDArray[Any] | None = None,
    ) -> None:
        self.x = features
        self.labels = labels
        self.k = n_classes
        self.included = included
        self.loss_name: Loss = loss
        self.loss = LOSSES[loss]
        self.moments = moments
        self.n = moments.n
        self.mean = moments.mean
        self.scale = moments.scale

    def without(self, held_out: NDArray[Any]) -> _Problem:
        """Return the problem of all examples except those with the given indices."""
        included = xp_of(self.x).ones(len(self.x), "bool")
        included[held_out] = False
        moments = self.moments.without(self.x, held_out)
        return _Problem(self.x, self.labels, self.k, self.loss_name, moments, included)

    def linear(self, point: Point) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return weight and bias for features that are neither centred nor scaled."""
        xp = xp_of(self.x)
        weight = point[:, :-1] / self.scale
        bias = point[:, -1] - weight @ self.mean
        return xp.asarray(weight, dtype=self.x.dtype), xp.asarray(bias, dtype=self.x.dtype)

    @record_function("classifier, gradient")
    def value_and_gradient(self, point: Point, l2: float) -> tuple[float, Point]:
        """Return the objective and its gradient (k, D + 1)."""
        weight, bias = self.linear(point)
        d = self.x.shape[1]
        xp = xp_of(self.x)

        def add(rows: slice, total: NDArray[Any]) -> None:
            x = self.x[rows]
            value, slopes = self._loss(scores_of(x, weight) + bias, rows)
            total[0, -1] += value
            total[1:, :d] += slopes.T @ x
            total[1:, d] += slopes.sum(axis=0, dtype="float64")

        blocks = blocks_of(self.x, len(self.x))
        sums = sum_over(self.x, add, blocks, lambda: xp.zeros((1 + self.k, d + 1)))
        total = to_numpy(sums) / self.n
        value = float(total[0, -1])
        gradient = total[1:]
        weights = gradient[:, :-1]
        gradient[:, :-1] = (weights - np.outer(gradient[:, -1], self.mean)) / self.scale
        gradient[:, :-1] += l2 * point[:, :-1]
        return value + 0.5 * l2 * float((point[:, :-1] ** 2).sum()), gradient

    def _loss(self, scores: NDArray[Any], rows: slice) -> tuple[Any, NDArray[Any]]:
        """Return the sum of a block's losses and its gradient (rows, k) in the scores."""
        labels = self.labels[rows]
        if self.included is None:
            return _loss_and_slopes(self.loss, scores, labels)
        included = self.included[rows]
        slopes = xp_of(scores).zeros_like(scores)
        value: Any = 0.0
        if bool(included.any()):
            value, slopes[included] = _loss_and_slopes(
                self.loss, scores[included], labels[included]
            )
        return value, slopes

    @record_function("classifier, L-BFGS")
    def minimise(self, l2: float, start: Point, iterations: int, root: Root) -> Point:
        """Return the point that L-BFGS reaches from `start`."""
        from scipy.optimize import minimize

        def to_point(v: Point) -> Point:
            point = v.reshape(start.shape).copy()
            point[:, :-1] = root.solve(point[:, :-1])
            return point

        def function(v: Point) -> tuple[float, Point]:
            value, gradient = self.value_and_gradient(to_point(v), l2)
            gradient[:, :-1] = root.solve_transposed(gradient[:, :-1])
            return value, gradient.reshape(-1)

        v = start.copy()
        v[:, :-1] = root.times(start[:, :-1])
        # Below the rounding of products in the features' dtype a line search would not
        # find a descent.
        tolerance = max(_MIN_GAIN, float(np.finfo(self.x.dtype).eps))
        options = {"maxiter": iterations, "ftol": tolerance}
        result = minimize(function, v.reshape(-1), jac=True, method="L-BFGS-B", options=options)
        return to_point(result.x)


def _loss_and_slopes(
    loss: Callable[[Array, Array], Array],
    scores: NDArray[Any],
    labels: NDArray[Any],
) -> tuple[Any, NDArray[Any]]:
    """Return the sum over examples of a loss that is a mean, and its gradient in the scores."""
    leaf = Tensor.leaf(scores)
    mean: Any = loss(leaf, labels)
    gradient: Any = grad(mean, leaf)[0]
    return mean.data.astype("float64") * len(scores), gradient.data * len(scores)


@record_function("classifier, other")
@plain_arguments
def fit_linear(
    features: NDArray[Any],
    labels: NDArray[Any],
    n_classes: int,
    *,
    loss: Loss = "cross_entropy",
    l2: float | None = None,
    iterations: int = 30,
    groups: NDArray[Any] | None = None,
    rng: Generator | int | None = None,
    report: Callable[[float, HeldOut], None] = lambda l2, result: None,
) -> LinearFit:
    """Fit a linear classifier.

    Parameters
    ----------
    features : array
        (n, D), floating; in memory or in a file (numpy.memmap), which is read in blocks.
    labels : array
        Integers (n,), 0 .. n_classes - 1.
    n_classes : int
        k. Classes without examples never have the largest score, and cost nothing but
        their rows of the result.
    loss : "cross_entropy" or "squared_hinge", default "cross_entropy"
        Multinomial logistic, or one against the rest.
    l2 : float or None, default None
        Regularisation, for features of mean squared norm 1. None: the value with the
        lowest error on held-out examples (a tenth, of small sets up to a fifth), see
        `linear/l2_search.py`; 1e-4 with fewer than ten examples.
    iterations : int, default 30
        Maximum number of L-BFGS iterations of the final fit; half as many for each l2
        tried, starting from the solution for another.
    groups : array or None, default None
        (n,) on the host: examples of one group are held out together.
    rng : Generator, int or None, default None
        Generator or seed of the choice of held-out examples. None: the package's
        generator, see `manual_seed`.
    report : callable, optional
        Called as report(l2, result) with each l2 tried and its held-out results.

    Raises
    ------
    DataError
        If there are no examples, lengths differ, or features are not finite.
    ConfigError
        If the loss is unknown, l2 is not a number >= 0, or iterations is not an integer
        >= 1.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [4.0], [5.0]])
    >>> fit = fit_linear(x, np.array([0, 0, 1, 1]), 2, l2=1e-3)
    >>> (x @ fit.weight.T + fit.bias).argmax(axis=1)
    array([0, 0, 1, 1])
    """
    check_objective(loss, l2)
    checks.integers("fit_linear", iterations=iterations)
    if features.ndim != 2 or not len(features) or len(features) != len(labels):
        raise DataError(
            "fit_linear: expected features (n, D), n >= 1, and n labels, "
            f"got {features.shape}, {len(labels)}"
        )
    present, labels = _present(labels, n_classes)
    results: dict[float, HeldOut] = {}
    temperature = 1.0 if loss == "cross_entropy" else None
    with small_matrices():
        moments = Moments.of(features)
        problem = _Problem(features, labels, len(present), loss, moments)
        preconditioner = Preconditioner(features, moments)
        start = np.zeros((len(present), features.shape[1] + 1))
        if l2 is None and len(features) < _MIN_SPLIT:
            l2 = DEFAULT_L2
        elif l2 is None:
            chosen = held_out_indices(len(features), default_rng(rng), groups)
            search = _L2Search(problem, preconditioner, chosen, iterations)
            l2, start, results = choose_l2(search.solve, search.measure, start, report)
            if temperature is None:
                temperature = search.temperature(start)
        root = preconditioner.root(l2)
        weight, bias = problem.linear(problem.minimise(l2, start, iterations, root))
    weight, bias = _all_classes(present, n_classes, weight, bias)
    return LinearFit(weight, bias, l2, problem.scale, results, temperature)


class _L2Search:
    """Solutions on all but the held-out examples, with their results on those."""

    def __init__(
        self,
        problem: _Problem,
        preconditioner: Preconditioner,
        held_out: NDArray[np.intp],
        iterations: int,
    ) -> None:
        self.held_out = xp_of(problem.x).asarray(held_out)
        self.rest = problem.without(self.held_out)
        self.preconditioner = preconditioner
        self.iterations = max(1, iterations // 2)

    def solve(self, l2: float, start: Point) -> Point:
        """Return the solution for an l2, starting from another."""
        root = self.preconditioner.root(l2)
        return self.rest.minimise(l2, start, self.iterations, root)

    def measure(self, point: Point) -> HeldOut:
        """Return error rate and loss of a solution on the held-out examples."""
        features, labels = self.rest.x, self.rest.labels
        weight, bias = self.rest.linear(point)
        loss = self.rest.loss
        n = len(self.held_out)
        xp = xp_of(features)

        def add(rows: slice, total: NDArray[Any]) -> None:
            chosen = self.held_out[rows]
            y = labels[chosen]
            scores = scores_of(features[chosen], weight) + bias
            total[0] += (scores.argmax(axis=1) != y).sum()
            total[1] += loss(scores, y).astype("float64") * len(y)

        sums = sum_over(features, add, blocks_of(features, n), lambda: xp.zeros(2))
        errors, losses = to_numpy(sums) / n
        return HeldOut(float(errors), float(losses))

    def temperature(self, point: Point) -> float:
        """Return the temperature of a solution's scores on the held-out examples."""
        features = self.rest.x
        weight, bias = self.rest.linear(point)
        scores = [
            to_numpy(scores_of(features[self.held_out[rows]], weight) + bias)
            for rows in blocks_of(features, len(self.held_out))
        ]
        return fit_temperature(np.concatenate(scores), self.rest.labels[self.held_out])


def _present(labels: NDArray[Any], n_classes: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the classes that occur, ascending, and labels as indices into them.

    Costs then do not grow with classes that do not occur. Labels that are not classes are
    returned unchanged, with all classes, for the loss to refuse.
    """
    present = np.unique(to_numpy(labels))
    if len(present) == n_classes or present[0] < 0 or present[-1] >= n_classes:
        return np.arange(n_classes), labels
    return present, xp_of(labels).asarray(np.searchsorted(present, to_numpy(labels)))


def _all_classes(
    present: NDArray[Any], n_classes: int, weight: NDArray[Any], bias: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return weight (n_classes, D) and bias (n_classes,) from those of the present classes.

    Other classes score below the mean of the present ones, so they are never predicted.
    Their loss would fall further with the distance; at its minimum the bias would be
    unbounded.
    """
    if len(present) == n_classes:
        return weight, bias
    xp = xp_of(weight)
    rows = xp.asarray(present)
    weights = xp.empty((n_classes, weight.shape[1]), dtype=weight.dtype)
    weights[...] = weight.mean(axis=0)
    biases = xp.empty(n_classes, dtype=bias.dtype)
    biases[...] = bias.mean() - _BELOW
    weights[rows] = weight
    biases[rows] = bias
    return weights, biases


def check_objective(loss: str, l2: float | None) -> None:
    """Raise a ConfigError if the loss is unknown or l2 is not a number >= 0."""
    checks.one_of("fit_linear", LOSSES, loss=loss)
    if l2 is not None and not (is_finite(l2) and l2 >= 0):
        raise ConfigError(f"fit_linear: argument l2 expected a number >= 0 or None, got {l2!r}")
