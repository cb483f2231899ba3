"""Solutions without held-out examples, in one or more folds, and their results on these."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_ckn.backend import NDArray, to_numpy, xp_of
from tinygrad_ckn.block_sums import blocks_of, scores_of, sum_over
from tinygrad_ckn.models.linear.calibration import USUAL, fit_temperature
from tinygrad_ckn.models.linear.l2_search import HeldOut
from tinygrad_ckn.models.linear.preconditioner import Preconditioner
from tinygrad_ckn.models.linear.problem import Point, Problem


class Folds:
    """The problems that remain when each part of the examples is held out.

    Parameters
    ----------
    problem : Problem
        Of all examples.
    preconditioner : Preconditioner
        Of all examples, too.
    parts : list of arrays
        Indices of the examples that each fold holds out, on the host.
    iterations : int
        Maximum number of L-BFGS iterations of each solution.
    """

    def __init__(
        self,
        problem: Problem,
        preconditioner: Preconditioner,
        parts: list[NDArray[np.intp]],
        iterations: int,
    ) -> None:
        self.problem = problem
        self.preconditioner = preconditioner
        self.parts = [xp_of(problem.x).asarray(part) for part in parts]
        self.rests = [problem.without(part) for part in self.parts]
        self.iterations = iterations

    def zeros(self) -> list[Point]:
        """Return a point of zeros for each fold."""
        shape = self.problem.k, self.problem.x.shape[1] + 1
        return [np.zeros(shape) for _ in self.parts]

    def solve(self, l2: float, starts: list[Point]) -> list[Point]:
        """Return the solution of each fold for an l2, from those for another."""
        root = self.preconditioner.root(l2)
        return [
            rest.minimise(l2, start, self.iterations, root)
            for rest, start in zip(self.rests, starts, strict=True)
        ]

    def measure(self, points: list[Point]) -> HeldOut:
        """Return error rate and loss of the solutions on the examples that they have not seen."""
        sums = np.zeros(3)
        for rest, part, point in zip(self.rests, self.parts, points, strict=True):
            sums += self._sums(rest, part, point)
        errors, losses = sums[:2] / sums[2]
        return HeldOut(float(errors), float(losses))

    def _sums(self, rest: Problem, part: NDArray[Any], point: Point) -> NDArray[np.float64]:
        """Return weighted sums over held-out examples: of errors, of losses and of 1."""
        weight, bias = rest.linear(point)
        weights = self.problem.weights

        def add(rows: slice, total: NDArray[Any]) -> None:
            chosen = part[rows]
            y = rest.labels[chosen]
            scores = scores_of(rest.x[chosen], weight) + bias
            wrong = scores.argmax(axis=1) != y
            if weights is None:
                total[0] += wrong.sum()
                total[1] += rest.loss(scores, y).astype("float64") * len(y)
                total[2] += len(y)
            else:
                w = weights[chosen]
                total[0] += w @ wrong
                total[1] += rest.loss(scores, y, w).astype("float64") * w.sum()
                total[2] += w.sum()

        blocks = blocks_of(rest.x, len(part))
        return to_numpy(sum_over(rest.x, add, blocks, lambda: xp_of(rest.x).zeros(3)))

    def temperature(self, points: list[Point]) -> float:
        """Return the temperature of the scores of held-out examples; 1 without any."""
        if not self.parts:
            return 1.0
        scores = [
            rest.scores_at(point, part)
            for rest, part, point in zip(self.rests, self.parts, points, strict=True)
        ]
        every = np.concatenate([to_numpy(part) for part in self.parts])
        weights = self.problem.weights
        return fit_temperature(
            np.concatenate(scores),
            to_numpy(self.problem.labels)[every],
            None if weights is None else to_numpy(weights)[every],
            usual=USUAL[self.problem.loss_name],
        )
