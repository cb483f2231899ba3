"""A linear classifier on given features, fitted by preconditioned L-BFGS.

n examples, D features, k classes, X (n, D) centred and scaled to mean squared norm 1.
Minimises (1/n) sum L(y_i, W x_i + b) + l2/2 |W|^2 over W and b (Mairal 2016); with
weights w_i the mean is sum w_i L_i / sum w_i, and so are those of X. Plain L-BFGS is slow
on CKN features, whose covariance is badly conditioned. In V = W R^T with R^T R = X^T X /
n + 2 l2 I (`preconditioner.py`) the problem is well conditioned, because the Hessian of
the loss is at most a multiple of X^T X / n.

Features are read in blocks of examples, once for each value and gradient: they may lie in
a file (numpy.memmap). Products are in the features' dtype, sums over blocks in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Generator, NDArray, default_rng, to_numpy, xp_of
from tinygrad_ckn.block_sums import small_matrices
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.models.linear.examples import MIN_SPLIT, Examples
from tinygrad_ckn.models.linear.folds import Folds
from tinygrad_ckn.models.linear.l2_search import HeldOut, choose_l2, choose_l2_by_loss
from tinygrad_ckn.models.linear.moments import Moments
from tinygrad_ckn.models.linear.preconditioner import Preconditioner
from tinygrad_ckn.models.linear.problem import LOSSES, Loss, Point, Problem
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.profiling import record_function
from tinygrad_ckn.windows import is_finite

# The l2 for fewer examples than can be split.
DEFAULT_L2 = 1e-4
# The score of a class without examples lies this far below the mean score.
_BELOW = 16.0


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
        Probabilities are the softmax of scores / temperature; None: this fit was not
        calibrated, or is one of ridge regression.
    """

    weight: NDArray[Any]
    bias: NDArray[Any]
    l2: float
    scale: float
    held_out: dict[float, Any] = field(default_factory=dict)
    temperature: float | None = None


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
    sample_weight: NDArray[Any] | None = None,
    calibrate: bool = True,
    calibration: NDArray[np.intp] | None = None,
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
        `linear/l2_search.py`; 1e-4 with fewer than ten examples. With weights every
        example is held out once, in five folds with the same shares of each class, if
        there are at most 20,000: of a class of eight a fifth would tell nothing.
    iterations : int, default 30
        Maximum number of L-BFGS iterations of the final fit; half as many for each l2
        tried, starting from the solution for another.
    sample_weight : array or None, default None
        Numbers (n,) >= 0, not all 0: an example of weight 2 counts as two, one of weight
        0 not at all, in the fit, in the held-out error and in the calibration. None: all
        count the same.
    calibrate : bool, default True
        Whether to fit a temperature (`linear/calibration.py`) to scores of held-out
        examples. If l2 is given, this takes another fit, without them.
    calibration : array or None, default None
        Indices of the examples to calibrate on, by another fit without them; for
        features that were learned from the other examples. None: those held out for the
        choice of l2, or as many.
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
        If there are no examples, lengths differ, or features or weights are not finite.
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
    _check_lengths(features, labels)
    examples = Examples(len(features), sample_weight, groups)
    present, labels = _present(labels, n_classes, examples.counted)
    generator = default_rng(rng)
    with small_matrices():
        problem, preconditioner = _prepare(features, labels, len(present), loss, examples)
        search = _Search(DEFAULT_L2 if l2 is None else l2)
        if l2 is None and examples.n >= MIN_SPLIT:
            parts = examples.held_out_parts(to_numpy(labels), generator)
            folds = Folds(problem, preconditioner, parts, max(1, iterations // 2))
            search = _Search(*_choose(folds, report), parts)
        start = search.start(len(present), features.shape[1])
        root = preconditioner.root(search.l2)
        weight, bias = problem.linear(problem.minimise(search.l2, start, iterations, root))
        temperature = None
        if calibrate:
            others = examples.parts_to_calibrate_on(calibration, search.parts, generator)
            folds = Folds(problem, preconditioner, others or search.parts, iterations)
            temperature = search.temperature(folds, others)
    weight, bias = _all_classes(present, n_classes, weight, bias)
    return LinearFit(weight, bias, search.l2, problem.scale, search.results, temperature)


def _prepare(
    features: NDArray[Any], labels: NDArray[Any], n_classes: int, loss: Loss, examples: Examples
) -> tuple[Problem, Preconditioner]:
    """Return the problem of all examples and its preconditioner."""
    weights = None if examples.weights is None else xp_of(features).asarray(examples.weights)
    moments = Moments.of(features, weights)
    problem = Problem(features, labels, n_classes, loss, moments, weights=weights)
    return problem, Preconditioner(features, moments, weights)


def _choose(
    folds: Folds, report: Callable[[float, HeldOut], None]
) -> tuple[float, list[Point], dict[float, HeldOut]]:
    """Return the best l2 with the solutions of the folds, and the results of all tried."""
    choose = choose_l2 if folds.problem.weights is None else choose_l2_by_loss
    return choose(folds.solve, folds.measure, folds.zeros(), report)


@dataclass(frozen=True)
class _Search:
    """The l2 to use and, if it was searched for, the solutions of the folds and their results.

    `parts` are the indices that each fold held out.
    """

    l2: float
    points: list[Point] = field(default_factory=list)
    results: dict[float, HeldOut] = field(default_factory=dict)
    parts: list[NDArray[np.intp]] = field(default_factory=list)

    def start(self, n_classes: int, n_features: int) -> Point:
        """Return a point near the solution for all examples."""
        if not self.points:
            return np.zeros((n_classes, n_features + 1))
        return self.points[0] if len(self.points) == 1 else np.mean(self.points, axis=0)

    def temperature(self, folds: Folds, others: list[NDArray[np.intp]]) -> float:
        """Return the temperature on the examples held out by folds: `others` or of the search."""
        # The search ended with fits without its examples.
        return folds.temperature(folds.solve(self.l2, folds.zeros()) if others else self.points)


def _check_lengths(features: NDArray[Any], labels: NDArray[Any]) -> None:
    """Raise a DataError unless there are features (n, D), n >= 1, and n labels."""
    if features.ndim != 2 or not len(features) or len(features) != len(labels):
        raise DataError(
            "fit_linear: expected features (n, D), n >= 1, and n labels, "
            f"got {features.shape}, {len(labels)}"
        )


def _present(
    labels: NDArray[Any], n_classes: int, counted: NDArray[np.intp] | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the classes that occur, ascending, and labels as indices into them.

    Costs then do not grow with classes that do not occur. Labels that are not classes are
    returned unchanged, with all classes, for the loss to refuse. Those of examples that
    are not `counted` do not matter; None: all are.
    """
    host = to_numpy(labels)
    present = np.unique(host if counted is None else host[counted])
    if len(present) == n_classes or present[0] < 0 or present[-1] >= n_classes:
        return np.arange(n_classes), labels
    numbers = np.searchsorted(present, host).clip(max=len(present) - 1)
    return present, xp_of(labels).asarray(numbers)


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
