"""Derivatives of the gradient: in the upstream gradient and in the inputs.

Both are compared with differences of the function's values only: a wrong first
derivative cannot confirm a wrong second one. If rounding, of order EPS / h^2, leaves
that undecided, for example next to a kink, differences of the gradient decide, with
rounding EPS / h, once the gradient agrees with values at the points that they use.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_ckn.backend import Generator
from tinygrad_ckn.backward import backpropagate
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.grad_mode import enable_grad
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.testing.culprit import raise_not_differentiable, raise_undecided
from tinygrad_ckn.testing.estimates import (
    EPS,
    QUICK_MIXED_STEPS,
    Estimate,
    noise_of,
    quick_mixed,
    settle,
    settle_mixed,
)
from tinygrad_ckn.testing.first_order import telling, telling_upstream
from tinygrad_ckn.testing.lines import GradientLine, Line, Plane
from tinygrad_ckn.testing.point import Point, claim_of, element, nonfinite, typical_size, value_of
from tinygrad_ckn.testing.problem import Arrays, Problem, dot, quietly, sum_of_sizes
from tinygrad_ckn.testing.second_culprit import (
    Second,
    raise_second_not_differentiable,
    raise_second_wrong,
    raise_slope_wrong,
)
from tinygrad_ckn.testing.verdict import (
    TOLERANCE,
    Claim,
    Comparison,
    Outcome,
    compare,
    outcome_of,
    repeated,
)


def second_order(
    problem: Problem, point: Point, generator: Generator, tolerance: float, atol: float
) -> list[Comparison]:
    """Compare the second derivatives of each argument with differences.

    Raises
    ------
    GradientError
        If one is wrong; NotDifferentiableError if the gradient has a kink, a jump or a
        domain edge, UndecidedError if differences are too uncertain.
    """
    comparisons = []
    for i in range(len(problem.leaves)):
        comparisons.append(_in_upstream(problem, point, generator, i, tolerance, atol))
        comparisons.append(_in_inputs(problem, point, generator, i, tolerance, atol))
    return comparisons


def derivatives(problem: Problem, point: Point, i: int, u: Arrays) -> Second:
    """Return the derivatives of <J^T g, u> in all inputs and in g, for u in argument i."""
    with enable_grad():
        outputs = problem.outputs()
        upstream = [Variable.leaf(g.copy()) for g in point.upstream]
        pulled = problem.pull(outputs, upstream, create_graph=True)[i]
    results: dict[Any, Any] = {}
    if pulled is not None and pulled.requires_grad:
        root = (pulled._vertex, problem.displacement(u)[i])
        results = backpropagate([root], [*problem.leaves, *upstream])
    return Second(
        [unwrap(results.get(leaf)) for leaf in problem.leaves],
        [unwrap(results.get(g)) for g in upstream],
    )


def _check_finite(
    problem: Problem, i: int, what: str, names: Sequence[str], arrays: Arrays
) -> None:
    for name, array in zip(names, arrays, strict=True):
        k = nonfinite(array)
        if k is not None:
            raise GradientError(
                f"{problem.name}: derivative, in the {what}, of the gradient of argument "
                f"{problem.names[i]} expected "
                f"finite numbers, got {value_of(array, k)} at {element(k, array.shape)} of "
                f"{name}; mend the rule, or "
                "move the input if there is no second derivative here"
            )


def _in_upstream(
    problem: Problem, point: Point, generator: Generator, i: int, tolerance: float, atol: float
) -> Comparison:
    """Compare J u, the derivative of J^T g in g, with differences along u."""

    def once() -> tuple[Outcome, tuple[list[Any], list[Any]]]:
        u = problem.direction(generator, only=i)
        pushed = derivatives(problem, point, i, u).in_upstream
        _check_finite(
            problem, i, "upstream gradient", [f"output {n}" for n in range(len(pushed))], pushed
        )
        w = telling_upstream(point.values, pushed, generator)
        size = Point(point.values, w, pushed).size
        claim = Claim(
            dot(pushed, w), typical_size(pushed, w), size, atol * sum_of_sizes(w), tolerance, 1
        )
        return compare(claim, Line(problem, w, point.values, u)), (u, w)

    outcome, (u, w) = repeated(once)
    if outcome.finding == "undecided":
        what = (
            f"derivative, in the upstream gradient, of the gradient of argument {problem.names[i]}"
        )
        raise_undecided(problem, what, outcome)
    if outcome.finding == "wrong":
        raise_slope_wrong(problem, i, outcome)
    if outcome.finding != "right":
        raise_not_differentiable(problem, Point(point.values, w, point.gradients), u, outcome)
    return Comparison(2, problem.names[i], outcome.claim.analytic, outcome.numeric, outcome.error)


def _in_inputs(
    problem: Problem, point: Point, generator: Generator, i: int, tolerance: float, atol: float
) -> Comparison:
    """Compare the derivative of <J^T g, u> along a direction with second differences."""

    def once() -> tuple[Outcome, tuple[list[Any], list[Any], bool]]:
        u = problem.direction(generator, only=i)
        second = derivatives(problem, point, i, u)
        _check_finite(
            problem, i, "inputs", [f"argument {n}" for n in problem.names], second.in_inputs
        )
        v = telling(problem, second.in_inputs, generator)
        along = problem.displacement(v)
        typical = typical_size(second.in_inputs, along)
        allowed = atol * sum_of_sizes(along) * sum_of_sizes(problem.displacement(u))
        claim = Claim(dot(second.in_inputs, along), typical, point.size, allowed, tolerance, 2)
        outcome, of_values = _weigh(problem, point, i, u, v, claim)
        return outcome, (u, v, of_values)

    outcome, (u, v, of_values) = repeated(once)
    if outcome.finding == "undecided":
        raise_undecided(
            problem,
            f"derivative, in the inputs, of the gradient of argument {problem.names[i]}",
            outcome,
        )
    if outcome.finding == "wrong":
        raise_second_wrong(problem, point, i, u, v, outcome, of_values, derivatives)
    if outcome.finding != "right":
        raise_second_not_differentiable(problem, point, i, u, v, outcome.finding)
    return Comparison(2, problem.names[i], outcome.claim.analytic, outcome.numeric, outcome.error)


def _weigh(
    problem: Problem, point: Point, i: int, u: Arrays, v: Arrays, claim: Claim
) -> tuple[Outcome, bool]:
    """Compare a second derivative with differences.

    Return the outcome, and whether it rests on values of the function alone.
    """
    plane = Plane(problem, point.upstream, point.values, u, v)
    with quietly():
        for step in QUICK_MIXED_STEPS:
            value = quick_mixed(plane, step)
            numeric = Estimate(value, 0.5 * EPS * claim.values / step**2, step)
            if claim.agrees(numeric) and not _bent(
                plane, step, 0.1 * claim.size(value) + 32 * numeric.uncertainty
            ):
                return Outcome("right", claim, numeric), True
        noise = noise_of(
            lambda t: plane(0.0, t), Line(problem, point.upstream, point.values, v).size()
        )
        of_values = settle_mixed(plane, noise)
        claim = claim.beside(max(math.fabs(y) for y in plane.known.values() if math.isfinite(y)))
        line = GradientLine(problem, point.upstream, point.gradients, u, v)
        by_gradients = outcome_of(claim, settle(line, line.size()))
        finding, numeric = claim.judge(of_values)
        by_values = Outcome(finding, claim, numeric)
        if by_gradients.finding in ("edge", "gap", "kink"):
            return by_gradients, False
        if by_values.finding == "right" or by_gradients.finding == "undecided":
            return by_values, True
        if by_gradients.finding == "wrong":
            return (by_values, True) if by_values.finding == "wrong" else (by_gradients, False)
        holds = _gradient_holds(problem, point, i, u, v, by_gradients.numeric.step)
        return (by_gradients, False) if holds else (by_values, True)


def _bent(plane: Plane, step: float, limit: float) -> bool:
    """Return whether one-sided second differences differ, as next to a kink."""
    right, left = (plane(2 * s, 2 * s) - 2 * plane(s, s) for s in (step, -step))
    return math.fabs(right - left) / step**2 > limit


def _gradient_holds(
    problem: Problem, point: Point, i: int, u: Arrays, v: Arrays, step: float
) -> bool:
    """Return whether the gradient agrees with values where its differences were taken."""
    for t in (step, -step):
        line = GradientLine(problem, point.upstream, point.gradients, u, v)
        with problem.moved((t, v)):
            values = problem.moved_values()
            # outside the domain
            if values is None:
                continue
            there = Point(values, point.upstream, line.gradients(0.0))
            claim = claim_of(problem, there, u, TOLERANCE[1], 0.0)
            if compare(claim, Line(problem, point.upstream, values, u)).finding == "wrong":
                return False
    return True
