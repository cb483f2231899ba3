"""Checks before any difference is taken: determinism, precision, memory layout."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn.backend import to_numpy, xp_of
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.testing.estimates import settle
from tinygrad_ckn.testing.layout import strided
from tinygrad_ckn.testing.lines import Line
from tinygrad_ckn.testing.point import Point, element
from tinygrad_ckn.testing.problem import Arrays, Problem, norm
from tinygrad_ckn.testing.verdict import BEYOND

_LARGEST_SINGLE = 3e38
# relative difference of gradients that are computed on other layouts in memory
_ALIKE = 1e-6


def examine(problem: Problem, point: Point, nondet_tol: float = 0.0) -> None:
    """Check that gradients are deterministic, in float64 and independent of layouts.

    Raises
    ------
    GradientError
        If two calls differ by more than `nondet_tol`, a gradient has the precision of
        float32, or it depends on the layout of inputs or upstream gradient in memory.
    """
    _check_repeated(problem, point, nondet_tol)
    _check_precision(problem, point)
    _check_layouts(problem, point, nondet_tol)


def _check_repeated(problem: Problem, point: Point, nondet_tol: float) -> None:
    outputs = problem.outputs()
    again = [y.data for y in outputs]
    if [y.shape for y in again] != [y.shape for y in point.values] or _apart(
        point.values, again
    ) > nondet_tol:
        raise GradientError(
            f"{problem.name}: expected the same result twice, got two; fix the function's random "
            "seed, or allow the "
            "difference with nondet_tol="
        )
    k = _apart_at(point.gradients, problem.pull(outputs, point.upstream), nondet_tol)
    if k is not None:
        raise GradientError(
            f"{problem.name}: gradient of argument {problem.names[k]} expected the same values "
            "twice, got two; fix the "
            "random seed of the rule, or allow the difference with nondet_tol="
        )


def _apart(a: Arrays, b: Arrays) -> float:
    return max((float(abs(x - y).max()) for x, y in zip(a, b, strict=True) if x.size), default=0.0)


def _apart_at(a: Arrays, b: Arrays, limit: float) -> int | None:
    """Return the index of the first pair of arrays that differ by more than a limit.

    None counts as zeros.
    """
    for k, (x, y) in enumerate(zip(a, b, strict=True)):
        if (x is None) != (y is None) or (x is not None and _apart([x], [y]) > limit):
            return k
    return None


def _check_precision(problem: Problem, point: Point) -> None:
    """Raise if every element of a gradient is a float32: upstream gradients have 53 bits."""
    for name, gradient in zip(problem.names, point.gradients, strict=True):
        if gradient is None or not gradient.any() or float(abs(gradient).max()) > _LARGEST_SINGLE:
            continue
        if bool((gradient.astype("float32").astype("float64") == gradient).all()):
            raise GradientError(
                f"{problem.name}: gradient of argument {name} expected the precision of float64, "
                "got float32 numbers "
                "in every element; keep the dtype of the upstream gradient in the rule"
            )


def _check_layouts(problem: Problem, point: Point, nondet_tol: float) -> None:
    """Compare gradients with those of strided inputs and of strided upstream gradients."""
    outputs = problem.outputs()
    cases = [("a strided upstream gradient", point.gradients, [strided(g) for g in point.upstream])]
    if all(g.size for g in point.upstream):
        wide = [xp_of(g).broadcast_to(g.reshape(-1)[0], g.shape) for g in point.upstream]
        plain = problem.pull(outputs, [g.copy() for g in wide], retain_graph=True)
        cases.append(("an expanded upstream gradient (strides 0)", plain, wide))
    for what, expected, upstream in cases:
        _check_alike(
            problem,
            point,
            what,
            expected,
            problem.pull(outputs, upstream, retain_graph=True),
            nondet_tol,
        )
    with problem.elsewhere([strided(x) for x in problem.origin]):
        try:
            there = problem.pull(problem.outputs(), point.upstream)
        except (TypeError, ValueError):
            # an error of the function is not a wrong gradient
            return
    _check_alike(
        problem, point, "inputs that are strided in memory", point.gradients, there, nondet_tol
    )


def _check_alike(
    problem: Problem, point: Point, what: str, expected: Arrays, got: Arrays, nondet_tol: float
) -> None:
    for i, (a, b) in enumerate(zip(expected, got, strict=True)):
        difference = a - b if a is not None and b is not None else a if b is None else b
        if (
            difference is None
            or norm([difference]) <= _ALIKE * norm([a]) + nondet_tol * difference.size
        ):
            continue
        k = int(abs(to_numpy(difference)).reshape(-1).argmax())
        if expected is point.gradients and not _stands_out(problem, point, i, difference):
            continue
        told = [0.0 if g is None else float(g.reshape(-1)[k]) for g in (a, b)]
        raise GradientError(
            f"{problem.name}: gradient of argument {problem.names[i]}: "
            f"{element(k, difference.shape)} expected "
            f"{told[0]:.9g} as for contiguous arrays, got {told[1]:.9g} with {what}; a rule must "
            "not depend on the "
            "layout in memory"
        )


def _stands_out(problem: Problem, point: Point, i: int, difference: Any) -> bool:
    """Return whether gradients on two layouts differ beyond the rounding of f."""
    direction = [
        None if k != i else difference / norm([difference]) for k in range(len(problem.leaves))
    ]
    line = Line(problem, point.upstream, point.values, direction)
    numeric = settle(line, line.size()).central.best
    apart = float((problem.units[i] * direction[i] * difference).sum())
    return math.fabs(apart) > BEYOND * numeric.uncertainty
