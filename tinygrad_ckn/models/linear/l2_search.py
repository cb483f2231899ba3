"""The choice of l2 for a linear classifier by results on held-out examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tinygrad_ckn.backend import Generator, NDArray
from tinygrad_ckn.groups import whole_groups

Solution = TypeVar("Solution")
# Values of k for l2 = 10^(-k/2), from 1e-2 to 1e-11.
SCALE = range(4, 23)
MIDDLE = 12
# The same for weighted examples, 1e-1 to 1e-11.
WEIGHTED_SCALE = range(2, 23, 2)
# The search for weighted examples ends after so many values that did not lower the loss by
# more than that.
_PATIENCE = 2
_MIN_GAIN = 1e-4


class HeldOut(NamedTuple):
    """Results of a classifier on held-out examples: error rate and mean loss."""

    error: float
    loss: float


def l2_at(k: int) -> float:
    """Return 10^(-k/2), rounded to two digits: 1e-6, 3.2e-7, 1e-7."""
    return float(f"{10 ** (-k / 2):.2g}")


def held_out_indices(
    n: int, rng: Generator, groups: NDArray[Any] | None = None
) -> NDArray[np.intp]:
    """Return the ascending indices of n examples to hold out at random.

    They are a tenth of the examples, of small sets up to a fifth. Examples of one group
    (n,) stay together.
    """
    held_out = np.zeros(n, "bool")
    held_out[rng.permutation(n)[: max(1, min(max(n // 10, 1000), n // 5))]] = True
    return np.flatnonzero(whole_groups(held_out, groups))


def choose_l2(
    solve: Callable[[float, Solution], Solution],
    measure: Callable[[Solution], HeldOut],
    start: Solution,
    on_l2_tried: Callable[[float, HeldOut], None],
) -> tuple[float, Solution, dict[float, HeldOut]]:
    """Find the l2 with the lowest held-out error (ties: loss).

    It climbs over decades from the middle of the scale, then over half decades, and finds
    the minimum of a function with one valley.

    Parameters
    ----------
    solve : callable
        solve(l2, start) returns the solution for an l2, starting from another solution.
    measure : callable
        Returns the results of a solution on the held-out examples.
    start
        Where the first solution starts.
    on_l2_tried : callable
        Called with each l2 tried and its results.

    Returns
    -------
    l2, solution, results
        The best l2, its solution, and the results for each l2 tried.
    """
    solutions: dict[int, Solution] = {}
    results: dict[int, HeldOut] = {}

    def evaluate(k: int, initial: Solution) -> None:
        solutions[k] = solve(l2_at(k), initial)
        results[k] = measure(solutions[k])
        on_l2_tried(l2_at(k), results[k])

    best = MIDDLE
    evaluate(best, start)
    for step in (2, 1):
        while True:
            for k in (best + step, best - step):
                if k in SCALE and k not in results:
                    evaluate(k, solutions[best])
            nearest = min(results, key=lambda k: (results[k], abs(k - best)))
            if nearest == best:
                break
            best = nearest
    return l2_at(best), solutions[best], {l2_at(k): results[k] for k in results}


def choose_l2_by_loss(
    solve: Callable[[float, Solution], Solution],
    measure: Callable[[Solution], HeldOut],
    start: Solution,
    on_l2_tried: Callable[[float, HeldOut], None],
) -> tuple[float, Solution, dict[float, HeldOut]]:
    """Find the l2 with the lowest held-out loss, for weighted examples.

    Where a few examples have most of the weight the error rate has only a few values; the
    loss tells more. It goes down from the strongest regularisation by decades until two
    values have not lowered the loss.

    Parameters and returns are those of `choose_l2`.
    """
    best = start
    chosen = l2_at(WEIGHTED_SCALE[0])
    results: dict[float, HeldOut] = {}
    solution = start
    since_best = 0
    for k in WEIGHTED_SCALE:
        l2 = l2_at(k)
        solution = solve(l2, solution)
        results[l2] = measure(solution)
        on_l2_tried(l2, results[l2])
        since_best += 1
        if len(results) == 1 or results[l2].loss < results[chosen].loss - _MIN_GAIN:
            chosen, best, since_best = l2, solution, 0
        if since_best == _PATIENCE:
            break
    return chosen, best, results
