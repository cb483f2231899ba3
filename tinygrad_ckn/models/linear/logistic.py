"""A linear classifier on given features, by preconditioned L-BFGS.

n examples, D features, k classes, X (n, D) centred and scaled to mean squared norm 1.
Minimises (1/n) sum L(y_i, W x_i + b) + l2/2 |W|^2 over W and b (Mairal 2016). Plain
L-BFGS is slow on CKN features, whose covariance is badly conditioned; in V = W R^T with
R^T R = X^T X / n + 2 l2 I (`preconditioning.py`) the problem is nearly round, for the
Hessian of the loss is at most a multiple of X^T X / n.

Features are read in blocks of examples, each once for a value and its gradient: they
may lie in a file (numpy.memmap). Products are in the features' dtype, sums over blocks
in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tinygrad_ckn import ops
from tinygrad_ckn.backend import CPU, Generator, default_rng, is_whole, to_numpy, xp_of
from tinygrad_ckn.backward import grad
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.block_sums import blocks_of, scores_of, small_matrices, sum_over
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.models.linear.calibration import fit_temperature
from tinygrad_ckn.models.linear.l2_search import HeldOut, choose_l2, held_out_indices
from tinygrad_ckn.models.linear.moments import Moments
from tinygrad_ckn.models.linear.preconditioner import Preconditioner, Root
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.profiling import record_function
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import is_finite

LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "cross_entropy": ops.cross_entropy,
    "squared_hinge": ops.squared_hinge,
}
# the l2 for fewer examples than can be divided
FEW_L2 = 1e-4
# of an iteration, relative to the objective
_LEAST_GAIN = 2.2e-9
# examples from which some can be held out
_LEAST = 10
# of the mean score: where the score of a class without examples lies
_BELOW = 16.0


@dataclass
class LinearFit:
    """Scores are x @ weight.T + bias: weight (k, D), bias (k,).

    `l2` is the one used, `scale` the root mean squared norm of the centred features, by
    which they were divided, and `held_out` what was measured on the part held out for
    each l2 tried: a HeldOut, of ridge regression the loss. The softmax of scores /
    `temperature` are probabilities; None: of this fit they are not.
    """

    weight: Any
    bias: Any
    l2: float
    scale: float
    held_out: dict[float, Any] = field(default_factory=dict)
    temperature: float | None = None


class _Problem:
    """The objective on given data, but for the examples aside; a point is [W | b] (k, D + 1) in float64 on the host."""

    def __init__(
        self,
        features: Any,
        labels: Any,
        n_classes: int,
        loss: str,
        moments: Moments,
        kept: Any = None,
    ):
        self.x, self.labels, self.k, self.kept = features, labels, n_classes, kept
        self.loss, self.n, self.mean = LOSSES[loss], moments.n, moments.mean
        self.scale = moments.scale

    def linear(self, point: Any) -> tuple[Any, Any]:
        """Return weight and bias on features as they are, neither centred nor scaled."""
        xp = xp_of(self.x)
        weight = point[:, :-1] / self.scale
        return xp.asarray(weight, dtype=self.x.dtype), xp.asarray(
            point[:, -1] - weight @ self.mean, dtype=self.x.dtype
        )

    @record_function("classifier, gradient")
    def value_and_gradient(self, point: Any, l2: float) -> tuple[float, Any]:
        """Return the objective and its gradient (k, D + 1)."""
        weight, bias = self.linear(point)
        d = self.x.shape[1]

        def add(rows: slice, total: Any) -> None:
            x = self.x[rows]
            value, slopes = self._loss(scores_of(x, weight) + bias, rows)
            total[0, -1] += value
            total[1:, :d] += slopes.T @ x
            total[1:, d] += slopes.sum(axis=0, dtype="float64")

        blocks, xp = blocks_of(self.x, len(self.x)), xp_of(self.x)
        total = (
            to_numpy(sum_over(self.x, add, blocks, lambda: xp.zeros((1 + self.k, d + 1)))) / self.n
        )
        value, gradient = float(total[0, -1]), total[1:]
        gradient[:, :-1] = (
            gradient[:, :-1] - CPU.xp.outer(gradient[:, -1], self.mean)
        ) / self.scale
        gradient[:, :-1] += l2 * point[:, :-1]
        return value + 0.5 * l2 * float((point[:, :-1] ** 2).sum()), gradient

    def _loss(self, scores: Any, rows: slice) -> tuple[Any, Any]:
        """Return the sum of a block's losses and its gradient (rows, k) in the scores; those aside have none."""
        labels = self.labels[rows]
        if self.kept is None:
            return _loss_and_slopes(self.loss, scores, labels)
        kept = self.kept[rows]
        slopes = xp_of(scores).zeros_like(scores)
        value: Any = 0.0
        if bool(kept.any()):
            value, slopes[kept] = _loss_and_slopes(self.loss, scores[kept], labels[kept])
        return value, slopes

    @record_function("classifier, L-BFGS")
    def minimise(self, l2: float, start: Any, iterations: int, root: Root) -> Any:
        """Return the point that L-BFGS reaches from `start`."""
        from scipy.optimize import minimize

        def point_of(v: Any) -> Any:
            point = v.reshape(start.shape).copy()
            point[:, :-1] = root.solve(point[:, :-1])
            return point

        def function(v: Any) -> tuple[float, Any]:
            value, gradient = self.value_and_gradient(point_of(v), l2)
            gradient[:, :-1] = root.solve_transposed(gradient[:, :-1])
            return value, gradient.reshape(-1)

        v = start.copy()
        v[:, :-1] = root.times(start[:, :-1])
        # Beyond the rounding of products in the features' dtype a line search would
        # look for what is not there.
        options = {
            "maxiter": iterations,
            "ftol": max(_LEAST_GAIN, float(CPU.xp.finfo(self.x.dtype).eps)),
        }
        found = minimize(function, v.reshape(-1), jac=True, method="L-BFGS-B", options=options)
        return point_of(found.x)


def _loss_and_slopes(loss: Callable[[Any, Any], Any], scores: Any, labels: Any) -> tuple[Any, Any]:
    """Return the sum over examples of a loss that is a mean, and its gradient in the scores."""
    leaf = Tensor.leaf(scores)
    mean = loss(leaf, labels)
    (slope,) = grad(mean, leaf)
    return mean.data.astype("float64") * len(scores), unwrap(slope) * len(scores)


@record_function("classifier, other")
@plain_arguments
def fit_linear(
    features: Any,
    labels: Any,
    n_classes: int,
    *,
    loss: str = "cross_entropy",
    l2: float | None = None,
    iterations: int = 30,
    groups: Any = None,
    rng: Generator | int | None = None,
    report: Callable[[float, HeldOut], None] = lambda l2, held_out: None,
) -> LinearFit:
    """Fit a linear classifier.

    Parameters
    ----------
    features
        (n, D), floating; in memory or in a file (numpy.memmap), which is read in blocks.
    labels
        Integers (n,), 0 .. n_classes - 1.
    n_classes
        k. Those of which there is no example never score most, and cost nothing but
        their rows of the result.
    loss
        "cross_entropy" (multinomial logistic) or "squared_hinge" (one against the rest).
    l2
        Regularisation, for features of mean squared norm 1; None: the one with the
        fewest mistakes on a part held out (a tenth, of small sets up to a fifth), see
        `models.selection`; 1e-4 with fewer than ten examples.
    iterations
        Of L-BFGS, for the final fit; half as many for each l2 tried, begun at the
        solution for another.
    rng
        Generator or seed of the part held out; None: the package's, see `manual_seed`.
    report
        Called with each l2 tried and what was measured on the part held out.

    Raises
    ------
    DataError
        If there are no examples, or lengths differ, or features are not finite.
    ConfigError
        If the loss is unknown, l2 is no number >= 0, or iterations is not an integer >= 1.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [4.0], [5.0]])
    >>> fit = fit_linear(x, np.array([0, 0, 1, 1]), 2, l2=1e-3)
    >>> (x @ fit.weight.T + fit.bias).argmax(axis=1)
    array([0, 0, 1, 1])
    """
    check_objective(loss, l2)
    if not is_whole(iterations, 1):
        raise ConfigError(
            f"fit_linear: argument iterations expected an integer >= 1, got {iterations!r}"
        )
    if features.ndim != 2 or not len(features) or len(features) != len(labels):
        raise DataError(
            f"fit_linear: expected features (n, D), n >= 1, and n labels, got {features.shape}, {len(labels)}"
        )
    present, labels = _present(labels, n_classes)
    with small_matrices():
        moments = Moments.of(features)
        problem = _Problem(features, labels, len(present), loss, moments)
        preconditioner = Preconditioner(features, moments)
        start = CPU.xp.zeros((len(present), features.shape[1] + 1))
        held_out: dict[float, HeldOut] = {}
        temperature = 1.0 if loss == "cross_entropy" else None
        if l2 is None and len(features) < _LEAST:
            l2 = FEW_L2
        elif l2 is None:
            xp = xp_of(features)
            aside = xp.asarray(held_out_indices(len(features), default_rng(rng), groups))
            kept = xp.ones(len(features), "bool")
            kept[aside] = False
            others = _Problem(
                features, labels, len(present), loss, moments.without(features, aside), kept
            )
            l2, start, held_out = choose_l2(
                lambda l2, begin: others.minimise(
                    l2, begin, max(1, iterations // 2), preconditioner.root(l2)
                ),
                lambda point: _held_out(features, labels, aside, loss, *others.linear(point)),
                start,
                report,
            )
            if temperature is None:
                temperature = _temperature(features, labels, aside, *others.linear(start))
        weight, bias = problem.linear(
            problem.minimise(l2, start, iterations, preconditioner.root(l2))
        )
    return LinearFit(
        *_among(present, n_classes, weight, bias), l2, problem.scale, held_out, temperature
    )


def _present(labels: Any, n_classes: int) -> tuple[Any, Any]:
    """Return the classes that occur, ascending, and labels as their numbers: what it takes does not grow with others.

    Labels that are no classes stay, with all classes, for the loss to refuse.
    """
    found = CPU.xp.unique(to_numpy(labels))
    if len(found) == n_classes or found[0] < 0 or found[-1] >= n_classes:
        return CPU.xp.arange(n_classes), labels
    return found, xp_of(labels).asarray(CPU.xp.searchsorted(found, to_numpy(labels)))


def _among(present: Any, n_classes: int, weight: Any, bias: Any) -> tuple[Any, Any]:
    """Return weight (n_classes, D) and bias of all classes: those without examples score below the mean, so never most.

    The more below, the less is their loss; where it is least the bias would have no bound.
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
    """Raise a ConfigError if the loss is unknown or l2 is no number >= 0."""
    if loss not in LOSSES:
        raise ConfigError(
            f"fit_linear: argument loss expected one of {', '.join(LOSSES)}, got {loss!r}"
        )
    if l2 is not None and not (is_finite(l2) and l2 >= 0):
        raise ConfigError(f"fit_linear: argument l2 expected a number >= 0 or None, got {l2!r}")


def _temperature(features: Any, labels: Any, chosen: Any, weight: Any, bias: Any) -> float:
    """Return the temperature of a classifier's scores on the examples of which the numbers are given."""
    blocks = blocks_of(features, len(chosen))
    scores = [to_numpy(scores_of(features[chosen[rows]], weight) + bias) for rows in blocks]
    return fit_temperature(CPU.xp.concatenate(scores), labels[chosen])


def _held_out(
    features: Any, labels: Any, chosen: Any, loss: str, weight: Any, bias: Any
) -> HeldOut:
    """Return what a classifier does on the examples of which the numbers are given."""

    def add(rows: slice, total: Any) -> None:
        x, y = features[chosen[rows]], labels[chosen[rows]]
        scores = scores_of(x, weight) + bias
        total[0] += (scores.argmax(axis=1) != y).sum()
        total[1] += LOSSES[loss](scores, y).astype("float64") * len(y)

    blocks, xp = blocks_of(features, len(chosen)), xp_of(features)
    mistakes, losses = to_numpy(sum_over(features, add, blocks, lambda: xp.zeros(2))) / len(chosen)
    return HeldOut(float(mistakes), float(losses))
