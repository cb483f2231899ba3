"""The element with the wrong gradient, found by bisection, and the error that names it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

from tinygrad_ckn.backend import xp_of
from tinygrad_ckn.errors import GradientError, NotDifferentiableError, UndecidedError
from tinygrad_ckn.testing.estimates import Estimate, quick, settle
from tinygrad_ckn.testing.lines import Line
from tinygrad_ckn.testing.point import Point, claim_of, element
from tinygrad_ckn.testing.problem import Arrays, Problem, dot, quietly, restricted
from tinygrad_ckn.testing.verdict import Claim, Outcome, halves

_NEXT_TO_IT = 2.0**-24


def raise_wrong(
    problem: Problem, point: Point, i: int, direction: Arrays, outcome: Outcome
) -> NoReturn:
    """Raise the error of a wrong gradient of argument i, detected along a direction."""
    step = outcome.numeric.step

    def off(start: int, stop: int) -> float:
        part = restricted(direction, i, start, stop)
        slope, _ = quick(Line(problem, point.upstream, point.values, part), step)
        return _or_infinite(math.fabs(dot(point.gradients, problem.displacement(part)) - slope))

    head = f"{problem.name}: gradient of argument {problem.names[i]}"
    with quietly():
        k = halves(direction[i].size, off)
        part, unit = single(problem, i, k)
        at_output = _at_output(problem, point, i, part, outcome)
        for where, found in (
            ((f" of output {at_output[0]}", at_output[1]), ("", point))
            if at_output
            else (("", point),)
        ):
            one = claim_of(problem, found, part, outcome.claim.tolerance, 0.0)
            line = Line(problem, found.upstream, found.values, part)
            finding, numeric = one.judge(settle(line, line.size()).central)
            if finding == "wrong":
                what = f"{head}: {element(k, direction[i].shape)} expected"
                raise GradientError(_sentence(what, f"differences{where}", one, numeric, unit))
    what = f"{head}: along a random direction (no single element stands out) expected"
    raise GradientError(_sentence(what, "differences", outcome.claim, outcome.numeric, 1.0))


def raise_not_differentiable(
    problem: Problem, point: Point, direction: Arrays, outcome: Outcome
) -> NoReturn:
    """Raise the error of a kink, a jump or a domain edge, detected along a direction."""

    def strength(start: int, stop: int) -> float:
        line = Line(problem, point.upstream, point.values, masked(direction, start, stop))
        return strength_of(line, outcome.finding)

    with quietly():
        place = halves(sum(d.size for d in direction if d is not None), strength)
        i, k = leaf_of(direction, place)
        part, unit = single(problem, i, k)
        upstream = _kinked_output(problem, point, part)
        line = Line(problem, upstream, point.values, part)
        sides = settle(line, line.size())
    left, right = two(sides.left.best.value / unit, sides.right.best.value / unit)
    told = {
        "kink": "a kink"
        if left == right
        else f"a kink: slope {left} on one side, {right} on the other",
        "gap": f"a jump by {sides.gap:.3g}",
        "edge": "the edge of the domain: no finite value on one side, however small the step",
    }[outcome.finding]
    error = problem.step_error
    if outcome.finding == "edge" and error is not None:
        told += f" ({type(error).__name__}: {error})"
    raise NotDifferentiableError(
        f"{problem.name}: gradient of argument {problem.names[i]}: the function is not "
        "differentiable here "
        f"({told}, at {element(k, direction[i].shape)}); move the input away from there"
    )


def raise_undecided(problem: Problem, what: str, outcome: Outcome) -> NoReturn:
    """Raise the error of a comparison that the uncertainty of differences leaves open."""
    claim = outcome.claim
    numeric = outcome.numeric
    if not math.isfinite(numeric.uncertainty):
        told = "differences do not settle, with whatever step"
    else:
        expected, got = two(numeric.value, claim.analytic)
        told = f"differences give {expected} +- {numeric.uncertainty:.1g}"
        told += f" where the rule gives {got}" if expected != got else ", as the rule does"
    raise UndecidedError(
        f"{problem.name}: {what}: cannot decide, {told}, which is too uncertain for the tolerance "
        f"{claim.tolerance:.0e} (the function is too noisy, or too steep); compute it more "
        "exactly, move the input, or "
        "pass a larger tolerance="
    )


def two(a: float, b: float) -> tuple[str, str]:
    """Return two numbers with two digits more than it takes to distinguish them."""
    digits = next((p for p in range(4, 16) if f"{a:.{p}g}" != f"{b:.{p}g}"), 15) + 2
    return f"{a:.{digits}g}", f"{b:.{digits}g}"


def _sentence(what: str, how: str, claim: Claim, numeric: Estimate, unit: float) -> str:
    expected, got = two(numeric.value / unit, claim.analytic / unit)
    error = math.fabs(claim.analytic - numeric.value) / max(
        math.fabs(claim.analytic), math.fabs(numeric.value)
    )
    return (
        f"{what} {expected} +- {numeric.uncertainty / abs(unit):.1g} ({how}, step "
        f"{numeric.step * abs(unit):.1g}), got "
        f"{got}; relative error {error:.1e} is over the tolerance {claim.tolerance:.0e}"
    )


def _or_infinite(x: float) -> float:
    return x if math.isfinite(x) else math.inf


def strength_of(phi: Callable[[float], float], finding: str) -> float:
    """Return the strength of a kink, a jump or an edge at 0, from steps next to it."""
    ends = phi(_NEXT_TO_IT), phi(-_NEXT_TO_IT)
    outside = sum(not math.isfinite(end) for end in ends)
    if finding == "edge" or outside:
        return outside * (1.0 if finding == "edge" else math.inf)
    return math.fabs(quick(phi, _NEXT_TO_IT)[1]) if finding == "kink" else max(map(math.fabs, ends))


def single(problem: Problem, i: int, k: int) -> tuple[list[Any], float]:
    """Return the direction along the k-th element of leaf i, and the unit of its steps."""
    x = problem.origin[i]
    xp = xp_of(x)
    one = (xp.arange(x.size) == k).reshape(x.shape).astype("float64")
    unit = float((one * problem.units[i]).sum())
    return [one if j == i else None for j in range(len(problem.leaves))], unit


def one_hot(arrays: Arrays, o: int) -> list[Any]:
    """Return arrays of zeros with a one at element o, counted through all arrays."""
    return masked([xp_of(y).ones_like(y) for y in arrays], o, o + 1)


def masked(arrays: Arrays, start: int, stop: int) -> list[Any]:
    """Return arrays with elements start to stop - 1 kept, counted through all arrays.

    The other elements become zero; None stays None.
    """
    result: list[Any] = []
    for y in arrays:
        if y is None:
            result.append(None)
            continue
        k = xp_of(y).arange(y.size).reshape(y.shape)
        result.append(y * ((k >= start) & (k < stop)))
        start -= y.size
        stop -= y.size
    return result


def leaf_of(arrays: Arrays, place: int) -> tuple[int, int]:
    """Return the array and the element in it that a place counted through all means."""
    for j, d in enumerate(arrays):
        size = 0 if d is None else int(d.size)
        if place < size:
            return j, place
        place -= size
    raise IndexError(place)


def _output_name(arrays: Arrays, place: int) -> str:
    number, k = leaf_of(arrays, place)
    return (
        f"{number}, {element(k, arrays[number].shape)}"
        if len(arrays) > 1
        else element(k, arrays[number].shape)
    )


def _at_output(
    problem: Problem, point: Point, i: int, part: Arrays, outcome: Outcome
) -> tuple[str, Point] | None:
    """Return the output whose derivative is furthest off, and the point with it alone."""
    count = sum(int(y.size) for y in point.values)
    if count == 1:
        return None
    step = outcome.numeric.step
    ends = [problem.moved_values((s * step, part)) for s in (1, -1, 2, -2)]
    ends = [end for end in ends if end is not None]
    if len(ends) < 4:
        return None
    column = [(8 * (a - b) - (c - d)) / (12 * step) for a, b, c, d in zip(*ends, strict=True)]
    along = problem.displacement(part)
    outputs = problem.outputs()

    def off(start: int, stop: int) -> float:
        upstream = masked(point.upstream, start, stop)
        return _or_infinite(
            math.fabs(
                dot(problem.pull(outputs, upstream, retain_graph=True), along)
                - dot(upstream, column)
            )
        )

    o = halves(count, off)
    upstream = one_hot(point.values, o)
    return _output_name(point.values, o), Point(
        point.values, upstream, problem.pull(outputs, upstream)
    )


def _kinked_output(problem: Problem, point: Point, part: Arrays) -> list[Any]:
    """Return an upstream gradient of the one output whose one-sided slopes differ most."""
    ends = [problem.moved_values((s, part)) for s in (_NEXT_TO_IT, -_NEXT_TO_IT)]
    if ends[0] is None or ends[1] is None:
        return point.upstream
    bends = [
        abs(a - 2 * y + b).reshape(-1)
        for a, y, b in zip(ends[0], point.values, ends[1], strict=True)
    ]
    flat = xp_of(bends[0]).concatenate(bends)
    return one_hot(point.values, int(flat.argmax()))
