"""Verdicts on an analytic derivative: right, wrong, not differentiable, undecided."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeVar

from tinygrad_ckn.errors import GradientError, NotDifferentiableError, UndecidedError
from tinygrad_ckn.testing.estimates import EPS, QUICK_STEPS, Estimate, Settled, Sides, quick, settle
from tinygrad_ckn.testing.problem import quietly

TOLERANCE = {1: 1e-7, 2: 1e-6}
# Share of the values, times the tolerance, by which a derivative that is small
# relative to them may be uncertain.
FLOOR = {1: 1e-4, 2: 1e-3}
# rounding in the rules, as a share of the values
_ROUNDING = {1: 64 * EPS, 2: 1e-10}
# a kink or a jump below this share of the values may be due to rounding
_VISIBLE = {1: 1e-10, 2: 1e-7}
# errors in units of the uncertainty: still agreeing, certainly disagreeing
WITHIN = 3.0
BEYOND = 10.0

T = TypeVar("T")
_TRIES = 3
Finding = Literal["right", "wrong", "undecided", "kink", "gap", "edge"]


@dataclass(frozen=True)
class Comparison:
    """A derivative computed both ways: order, argument, both values, relative error."""

    order: int
    argument: str
    analytic: float
    numeric: Estimate
    error: float


@dataclass
class Report:
    """The outcome of a check; true if the gradient is right.

    `verdict` is "right", "wrong", "not differentiable" or "undecided"; `message` is the
    text of the error, empty if right; `comparisons` holds all comparisons made.
    """

    name: str
    comparisons: list[Comparison] = field(default_factory=list)
    verdict: str = "right"
    message: str = ""

    @property
    def error(self) -> float:
        """Largest relative error of all comparisons; 0 without any."""
        return max((c.error for c in self.comparisons), default=0.0)

    def fail(self, error: GradientError) -> None:
        """Record an error."""
        self.message = str(error)
        self.verdict = (
            "not differentiable"
            if isinstance(error, NotDifferentiableError)
            else "undecided"
            if isinstance(error, UndecidedError)
            else "wrong"
        )

    def __bool__(self) -> bool:
        """Return whether the gradient is right."""
        return self.verdict == "right"

    def __str__(self) -> str:
        """Return a summary of one line."""
        if self.message:
            return self.message
        return (
            f"{self.name}: {len(self.comparisons)} derivatives compared, "
            f"largest relative error {self.error:.1e}"
        )


class Phi(Protocol):
    """A function of one number with phi(0) = 0, a difference of values of some size."""

    def __call__(self, s: float, /) -> float:
        """Return phi(s)."""
        ...

    def size(self) -> float:
        """Return the size of the values."""
        ...


class Claim(NamedTuple):
    """An analytic derivative, and the sizes that its error is relative to.

    `typical` is its size along other directions, `values` the size of the function's
    values here, `around` that of the values within a unit step; `allowed` is the absolute
    and `tolerance` the relative error allowed.
    """

    analytic: float
    typical: float
    values: float
    allowed: float
    tolerance: float
    order: int
    around: float = 0.0

    def beside(self, values: float) -> Claim:
        """Return the claim with another size of the values nearby."""
        return self._replace(around=max(self.around, values))

    @property
    def floor(self) -> float:
        """Size that a derivative which is small relative to the values is compared with."""
        return FLOOR[self.order] * max(self.values, self.around)

    def size(self, numeric: float) -> float:
        """Return the size that an error is relative to."""
        return max(math.fabs(self.analytic), math.fabs(numeric), self.typical)

    def limit(self, numeric: float) -> float:
        """Return the largest difference within the tolerance or explained by rounding."""
        return (
            self.tolerance * self.size(numeric) + self.allowed + _ROUNDING[self.order] * self.values
        )

    def fine(self, numeric: float) -> float:
        """Return the largest uncertainty that a confirming estimate may have."""
        return max(self.limit(numeric), self.tolerance * self.floor)

    def error(self, numeric: Estimate) -> float:
        """Return the relative error, at most the tolerance for a claim that is right."""
        explained = WITHIN * numeric.uncertainty + _ROUNDING[self.order] * self.values
        size = max(self.size(numeric.value), self.floor) + (
            explained / self.tolerance if self.tolerance else 0.0
        )
        return (
            max(0.0, math.fabs(self.analytic - numeric.value) - self.allowed) / size
            if size
            else 0.0
        )

    def agrees(self, numeric: Estimate) -> bool:
        """Return whether an estimate that is precise enough confirms the claim."""
        off = math.fabs(self.analytic - numeric.value)
        return numeric.uncertainty <= self.fine(numeric.value) and off <= (
            self.limit(numeric.value) + WITHIN * numeric.uncertainty
        )

    def judge(self, numeric: Settled) -> tuple[Finding, Estimate]:
        """Return the verdict on the claim, and the estimate that decides it."""
        for estimate in (numeric.best, *(numeric.all if numeric.rough else ())):
            if self.agrees(estimate):
                return "right", estimate
        best = numeric.best
        off = math.fabs(self.analytic - best.value)
        if (
            numeric.rough
            and off <= self.fine(best.value)
            and best.uncertainty <= self.fine(best.value)
        ):
            return "right", best
        return "undecided" if numeric.allows(
            self.analytic, self.limit(best.value)
        ) else "wrong", best


class Outcome(NamedTuple):
    """A verdict on a claim, with the numeric derivative that it rests on."""

    finding: Finding
    claim: Claim
    numeric: Estimate

    @property
    def error(self) -> float:
        """Relative error of the claim."""
        return self.claim.error(self.numeric)

    @property
    def near(self) -> bool:
        """Whether both values agree within the tolerance, certain or not."""
        off = math.fabs(self.claim.analytic - self.numeric.value)
        limit = self.claim.limit(self.numeric.value)
        return off <= limit and self.numeric.uncertainty <= 100 * limit


def compare(claim: Claim, phi: Phi) -> Outcome:
    """Compare an analytic derivative with differences; four values suffice to agree."""
    with quietly():
        for step in QUICK_STEPS:
            value, kink = quick(phi, step)
            numeric = Estimate(value, EPS * claim.values / step, step)
            smooth = math.fabs(kink) <= 1e-5 * claim.size(value) + 64 * numeric.uncertainty
            if smooth and claim.agrees(numeric):
                return Outcome("right", claim, numeric)
        sides = settle(phi, phi.size())
    return outcome_of(claim.beside(sides.largest), sides)


def outcome_of(claim: Claim, sides: Sides) -> Outcome:
    """Return the verdict of one-sided derivatives on a claim."""
    visible = _VISIBLE[claim.order] * max(claim.values, claim.around)
    finding, numeric = claim.judge(sides.central)
    if finding == "undecided":
        # a kink or an edge may allow larger steps on the other side only
        for one, other in ((sides.left, sides.right), (sides.right, sides.left)):
            if claim.agrees(one.best) and other.allows(
                claim.analytic, claim.limit(other.best.value)
            ):
                finding = "right"
                numeric = one.best
    if sides.edge:
        finding = "edge"
    elif sides.gap > visible:
        finding = "gap"
    elif sides.kink > max(1e-6 * claim.size(numeric.value), visible):
        # Where estimates are rough, by kinks that are near or by rounding, the sides
        # may meet all the same.
        values = (
            claim.analytic,
            *(side.best.value for side in (sides.central, sides.left, sides.right)),
        )
        if not any(sides.meet(value, claim.limit(value)) for value in values):
            finding = "kink"
    return Outcome(finding, claim, numeric)


def repeated(once: Callable[[], tuple[Outcome, T]]) -> tuple[Outcome, T]:
    """Compare along up to three directions until one decides.

    Three agreements within the tolerance count as right, though each is uncertain.

    `once` draws a direction and returns the outcome with a description of it.
    """
    outcome, drawn = once()
    near = outcome.near
    for _ in range(_TRIES - 1):
        if outcome.finding != "undecided":
            break
        outcome, drawn = once()
        near = near and outcome.near
    if near and outcome.finding == "undecided":
        outcome = outcome._replace(finding="right")
    return outcome, drawn


def halves(count: int, strength: Callable[[int, int], float]) -> int:
    """Return an element of large strength, found by bisection into the stronger half.

    Parameters
    ----------
    count
        Number of elements.
    strength
        Called with (start, stop): the strength of these elements together.
    """
    start = 0
    stop = count
    while stop - start > 1:
        middle = (start + stop) // 2
        if strength(start, middle) >= strength(middle, stop):
            stop = middle
        else:
            start = middle
    return start
