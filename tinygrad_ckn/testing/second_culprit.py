"""The elements at fault in a second derivative, found by halving, and the sentence that names them."""

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


def raise_slope_wrong(problem: Problem, i: int, outcome: Outcome) -> NoReturn:
    """Raise the error of a wrong derivative of the gradient in the upstream gradient."""
    head = f"{problem.name}: derivative, in the upstream gradient, of the gradient of argument {problem.names[i]} expected"
    raise GradientError(
        _sentence(head, "differences of the function's values", outcome.claim, outcome.numeric)
    )


def raise_second_wrong(
    problem: Problem,
    point: Point,
    i: int,
    u: Arrays,
    v: Arrays,
    outcome: Outcome,
    of_values: bool,
    derivatives: Callable[[Problem, Point, int, Arrays], Second],
) -> NoReturn:
    """Raise the error of a wrong derivative of the gradient of argument i in the inputs."""
    claim, numeric = outcome.claim, outcome.numeric
    how = "differences of the function's values" if of_values else "differences of the gradient"

    def measured(a: Arrays, b: Arrays) -> float:
        if of_values:
            return quick_mixed(Plane(problem, point.upstream, point.values, a, b), numeric.step)
        return quick(GradientLine(problem, point.upstream, point.gradients, a, b), numeric.step)[0]

    def off(a: Arrays, b: Arrays, second: Second) -> float:
        x = math.fabs(dot(second.in_inputs, problem.displacement(b)) - measured(a, b))
        return x if math.isfinite(x) else math.inf

    with quietly():
        all_of_u = derivatives(problem, point, i, u)
        place = halves(sum(d.size for d in v), lambda p, q: off(u, masked(v, p, q), all_of_u))
        j, k = leaf_of(v, place)
        b, b_unit = single(problem, j, k)

        def off_in_u(p: int, q: int) -> float:
            part = restricted(u, i, p, q)
            return off(part, b, derivatives(problem, point, i, part))

        m = halves(u[i].size, off_in_u)
        a, a_unit = single(problem, i, m)
        second = derivatives(problem, point, i, a)
        found = numeric._replace(value=measured(a, b) / (a_unit * b_unit))
        one = claim._replace(
            analytic=dot(second.in_inputs, problem.displacement(b)) / (a_unit * b_unit)
        )
    head = f"{problem.name}: derivative, in the inputs"
    tail = f"of the gradient of argument {problem.names[i]} expected"
    if math.fabs(one.analytic - found.value) > claim.tolerance * max(
        math.fabs(one.analytic), math.fabs(found.value)
    ):
        where = f" ({element(k, v[j].shape)} of argument {problem.names[j]})"
        how += f", at {element(m, u[i].shape)} of the gradient"
        raise GradientError(_sentence(f"{head}{where}, {tail}", how, one, found, uncertain=False))
    raise GradientError(_sentence(f"{head}, {tail}", how, claim, numeric))


def raise_second_not_differentiable(
    problem: Problem, point: Point, i: int, u: Arrays, v: Arrays, finding: str
) -> NoReturn:
    """Raise the error of a kink, a jump or an edge of the domain of the gradient of argument i."""

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
        f"{problem.name}: the gradient of argument {problem.names[i]} is not differentiable here ({told}, at "
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
        f"{head} {expected}{about} ({how}, step {numeric.step:.1g}), got {got}; relative error {error:.1e} is over the "
        f"tolerance {claim.tolerance:.0e}"
    )
