"""Derivatives by finite differences that choose their own step, in float64.

phi is a function of the step(s) along given directions. A fourth-order stencil is evaluated on a ladder of steps, and
the two neighbours that agree best give the estimate; their difference says how far it can be trusted. At a kink no
two steps agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

STEPS = (1e-2, 2e-3, 4e-4, 8e-5)
_STENCIL = {-2: 1 / 12, -1: -8 / 12, 1: 8 / 12, 2: -1 / 12}  # first derivative, error O(h^4)


class Estimate(NamedTuple):
    """A derivative, how far it can be trusted, the step (relative to the data's scale) it was taken with.

    `size` is the largest value of phi on the way, to which rounding is relative.
    """

    value: float
    uncertainty: float
    step: float
    size: float


def derivative(phi: Callable[[float], float]) -> Estimate:
    """Return d phi / ds at 0."""
    return _settle(lambda h: [(c, phi(i * h)) for i, c in _STENCIL.items()], order=1)


def has_kink(phi: Callable[[float], float]) -> bool:
    """Tell whether the slopes on the two sides of 0 differ: their difference then does not shrink with the step."""
    middle, ends = phi(0.0), [(h, phi(-h), phi(h)) for h in STEPS[2:]]
    wide, narrow = (math.fabs(left - 2 * middle + right) / h for h, left, right in ends)
    slope = max(math.fabs(right - left) / h for h, left, right in ends)
    return narrow > 0.5 * wide and narrow > 1e-6 * max(slope, math.fabs(middle))


def mixed_derivative(phi: Callable[[float, float], float]) -> Estimate:
    """Return d^2 phi / ds dt at 0."""
    return _settle(
        lambda h: [(a * b, phi(i * h, j * h)) for i, a in _STENCIL.items() for j, b in _STENCIL.items()], order=2
    )


def _settle(terms: Callable[[float], list[tuple[float, float]]], order: int) -> Estimate:
    """Return the estimate of sum(weight * value) / step^order that changes least from one step to the next."""
    ladder = [terms(h) for h in STEPS]
    values = [math.fsum(c * v for c, v in line) / h**order for line, h in zip(ladder, STEPS, strict=True)]
    size = max((math.fabs(v) for line in ladder for _, v in line if math.isfinite(v)), default=0.0)
    best = Estimate(values[-1], math.inf, STEPS[-1], size)
    for before, after, step in zip(values, values[1:], STEPS[1:], strict=False):
        if math.fabs(after - before) < best.uncertainty:
            best = Estimate(after, math.fabs(after - before), step, size)
    return best
