"""Numeric derivatives at 0, each with an estimate of its uncertainty.

Steps are powers of two, each half the one before. Neville's scheme removes one power of
the step after another, and the entry that changes least is the estimate (Richardson's
extrapolation as Ridders and Numerical Recipes use it). Its uncertainty is that change
plus the effect of the function's noise, which is measured separately.

Sources: C. J. F. Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", Adv. Eng.
Software 4 (1982); Press et al., Numerical Recipes, 3rd edition, section 5.7 (the error
of an entry); J. J. More and S. M. Wild, "Estimating computational noise", SIAM J. Sci.
Comput. 33 (2011), for the noise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

EPS = 2.0**-52
QUICK_STEPS = (
    2.0**-11,
    2.0**-17,
)  # the first balances h^4 with EPS / h, the second avoids a kink that is near
# h^4 with EPS / h^2
QUICK_MIXED_STEPS = (2.0**-8, 2.0**-12)
# exponents of the steps tried if those leave it open
_LARGEST = 0
_SMALLEST = -44
# powers of the step in the error of a central difference
_CENTRAL = (2, 4, 6, 8, 10)
_ONE_SIDED = (1, 2, 3, 4, 5)
_LOOK_BEYOND = 512
_SPACINGS = (2.0**-25, 2.0**-11)
# standard deviations of noise
_SAFETY = 4.0


class Estimate(NamedTuple):
    """A derivative, its uncertainty, and its step in units of the data's scale."""

    value: float
    uncertainty: float
    step: float


class Settled(NamedTuple):
    """The best estimate, and those of all steps.

    `rough` means that estimates contradict each other, through a kink between their
    steps or rounding in steps wider than those that noise is measured with. Any of them
    may then be the right one.
    """

    best: Estimate
    all: tuple[Estimate, ...]
    rough: bool

    def allows(self, value: float, limit: float) -> bool:
        """Return whether a value may be the derivative by the best estimate, or any if rough."""
        off = math.fabs(value - self.best.value)
        if not off > limit + 10 * self.best.uncertainty:
            return True
        others = [e for e in self.all if e.uncertainty < 0.01 * off] if self.rough else []
        return any(math.fabs(value - e.value) <= limit + 3 * e.uncertainty for e in others)


class Sides(NamedTuple):
    """The derivative at 0: two-sided, from the left and from the right.

    `gap` is a jump of the function itself at 0, `largest` the largest value evaluated.
    """

    central: Settled
    left: Settled
    right: Settled
    gap: float
    largest: float

    @property
    def edge(self) -> bool:
        """Whether the function is not finite on one side of 0 at any step."""
        return not (self.left.all and self.right.all)

    @property
    def kink(self) -> float:
        """Difference of the one-sided slopes; 0 within the uncertainty."""
        left = self.left.best
        right = self.right.best
        difference = math.fabs(right.value - left.value)
        return 0.0 if difference <= 10 * (right.uncertainty + left.uncertainty) else difference

    def meet(self, value: float, limit: float) -> bool:
        """Return whether a value may be the derivative, two-sided and on either side."""
        return all(side.allows(value, limit) for side in (self.central, self.left, self.right))


_NOTHING = Estimate(math.nan, math.inf, math.nan)


class _Neville:
    """A tableau of extrapolated values; `best` is the entry that changes least.

    The noise of a value is `noise` / step^order.
    """

    def __init__(self, powers: Sequence[int], noise: float, order: int = 1) -> None:
        self.factors = [2.0**p - 1 for p in powers]
        self.noise = noise
        self.order = order
        self.row: list[float] = []
        self.best = _NOTHING
        # the best entry of each row, with its uncertainty before noise
        self.entries: list[Estimate] = []

    def add(self, value: float, step: float) -> None:
        """Add the difference quotient of a step; one that is not finite resets the tableau."""
        if not math.isfinite(value):
            self.row = []
            return
        row = [value]
        entry = _NOTHING
        for before, factor in zip(self.row, self.factors, strict=False):
            change = (row[-1] - before) / factor
            row.append(row[-1] + change)
            error = max(math.fabs(change), math.fabs(row[-1] - before))
            if error < entry.uncertainty:
                entry = Estimate(row[-1], error, step)
        self.row = row
        if entry is not _NOTHING:
            self.entries.append(entry)
            noisy = self._with(entry, _SAFETY * self.noise)
            if noisy.uncertainty < self.best.uncertainty:
                self.best = noisy

    @property
    def size(self) -> float:
        """Magnitude of the best and of the last entry."""
        return (
            max(math.fabs(self.best.value), math.fabs(self.entries[-1].value))
            if self.entries
            else 0.0
        )

    def finest(self, step: float, size: float) -> bool:
        """Return whether smaller steps are useless: noise above uncertainty and 1e-3 of size."""
        noise = _SAFETY * self.noise / step**self.order
        return (
            noise > max(self.best.uncertainty, 1e-3 * size) and step < self.best.step / _LOOK_BEYOND
        )

    def settled(self) -> Settled:
        """Return the estimates; the best is the least uncertain, noise of its step included."""
        best = _NOTHING
        for i, entry in enumerate(self.entries):
            later = self.entries[i + 1 :]
            seen = max(
                (math.fabs(e.value - entry.value) * e.step**self.order for e in later), default=0.0
            )
            noisy = self._with(entry, max(_SAFETY * self.noise, seen))
            if noisy.uncertainty < best.uncertainty:
                best = noisy
        every = tuple(self._with(e, _SAFETY * self.noise) for e in self.entries)
        rough = any(
            math.fabs(e.value - best.value) > 10 * (e.uncertainty + best.uncertainty) for e in every
        )
        return Settled(best, every, rough)

    def _with(self, entry: Estimate, noise: float) -> Estimate:
        return entry._replace(uncertainty=entry.uncertainty + noise / entry.step**self.order)


def quick(phi: Callable[[float], float], step: float) -> tuple[float, float]:
    """Return phi'(0) by two central differences, and the difference of one-sided slopes.

    phi(0) is 0. Both are extrapolated from the steps h and 2 h: the first is off by
    O(h^4), the second by O(h^3).
    """
    near = phi(step), phi(-step)
    far = phi(2 * step), phi(-2 * step)
    slope = (4 * (near[0] - near[1]) - 0.5 * (far[0] - far[1])) / (6 * step)
    kink = (2 * (near[0] + near[1]) - 0.5 * (far[0] + far[1])) / step
    return slope, kink


def settle(phi: Callable[[float], float], size: float) -> Sides:
    """Return phi'(0), with steps halved until rounding dominates; phi(0) is 0.

    Parameters
    ----------
    phi
        A function of one number; a value that is not finite is outside its domain.
    size
        Size of the values whose difference phi is: their rounding limits its accuracy.
    """
    noise = noise_of(phi, size)
    central = _Neville(_CENTRAL, noise)
    left = _Neville(_ONE_SIDED, noise)
    right = _Neville(_ONE_SIDED, noise)
    rises: list[tuple[float, float]] = []
    for h in _steps():
        above = phi(h)
        below = phi(-h)
        rises.append((below, above))
        central.add((above - below) / (2 * h), h)
        right.add(above / h, h)
        left.add(-below / h, h)
        size_of_slopes = max(t.size for t in (central, left, right))
        if all(t.finest(h, size_of_slopes) for t in (central, left, right)):
            break
    largest = max((math.fabs(y) for pair in rises for y in pair if math.isfinite(y)), default=0.0)
    return Sides(central.settled(), left.settled(), right.settled(), _gap(rises, noise), largest)


def _steps() -> Iterator[float]:
    return (2.0**k for k in range(_LARGEST, _SMALLEST, -1))


def _gap(rises: Sequence[tuple[float, float]], noise: float) -> float:
    """Return the jump of the function at 0: the rise that remains with a thousandth step."""
    if len(rises) < 12:
        return 0.0
    gaps = [
        math.fabs(small)
        for small, large in zip(rises[-1], rises[-11], strict=True)
        if math.fabs(small) > max(0.5 * math.fabs(large), 100 * noise)
    ]
    return max(gaps, default=0.0)


def noise_of(phi: Callable[[float], float], size: float) -> float:
    """Return the standard deviation of phi's noise near 0, by differences in tiny steps.

    It is at least half a unit in the last place of `size`. Rounding of intermediate
    values that are large a unit step away (1 - p with p near 1) may be too coarse for
    tiny steps to detect: wider spacings detect it, and it counts as far as such values
    explain it.
    """
    away = [phi(s * h) for h in (1.0, 0.5, 0.25, 0.125) for s in (1, -1)]
    widest = max((math.fabs(y) for y in away if math.isfinite(y)), default=0.0)
    noise = max(0.5 * EPS * size, *_deviations(phi, 2.0**-40, (3, 4, 5)))
    for spacing in _SPACINGS:
        third, _, fifth = _deviations(phi, spacing, (3, 4, 5))
        # for a smooth function it is far smaller
        if fifth > third / 8:
            noise = max(noise, min(fifth, 0.5 * EPS * widest))
    return noise


def _deviations(
    phi: Callable[[float], float], spacing: float, orders: Sequence[int]
) -> list[float]:
    """Return the noise estimated by differences of each order, of the noisier side.

    The two sides are separate, since a kink or a jump at 0 is not noise.
    """
    sides = [[phi(s * i * spacing) for i in range(1, 7)] for s in (1, -1)]
    deviations = []
    for order in range(1, max(orders) + 1):
        sides = [[b - a for a, b in itertools.pairwise(line)] for line in sides]
        if order in orders:
            gamma = math.factorial(order) ** 2 / math.factorial(2 * order)
            sizes = [
                math.hypot(*filter(math.isfinite, line)) / math.sqrt(len(line)) for line in sides
            ]
            deviations.append(math.sqrt(gamma) * max(sizes))
    return deviations


def quick_mixed(phi: Callable[[float, float], float], step: float) -> float:
    """Return d^2 phi / ds dt at 0 by two differences, off by O(h^4)."""
    return (4 * _mixed(phi, step) - _mixed(phi, 2 * step)) / 3


def settle_mixed(phi: Callable[[float, float], float], noise: float) -> Settled:
    """Return d^2 phi / ds dt at 0, with steps halved until rounding dominates."""
    tableau = _Neville(_CENTRAL, 0.5 * noise, order=2)
    for h in _steps():
        tableau.add(_mixed(phi, h), h)
        if tableau.finest(h, tableau.size):
            break
    return tableau.settled()


def _mixed(phi: Callable[[float, float], float], h: float) -> float:
    return (phi(h, h) - phi(h, -h) - phi(-h, h) + phi(-h, -h)) / (4 * h * h)
