"""The elements with a wrong second derivative, found by bisection, and their error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from tinygrad_ckn.errors import GradientError, NotDifferentiableError
from tinygrad_ckn.testing.culprit import leaf_of, masked, single, strength_of, two
from tinygrad_ckn.testing.estimates import Estimate, quick, quick_mixed
from tinygrad_ckn.testing.lines import GradientLine, Plane
from tinygrad_ckn.testing.point import Point, element
from tinygrad_ckn.testing.problem import Arrays, Problem, dot, quietly, restricted
from tinygrad_ckn.testing.verdict import Claim, Outcome, halves


class Second(NamedTuple):
    """Derivatives of <J^T g, u> in the inputs and in g."""

    in_inputs: list[Any]
    in_upstream: list[Any]


Derivatives = Callable[[Problem, Point, int, Arrays], Second]


def raise_slope_wrong(problem: Problem, i: int, outcome: Outcome) -> NoReturn:
    """Raise the error of a wrong derivative of the gradient in the upstream gradient."""
    head = (
        f"{problem.name}: derivative, in the upstream gradient, of the gradient of argument "
        f"{problem.names[i]} expected"
    )
    raise GradientError(
        _sentence(head, "differences of the function's values", outcome.claim, outcome.numeric)
    )


class _Search:
    """Bisection for the pair of elements whose second derivative is wrong.

    Parameters
    ----------
    problem, point
        The function and its values and gradients at the point.
    i
        Index of the argument whose gradient is differentiated.
    step
        Step of the differences.
    of_values
        Whether to take second differences of values, or differences of the gradient.
    derivatives
        Returns the analytic derivatives of <J^T g, u>.
    """

    def __init__(
        self,
        problem: Problem,
        point: Point,
        i: int,
        step: float,
        of_values: bool,
        derivatives: Derivatives,
    ) -> None:
        self.problem = problem
        self.point = point
        self.i = i
        self.step = step
        self.of_values = of_values
        self.derivatives = derivatives

    def analytic(self, u: Arrays, v: Arrays) -> float:
        """Return the analytic derivative of <J^T g, u> along v."""
        return self._along(self.derivatives(self.problem, self.point, self.i, u), v)

    def numeric(self, u: Arrays, v: Arrays) -> float:
        """Return the derivative of <J^T g, u> along v by differences."""
        point = self.point
        if self.of_values:
            plane = Plane(self.problem, point.upstream, point.values, u, v)
            return quick_mixed(plane, self.step)
        line = GradientLine(self.problem, point.upstream, point.gradients, u, v)
        return quick(line, self.step)[0]

    def inputs_element(self, u: Arrays, v: Arrays) -> tuple[int, int]:
        """Return the element of v with the largest error, as (leaf, element)."""
        second = self.derivatives(self.problem, self.point, self.i, u)

        def error(start: int, stop: int) -> float:
            part = masked(v, start, stop)
            return _finite_or_infinity(self._along(second, part) - self.numeric(u, part))

        return leaf_of(v, halves(sum(d.size for d in v), error))

    def gradient_element(self, u: Arrays, v: Arrays) -> int:
        """Return the element of the gradient with the largest error along v."""

        def error(start: int, stop: int) -> float:
            part = restricted(u, self.i, start, stop)
            return _finite_or_infinity(self.analytic(part, v) - self.numeric(part, v))

        return halves(u[self.i].size, error)

    def _along(self, second: Second, v: Arrays) -> float:
        return dot(second.in_inputs, self.problem.displacement(v))


def _finite_or_infinity(error: float) -> float:
    return math.fabs(error) if math.isfinite(error) else math.inf


def raise_second_wrong(
    problem: Problem,
    point: Point,
    i: int,
    u: Arrays,
    v: Arrays,
    outcome: Outcome,
    of_values: bool,
    derivatives: Derivatives,
) -> NoReturn:
    """Raise the error of a wrong derivative of the gradient of argument i in the inputs."""
    claim = outcome.claim
    numeric = outcome.numeric
    search = _Search(problem, point, i, numeric.step, of_values, derivatives)
    with quietly():
        j, k = search.inputs_element(u, v)
        along_input, input_unit = single(problem, j, k)
        m = search.gradient_element(u, along_input)
        along_gradient, gradient_unit = single(problem, i, m)
        unit = gradient_unit * input_unit
        one = claim._replace(analytic=search.analytic(along_gradient, along_input) / unit)
        difference = numeric._replace(value=search.numeric(along_gradient, along_input) / unit)
    how = "differences of the function's values" if of_values else "differences of the gradient"
    head = f"{problem.name}: derivative, in the inputs"
    tail = f"of the gradient of argument {problem.names[i]} expected"
    size = max(math.fabs(one.analytic), math.fabs(difference.value))
    if math.fabs(one.analytic - difference.value) > claim.tolerance * size:
        where = f" ({element(k, v[j].shape)} of argument {problem.names[j]})"
        how += f", at {element(m, u[i].shape)} of the gradient"
        raise GradientError(
            _sentence(f"{head}{where}, {tail}", how, one, difference, uncertain=False)
        )
    raise GradientError(_sentence(f"{head}, {tail}", how, claim, numeric))


def raise_second_not_differentiable(
    problem: Problem, point: Point, i: int, u: Arrays, v: Arrays, finding: str
) -> NoReturn:
    """Raise the error of a kink, a jump or a domain edge of the gradient of argument i."""

    def strength(p: int, q: int) -> float:
        line = GradientLine(problem, point.upstream, point.gradients, u, masked(v, p, q))
        return strength_of(line, finding)

    with quietly():
        j, k = leaf_of(v, halves(sum(d.size for d in v), strength))
    told = {
        "kink": "a kink of the gradient",
        "gap": "a jump of the gradient",
        "edge": "the edge of its domain",
    }[finding]
    raise NotDifferentiableError(
        f"{problem.name}: the gradient of argument {problem.names[i]} is not differentiable here "
        f"({told}, at "
        f"{element(k, v[j].shape)} of argument {problem.names[j]}); move the input away from "
        "there, or check order 1 only"
    )


def _sentence(
    head: str, how: str, claim: Claim, numeric: Estimate, *, uncertain: bool = True
) -> str:
    expected, got = two(numeric.value, claim.analytic)
    about = f" +- {numeric.uncertainty:.1g}" if uncertain else ""
    error = math.fabs(claim.analytic - numeric.value) / max(
        math.fabs(claim.analytic), math.fabs(numeric.value)
    )
    return (
        f"{head} {expected}{about} ({how}, step {numeric.step:.1g}), got {got}; relative error "
        f"{error:.1e} is over the "
        f"tolerance {claim.tolerance:.0e}"
    )
