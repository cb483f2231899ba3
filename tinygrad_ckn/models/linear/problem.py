"""The objective of a linear classifier, its gradient and its minimum by L-BFGS.

`logistic.py` says what is minimised and why in other variables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from tinygrad_ckn import ops
from tinygrad_ckn.backend import Array, NDArray, to_numpy, xp_of
from tinygrad_ckn.block_sums import blocks_of, scores_of, sum_over
from tinygrad_ckn.gradient import grad
from tinygrad_ckn.models.linear.moments import Moments
from tinygrad_ckn.models.linear.preconditioner import Root
from tinygrad_ckn.profiling import record_function
from tinygrad_ckn.tensor import Tensor

Loss = Literal["cross_entropy", "squared_hinge"]
LOSSES: dict[str, Callable[..., Array]] = {
    "cross_entropy": ops.cross_entropy,
    "squared_hinge": ops.squared_hinge,
}
# L-BFGS stops at a smaller gain per iteration, relative to the objective.
_MIN_GAIN = 2.2e-9
# [W | b] (k, D + 1), in float64 on the host.
Point = NDArray[np.float64]


class Problem:
    """The objective on given data, as a function of a point [W | b].

    `included` (n,) are booleans: False for held-out examples, which do not count. None:
    all count. `weights` (n,) are floats >= 0, on the device of the features; those of
    held-out examples are 0. None: all examples count the same.
    """

    def __init__(
        self,
        features: NDArray[Any],
        labels: NDArray[Any],
        n_classes: int,
        loss: Loss,
        moments: Moments,
        included: NDArray[Any] | None = None,
        weights: NDArray[Any] | None = None,
    ) -> None:
        self.x = features
        self.labels = labels
        self.k = n_classes
        self.included = included
        self.weights = weights
        self.loss_name: Loss = loss
        self.loss = LOSSES[loss]
        self.moments = moments
        self.n = moments.n
        self.mean = moments.mean
        self.scale = moments.scale

    def without(self, held_out: NDArray[Any]) -> Problem:
        """Return the problem of all examples except those with the given indices."""
        included = xp_of(self.x).ones(len(self.x), "bool")
        included[held_out] = False
        moments = self.moments.without(self.x, held_out, self.weights)
        weights = None if self.weights is None else self.weights * included
        return Problem(self.x, self.labels, self.k, self.loss_name, moments, included, weights)

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
        if self.weights is not None:
            included = self.weights[rows] > 0
        elif self.included is not None:
            included = self.included[rows]
        else:
            return _loss_and_slopes(self.loss, scores, labels, None)
        slopes = xp_of(scores).zeros_like(scores)
        value: Any = 0.0
        if bool(included.any()):
            weights = None if self.weights is None else self.weights[rows][included]
            value, slopes[included] = _loss_and_slopes(
                self.loss, scores[included], labels[included], weights
            )
        return value, slopes

    def scores_at(self, point: Point, chosen: NDArray[Any]) -> NDArray[Any]:
        """Return the scores (m, k), on the host, of the examples with the given indices."""
        weight, bias = self.linear(point)
        scores = [
            to_numpy(scores_of(self.x[chosen[rows]], weight) + bias)
            for rows in blocks_of(self.x, len(chosen))
        ]
        return np.concatenate(scores)

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
    loss: Callable[..., Array],
    scores: NDArray[Any],
    labels: NDArray[Any],
    weights: NDArray[Any] | None,
) -> tuple[Any, NDArray[Any]]:
    """Return the sum over examples of a loss that is a mean, and its gradient in the scores."""
    leaf = Tensor.leaf(scores)
    mean: Any = loss(leaf, labels, weights)
    gradient: Any = grad(mean, leaf)[0]
    total = len(scores) if weights is None else float(weights.sum())
    return mean.data.astype("float64") * total, gradient.data * total
