"""Values and gradients at the point, and step units chosen from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from tinygrad_ckn.backend import Generator, NDArray, xp_of
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.testing.estimates import QUICK_STEPS
from tinygrad_ckn.testing.problem import (
    Arrays,
    Problem,
    dot,
    norm,
    power_of_two,
    random_like,
    rms,
    sum_of_sizes,
    term_size,
)
from tinygrad_ckn.testing.verdict import Claim


class Point(NamedTuple):
    """Values, upstream gradient and gradients of the leaves at the origin."""

    values: list[Any]
    upstream: list[Any]
    gradients: list[Any]

    @property
    def size(self) -> float:
        """Magnitude of <upstream, values>; zero derivatives are compared with it."""
        return math.hypot(
            *(norm([g]) * norm([y]) for g, y in zip(self.upstream, self.values, strict=True))
        )


def evaluated(problem: Problem, generator: Generator, eps: float | None = None) -> Point:
    """Evaluate function and gradient at the origin, and choose the step units.

    `eps` is the first step, in the unit of the inputs.

    Raises
    ------
    GradientError
        If an input, a value or a gradient is not finite, or if inputs or upstream
        gradients are changed in place.
    """
    _check_finite_inputs(problem)
    before = [x.copy() for x in problem.origin]
    outputs = problem.outputs()
    values = [y.data.copy() for y in outputs]
    _check_unchanged(problem, before, "the forward")
    upstream = _balanced(problem, outputs, values, random_like(values, generator))
    kept = [g.copy() for g in upstream]
    gradients = problem.pull(outputs, upstream)
    _check_unchanged(problem, before, "the backward")
    if not all(bool((a == b).all()) for a, b in zip(upstream, kept, strict=True)):
        raise GradientError(
            f"{problem.name}: the upstream gradient expected to be left as it is, got other "
            "values after the backward; "
            "copy it before writing"
        )
    _check_finite(problem, values, gradients)
    point = Point(values, upstream, gradients)
    if eps is None:
        choose_units(problem, point)
    else:
        problem.units = [eps / QUICK_STEPS[0]] * len(problem.leaves)
    return point


def _balanced(problem: Problem, outputs: Arrays, values: Arrays, upstream: Arrays) -> list[Any]:
    """Return upstream gradients with which all outputs contribute equally to gradients."""
    if len(values) < 2:
        return list(upstream)
    slopes = [
        norm(problem.pull([y], [g], retain_graph=True))
        for y, g in zip(outputs, upstream, strict=True)
    ]
    return weighed(upstream, slopes, values)


def weighed(upstream: Arrays, slopes: Sequence[float], values: Arrays) -> list[Any]:
    """Return upstream gradients weighted so that an error in any output is visible.

    Weights make up for unequal slopes. None makes an output's values larger than the
    largest, since their rounding is the limit.
    """
    sizes = [norm([y]) for y in values]
    found = []
    for g, slope, size in zip(upstream, slopes, sizes, strict=True):
        room = max(sizes) / size if size else 1.0
        weight = power_of_two(min(max(slopes) / slope, room)) if slope else 1.0
        found.append(g * max(weight, 1.0))
    return found


def claim_of(
    problem: Problem, point: Point, direction: Arrays, tolerance: float, atol: float
) -> Claim:
    """Return the derivative of <upstream, f> along a direction by the gradients."""
    along = problem.displacement(direction)
    return Claim(
        dot(point.gradients, along),
        typical_size(point.gradients, along),
        point.size,
        atol * sum_of_sizes(along),
        tolerance,
        1,
    )


def typical_size(gradients: Arrays, along: Arrays) -> float:
    """Return the magnitude of <gradients, along> for terms of random sign."""
    terms = [
        g * d for g, d in zip(gradients, along, strict=True) if g is not None and d is not None
    ]
    return norm(terms)


def choose_units(problem: Problem, point: Point) -> None:
    """Choose step units with which all elements change <upstream, f> equally.

    Steps are relative to the size of the data, larger if the function would hardly
    change, and smaller for elements whose gradient is far above the others', as next to
    a singularity.
    """
    size = term_size(point.upstream, point.values)
    for i, (x, gradient) in enumerate(zip(problem.origin, point.gradients, strict=True)):
        xp = xp_of(x)
        scale = rms([x]) or 1.0
        slope = rms([gradient])
        # a smaller step is lost in rounding
        if scale < 1 and scale * slope < 1e-3 * size:
            scale = min(1.0, 1e-3 * size / slope) if slope else 1.0
        unit = problem.units[i] = power_of_two(scale)
        if gradient is None or x.size < 2 or not slope:
            continue
        share = unit * abs(gradient)
        shares = xp.sort(share[share > 0])
        enough = max(8 * float(shares[shares.size // 10]), 1e-3 * size)
        if float(shares[-1]) > enough:
            problem.units[i] = unit * 2.0 ** xp.floor(xp.log2(enough / xp.maximum(share, enough)))


def position(k: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the index of the k-th element."""
    place: list[int] = []
    for n in reversed(shape):
        place.insert(0, k % n)
        k //= n
    return tuple(place)


def element(k: int, shape: tuple[int, ...]) -> str:
    """Return the name of the k-th element of an array in a message."""
    return f"element {position(k, shape)}" if shape else "its one element"


def nonfinite(array: NDArray[Any] | None) -> int | None:
    """Return the index of the first element that is NaN or infinite."""
    if array is None or bool(xp_of(array).isfinite(array).all()):
        return None
    return int((~xp_of(array).isfinite(array)).reshape(-1).argmax())


def _check_unchanged(problem: Problem, before: Arrays, what: str) -> None:
    changed = [
        i
        for i, (x, b) in enumerate(zip(problem.origin, before, strict=True))
        if not bool(_same(x, b))
    ]
    for i in changed:
        problem.origin[i][...] = before[i]
    if changed:
        raise GradientError(
            f"{problem.name}: {what} expected to leave argument {problem.names[changed[0]]} as "
            "it is, got other values "
            "in it afterwards (it writes into its input in place); copy the array before writing"
        )


def _same(a: Any, b: Any) -> Any:
    xp = xp_of(a)
    return ((a == b) | (xp.isnan(a) & xp.isnan(b))).all()


def _check_finite_inputs(problem: Problem) -> None:
    for name, x in zip(problem.names, problem.origin, strict=True):
        k = nonfinite(x)
        if k is not None:
            raise GradientError(
                f"{problem.name}: argument {name} expected finite values, got {value_of(x, k)} at "
                f"{element(k, x.shape)}; move the input, or leave it unchecked: a Tensor that "
                "does not require grad "
                "beside one that does"
            )


def _check_finite(problem: Problem, values: Arrays, gradients: Arrays) -> None:
    for number, y in enumerate(values):
        k = nonfinite(y)
        if k is not None:
            which = f" {number}" if len(values) > 1 else ""
            raise GradientError(
                f"{problem.name}: expected finite values at the inputs, got NaN or infinity "
                f"({value_of(y, k)} in output{which}, {element(k, y.shape)}); move the inputs"
            )
    for name, gradient in zip(problem.names, gradients, strict=True):
        k = nonfinite(gradient)
        if k is not None:
            raise GradientError(
                f"{problem.name}: gradient of argument {name}: {element(k, gradient.shape)} "
                "expected a finite number, "
                f"got {value_of(gradient, k)}, though the function's values are finite; mend the "
                "rule, or move the "
                "input if the function has no derivative here"
            )


def value_of(array: NDArray[Any], k: int) -> str:
    """Return the k-th element, which is not finite, as text."""
    return {"nan": "NaN", "inf": "infinity", "-inf": "-infinity"}[str(float(array.reshape(-1)[k]))]
