"""Checks of J v against differences, and of the identity <J u, g> = <u, J^T g>."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from tinygrad_ckn.backend import default_rng
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.functional import jvp
from tinygrad_ckn.graph import Variable
from tinygrad_ckn.testing.arguments import Inputs, problem_of
from tinygrad_ckn.testing.culprit import raise_not_differentiable, raise_undecided, two
from tinygrad_ckn.testing.estimates import Estimate
from tinygrad_ckn.testing.first_order import telling_upstream
from tinygrad_ckn.testing.lines import Line
from tinygrad_ckn.testing.options import Options
from tinygrad_ckn.testing.point import Point, evaluated, typical_size
from tinygrad_ckn.testing.problem import Problem, dot, norm, random_like, sum_of_sizes
from tinygrad_ckn.testing.verdict import Claim, Comparison, Outcome, Report, compare, repeated


def check_jvp(
    function: Callable[..., Any],
    inputs: Inputs,
    *,
    tolerance: float | None = None,
    seed: int = 0,
    eps: float | None = None,
    atol: float = 0.0,
    rtol: float | None = None,
    nondet_tol: float = 0.0,
    raise_exception: bool = True,
    kwargs: Mapping[str, Any] | None = None,
) -> Report:
    """Check `jvp` along a random direction, for a function that returns one Tensor.

    Raises
    ------
    GradientError
        If the product is wrong.

    Examples
    --------
    >>> check_jvp(ops.tanh, np.array([0.5, -1.0])).error < 1e-7
    True
    """
    options = Options(tolerance, seed, eps, atol, rtol, nondet_tol, raise_exception)
    problem = problem_of(function, inputs, kwargs)
    report = Report(problem.name)
    with options.entering(report):
        report.comparisons.append(_compare_jvp(problem, options))
    return report


def _compare_jvp(problem: Problem, options: Options) -> Comparison:
    generator = default_rng(options.seed)
    point = evaluated(problem, generator, options.eps)

    def once() -> tuple[Outcome, tuple[list[Any], list[Any]]]:
        direction = problem.direction(generator)
        tangents = problem.displacement(direction)
        product = jvp(problem.function, [Variable.wrap(x) for x in problem.origin], tangents)[
            1
        ].data
        upstream = telling_upstream(point.values, [product], generator)
        typical = typical_size(upstream, [product])
        allowed = options.atol * sum_of_sizes(tangents)
        claim = Claim(
            dot(upstream, [product]), typical, point.size, allowed, options.relative(1), 1
        )
        return compare(claim, Line(problem, upstream, point.values, direction)), (
            direction,
            upstream,
        )

    outcome, (direction, upstream) = repeated(once)
    claim = outcome.claim
    if outcome.finding == "wrong":
        expected, got = two(outcome.numeric.value, claim.analytic)
        raise GradientError(
            f"{problem.name}: jvp along a random direction expected {expected} +- "
            f"{outcome.numeric.uncertainty:.1g}, "
            f"got {got}; relative error {claim.error(outcome.numeric):.1e} is over the tolerance "
            f"{claim.tolerance:.0e}"
        )
    if outcome.finding == "undecided":
        raise_undecided(problem, "jvp", outcome)
    if outcome.finding != "right":
        raise_not_differentiable(
            problem, Point(point.values, upstream, point.gradients), direction, outcome
        )
    return Comparison(1, "all", claim.analytic, outcome.numeric, claim.error(outcome.numeric))


def check_adjoint(
    function: Callable[..., Any], inputs: Inputs, *, tolerance: float = 1e-12, seed: int = 0
) -> Report:
    """Check <J u, g> = <u, J^T g> of a function linear or affine in each input.

    The identity must hold up to rounding. J u is the function's value at u minus that at
    0, so the rule is compared with the forward alone.

    Raises
    ------
    GradientError
        If the identity fails: the rule is wrong, or the function is not linear in an
        input.

    Examples
    --------
    >>> check_adjoint(lambda x: ops.unfold(x, 2), np.ones((1, 1, 3, 4))).error <= 1e-12
    True
    """
    problem = problem_of(function, inputs)
    generator = default_rng(seed)
    outputs = problem.outputs()
    upstream = random_like([y.data for y in outputs], generator)
    pulled = problem.pull(outputs, upstream)
    report = Report(problem.name)
    for i, name in enumerate(problem.names):
        direction = problem.direction(generator, only=i)
        problem.units[i] = 1.0
        away = [-x if k == i else None for k, x in enumerate(problem.origin)]
        pushed = [
            a - b
            for a, b in zip(
                problem.values((1, away), (1, direction)), problem.values((1, away)), strict=True
            )
        ]
        forward = dot(upstream, pushed)
        backward = dot([pulled[i]], [direction[i]])
        size = norm(upstream) * norm(pushed) + norm([direction[i]]) * norm([pulled[i]])
        error = math.fabs(forward - backward) / size if size else 0.0
        report.comparisons.append(Comparison(1, name, backward, Estimate(forward, 0.0, 1.0), error))
        if not error <= tolerance:
            expected, got = two(forward, backward)
            raise GradientError(
                f"{problem.name}: adjoint identity in argument {name} expected <J u, g> = <u, "
                "J^T g>, got "
                f"{expected} and {got}; relative error {error:.1e} is over the tolerance "
                f"{tolerance:.0e}"
            )
    return report
