"""First derivatives along random directions, and by parts if one is undecided."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn.backend import Generator
from tinygrad_ckn.testing.culprit import raise_not_differentiable, raise_undecided, raise_wrong
from tinygrad_ckn.testing.lines import Line
from tinygrad_ckn.testing.point import Point, claim_of, typical_size, weighed
from tinygrad_ckn.testing.problem import Arrays, Problem, dot, norm, random_like, restricted
from tinygrad_ckn.testing.verdict import Claim, Comparison, Outcome, compare, repeated

# number of parts of an argument if one direction is undecided
_PARTS = 64


def first_order(
    problem: Problem, point: Point, generator: Generator, tolerance: float, atol: float
) -> list[Comparison]:
    """Compare the gradient of each argument with differences.

    Raises
    ------
    GradientError
        If one is wrong; NotDifferentiableError at a kink, a jump or a domain edge,
        UndecidedError if differences are too uncertain.
    """
    return [
        check_argument(problem, point, generator, i, tolerance, atol)
        for i in range(len(problem.leaves))
    ]


def check_argument(
    problem: Problem, point: Point, generator: Generator, i: int, tolerance: float, atol: float
) -> Comparison:
    """Compare the gradient of argument i with differences along a direction."""

    def once() -> tuple[Outcome, list[Any]]:
        direction = telling(problem, point.gradients, generator, only=i)
        return _compare(
            problem, point, claim_of(problem, point, direction, tolerance, atol), direction
        ), direction

    outcome, direction = repeated(once)
    # The absolute error allowed per element may hide a larger one in a single
    # element.
    if outcome.finding == "undecided" or (outcome.finding == "right" and atol):
        outcome, direction = _by_parts(problem, point, i, direction, tolerance, atol)
    if outcome.finding == "undecided":
        raise_undecided(problem, f"gradient of argument {problem.names[i]}", outcome)
    if outcome.finding == "wrong":
        raise_wrong(problem, point, i, direction, outcome)
    if outcome.finding != "right":
        raise_not_differentiable(problem, point, direction, outcome)
    return Comparison(1, problem.names[i], outcome.claim.analytic, outcome.numeric, outcome.error)


def _compare(problem: Problem, point: Point, claim: Claim, direction: Arrays) -> Outcome:
    return compare(claim, Line(problem, point.upstream, point.values, direction))


def telling(
    problem: Problem, gradients: Arrays, generator: Generator, only: int | None = None
) -> list[Any]:
    """Draw a direction along which the derivative is not small by chance."""
    direction: list[Any] = []
    for _ in range(20):
        direction = problem.direction(generator, only)
        along = problem.displacement(direction)
        if math.fabs(dot(gradients, along)) >= 0.5 * typical_size(gradients, along):
            break
    return direction


def telling_upstream(values: Arrays, pushed: Arrays, generator: Generator) -> list[Any]:
    """Draw an upstream gradient with which J v is not small by chance."""
    upstream: list[Any] = []
    for _ in range(20):
        upstream = weighed(random_like(values, generator), [norm([p]) for p in pushed], values)
        if math.fabs(dot(upstream, pushed)) >= 0.5 * typical_size(upstream, pushed):
            break
    return upstream


def _by_parts(
    problem: Problem, point: Point, i: int, direction: Arrays, tolerance: float, atol: float
) -> tuple[Outcome, list[Any]]:
    """Check the parts of an argument one by one, each with its own steps.

    Return the first part that is not right, or the worst, with its outcome. A part is a
    direction. Errors are relative to the derivative along the whole direction.
    """
    whole = claim_of(problem, point, direction, tolerance, atol).typical
    judged: list[tuple[Outcome, list[Any]]] = []
    for part in parts_of(direction, i, _PARTS):
        claim = claim_of(problem, point, part, tolerance, atol)._replace(typical=whole)
        outcome = _compare(problem, point, claim, part)
        if outcome.finding != "right" and not (outcome.finding == "undecided" and outcome.near):
            return outcome, part
        judged.append((outcome._replace(finding="right"), part))
    return max(judged, key=lambda one: one[0].error)


def parts_of(direction: Arrays, i: int, count: int) -> list[list[Any]]:
    """Return a direction of leaf i, split into parts with disjoint elements."""
    flat = direction[i].reshape(-1)
    size = max(1, -(-flat.size // count))
    return [restricted(direction, i, start, start + size) for start in range(0, flat.size, size)]
