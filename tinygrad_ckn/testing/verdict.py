"""What a comparison of two derivatives amounts to: right, wrong, not differentiable, or undecided."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeVar

from tinygrad_ckn.errors import GradientError, NotDifferentiableError, UndecidedError
from tinygrad_ckn.testing.estimates import EPS, QUICK_STEPS, Estimate, Settled, Sides, quick, settle
from tinygrad_ckn.testing.problem import quietly

TOLERANCE = {1: 1e-7, 2: 1e-6}
# A derivative may be uncertain by the tolerance times this share of the values, if it
# is small beside them.
FLOOR = {1: 1e-4, 2: 1e-3}
# rounding in the rules, as a share of the values
_ROUNDING = {1: 64 * EPS, 2: 1e-10}
# a kink or a jump below this share of the values may be rounding
_VISIBLE = {1: 1e-10, 2: 1e-7}
# so many uncertainties off still agrees, and disagrees for certain
WITHIN, BEYOND = 3.0, 10.0

T = TypeVar("T")
_TRIES = 3
Finding = Literal["right", "wrong", "undecided", "kink", "gap", "edge"]


@dataclass(frozen=True)
class Comparison:
    """One derivative, both ways: its order, the argument, both values, and the relative error."""

    order: int
    argument: str
    analytic: float
    numeric: Estimate
    error: float


@dataclass
class Report:
    """The outcome of a check: true where the gradient is right.

    `verdict` is "right", "wrong", "not differentiable" or "undecided", `message` the
    sentence of the error (empty if right), `comparisons` what was compared until then.
    """

    name: str
    comparisons: list[Comparison] = field(default_factory=list)
    verdict: str = "right"
    message: str = ""

    @property
    def error(self) -> float:
        """Largest relative error of all comparisons; 0 when there was nothing to compare."""
        return max((c.error for c in self.comparisons), default=0.0)

    def fail(self, error: GradientError) -> None:
        """Enter what an error says."""
        self.message = str(error)
        self.verdict = (
            "not differentiable"
            if isinstance(error, NotDifferentiableError)
            else "undecided"
            if isinstance(error, UndecidedError)
            else "wrong"
        )

    def __bool__(self) -> bool:
        """Tell whether the gradient is right."""
        return self.verdict == "right"

    def __str__(self) -> str:
        """Return one line."""
        if self.message:
            return self.message
        return f"{self.name}: {len(self.comparisons)} derivatives compared, largest relative error {self.error:.1e}"


class Phi(Protocol):
    """A function of one number with phi(0) = 0, and the size of the values whose difference it is."""

    def __call__(self, s: float, /) -> float:
        """Return phi(s)."""

    def size(self) -> float:
        """Return the size of the values."""


class Claim(NamedTuple):
    """An analytic derivative, and what its error is measured with.

    `typical` is its size along other directions, `values` that of the function's values
    here, `around` that of the values within a unit step, `allowed` an absolute error
    that is granted, `tolerance` a relative one.
    """

    analytic: float
    typical: float
    values: float
    allowed: float
    tolerance: float
    order: int
    around: float = 0.0

    def beside(self, values: float) -> Claim:
        """Return the claim where the function has values of another size close by."""
        return self._replace(around=max(self.around, values))

    @property
    def floor(self) -> float:
        """Size that a derivative is compared with if it is small beside the values."""
        return FLOOR[self.order] * max(self.values, self.around)

    def size(self, numeric: float) -> float:
        """Return what an error is relative to."""
        return max(math.fabs(self.analytic), math.fabs(numeric), self.typical)

    def limit(self, numeric: float) -> float:
        """Return the largest difference that is within the tolerance, or that rounding in the rule explains."""
        return (
            self.tolerance * self.size(numeric) + self.allowed + _ROUNDING[self.order] * self.values
        )

    def fine(self, numeric: float) -> float:
        """Return the largest uncertainty with which a difference within the limit means that the claim is right."""
        return max(self.limit(numeric), self.tolerance * self.floor)

    def error(self, numeric: Estimate) -> float:
        """Return the relative error: at most the tolerance where the claim is right, for what explains more counts."""
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
        """Tell whether the claim is right, by an estimate that is fine enough."""
        off = math.fabs(self.analytic - numeric.value)
        return numeric.uncertainty <= self.fine(numeric.value) and off <= (
            self.limit(numeric.value) + WITHIN * numeric.uncertainty
        )

    def judge(self, numeric: Settled) -> tuple[Finding, Estimate]:
        """Weigh the difference with the uncertainty of the numeric derivative; return the estimate that decides."""
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
    """A finding about a claim, with the derivative by differences that it rests on."""

    finding: Finding
    claim: Claim
    numeric: Estimate

    @property
    def error(self) -> float:
        """Relative error of the claim."""
        return self.claim.error(self.numeric)

    @property
    def near(self) -> bool:
        """Whether the values agree within the tolerance, though one may be more uncertain than that."""
        off = math.fabs(self.claim.analytic - self.numeric.value)
        limit = self.claim.limit(self.numeric.value)
        return off <= limit and self.numeric.uncertainty <= 100 * limit


def compare(claim: Claim, phi: Phi) -> Outcome:
    """Compare an analytic derivative with differences: four values if they agree, else as many as it takes."""
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
    """Return what derivatives from both sides say about a claim."""
    visible = _VISIBLE[claim.order] * max(claim.values, claim.around)
    finding, numeric = claim.judge(sides.central)
    if finding == "undecided":
        # a kink or an edge may leave room for larger steps on the other side only
        for one, other in ((sides.left, sides.right), (sides.right, sides.left)):
            if claim.agrees(one.best) and other.allows(
                claim.analytic, claim.limit(other.best.value)
            ):
                finding, numeric = "right", one.best
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
    """Compare along up to three directions, until one decides; what agrees within the tolerance thrice is right.

    `once` draws a direction, and returns what came of it with anything that describes it.
    """
    near = 0
    for _ in range(_TRIES):
        outcome, drawn = once()
        if outcome.finding != "undecided":
            break
        near += outcome.near
    if near == _TRIES:
        outcome = outcome._replace(finding="right")
    return outcome, drawn


def halves(count: int, strength: Callable[[int, int], float]) -> int:
    """Return an element whose part is strong, by always looking into the stronger half.

    Parameters
    ----------
    count
        Of elements.
    strength
        Of the elements from `start` to before `stop`, all together.
    """
    start, stop = 0, count
    while stop - start > 1:
        middle = (start + stop) // 2
        if strength(start, middle) >= strength(middle, stop):
            stop = middle
        else:
            start = middle
    return start
