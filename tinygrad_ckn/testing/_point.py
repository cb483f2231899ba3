"""What the analytic side says at the point, and everything that can be wrong with it before differences are taken."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tinygrad_ckn.backend import Generator, to_numpy, xp_of
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.testing._estimates import QUICK_STEPS, settle
from tinygrad_ckn.testing._layout import strided
from tinygrad_ckn.testing._problem import Arrays, Line, Problem, dot, norm, power_of_two, random_like, rms, term_size
from tinygrad_ckn.testing._verdict import BEYOND, Claim

_LARGEST_SINGLE = 3e38
_ALIKE = 1e-6  # relative difference of gradients that are computed on other layouts in memory


class Point(NamedTuple):
    """Values, an upstream gradient, and the gradients of the leaves at the origin."""

    values: list[Any]
    upstream: list[Any]
    gradients: list[Any]

    @property
    def size(self) -> float:
        """Size of <upstream, values>, to which derivatives that vanish are compared."""
        return norm(self.upstream) * norm(self.values)


def evaluated(problem: Problem, generator: Generator, eps: float | None = None) -> Point:
    """Evaluate function and gradient at the origin, and choose the units of the steps.

    `eps` is the step to begin with, in the inputs' own unit.

    Raises
    ------
    GradientError
        If a value or a gradient is not finite, or inputs or upstream gradients are changed in place.
    """
    before = [x.copy() for x in problem.origin]
    outputs = problem.outputs()
    values = [y.data.copy() for y in outputs]
    _check_unchanged(problem, before, "the forward")
    upstream = random_like(values, generator)
    kept = [g.copy() for g in upstream]
    gradients = problem.pull(outputs, upstream)
    _check_unchanged(problem, before, "the backward")
    if not all(bool((a == b).all()) for a, b in zip(upstream, kept, strict=True)):
        raise GradientError(
            f"{problem.name}: the upstream gradient expected to be left as it is, got other values after the backward; "
            "copy it before writing"
        )
    _check_finite(problem, values, gradients)
    point = Point(values, upstream, gradients)
    if eps is None:
        choose_units(problem, point)
    else:
        problem.units = [eps / QUICK_STEPS[0]] * len(problem.leaves)
    return point


def examine(problem: Problem, point: Point, nondet_tol: float = 0.0) -> None:
    """Look for what can be wrong with the gradients before any difference is taken.

    Raises
    ------
    GradientError
        If two calls differ by more than `nondet_tol`, a gradient has the precision of float32, or it depends on the
        layout of inputs or upstream gradient in memory.
    """
    _check_repeated(problem, point, nondet_tol)
    _check_precision(problem, point)
    _check_layouts(problem, point, nondet_tol)


def claim_of(problem: Problem, point: Point, direction: Arrays, tolerance: float, atol: float) -> Claim:
    """Return what the gradients say about <upstream, f> along a direction."""
    along = problem.displacement(direction)
    return Claim(
        dot(point.gradients, along), typical_size(point.gradients, along), point.size, atol * norm(along), tolerance, 1
    )


def typical_size(gradients: Arrays, along: Arrays) -> float:
    """Return the size of <gradients, along> if its terms had random signs."""
    terms = [g * d for g, d in zip(gradients, along, strict=True) if g is not None and d is not None]
    return norm(terms)


def choose_units(problem: Problem, point: Point) -> None:
    """Make units such that all elements change <upstream, f> alike.

    Steps are relative to the size of the data. They are larger where the function would hardly change by that, and
    smaller for elements whose gradient is far above the others': near a singularity these are the steep ones.
    """
    size = term_size(point.upstream, point.values)
    for i, (x, gradient) in enumerate(zip(problem.origin, point.gradients, strict=True)):
        xp = xp_of(x)
        scale = rms([x]) or 1.0
        slope = rms([gradient])
        if scale < 1 and scale * slope < 1e-3 * size:  # a step of this size is lost in rounding
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
    """Name the k-th element of an array; a scalar has but one."""
    return f"element {position(k, shape)}" if shape else "its one element"


def nonfinite(array: Any) -> int | None:
    """Return the number of the first element that is NaN or infinite."""
    if array is None or bool(xp_of(array).isfinite(array).all()):
        return None
    return int((~xp_of(array).isfinite(array)).reshape(-1).argmax())


def _check_unchanged(problem: Problem, before: Arrays, what: str) -> None:
    changed = [i for i, (x, b) in enumerate(zip(problem.origin, before, strict=True)) if not bool(_same(x, b))]
    for i in changed:
        problem.origin[i][...] = before[i]
    if changed:
        raise GradientError(
            f"{problem.name}: {what} expected to leave argument {problem.names[changed[0]]} as it is, got other values "
            "in it afterwards (it writes into its input in place); copy the array before writing"
        )


def _same(a: Any, b: Any) -> Any:
    xp = xp_of(a)
    return ((a == b) | (xp.isnan(a) & xp.isnan(b))).all()


def _check_finite(problem: Problem, values: Arrays, gradients: Arrays) -> None:
    for number, y in enumerate(values):
        k = nonfinite(y)
        if k is not None:
            which = f" {number}" if len(values) > 1 else ""
            raise GradientError(
                f"{problem.name}: expected finite values at the inputs, got NaN or infinity "
                f"({_value(y, k)} in output{which}, {element(k, y.shape)}); move the inputs"
            )
    for name, gradient in zip(problem.names, gradients, strict=True):
        k = nonfinite(gradient)
        if k is not None:
            raise GradientError(
                f"{problem.name}: gradient of argument {name}: {element(k, gradient.shape)} expected a finite number, "
                f"got {_value(gradient, k)}, though the function's values are finite; mend the rule, or move the input "
                "if the function has no derivative here"
            )


def _value(array: Any, k: int) -> str:
    return {"nan": "NaN", "inf": "infinity", "-inf": "-infinity"}[str(float(array.reshape(-1)[k]))]


def _check_repeated(problem: Problem, point: Point, nondet_tol: float) -> None:
    outputs = problem.outputs()
    again = [y.data for y in outputs]
    if [y.shape for y in again] != [y.shape for y in point.values] or _apart(point.values, again) > nondet_tol:
        raise GradientError(
            f"{problem.name}: expected the same result twice, got two; fix the function's random seed, or allow the "
            "difference with nondet_tol="
        )
    k = _apart_at(point.gradients, problem.pull(outputs, point.upstream), nondet_tol)
    if k is not None:
        raise GradientError(
            f"{problem.name}: gradient of argument {problem.names[k]} expected the same values twice, got two; fix the "
            "random seed of the rule, or allow the difference with nondet_tol="
        )


def _apart(a: Arrays, b: Arrays) -> float:
    return max((float(abs(x - y).max()) for x, y in zip(a, b, strict=True) if x.size), default=0.0)


def _apart_at(a: Arrays, b: Arrays, limit: float) -> int | None:
    """Return the number of the first pair of arrays (None: zeros) that differ by more than a limit."""
    for k, (x, y) in enumerate(zip(a, b, strict=True)):
        if (x is None) != (y is None) or (x is not None and _apart([x], [y]) > limit):
            return k
    return None


def _check_precision(problem: Problem, point: Point) -> None:
    """Refuse gradients whose every element is a float32: upstream gradients are random in all 53 bits."""
    for name, gradient in zip(problem.names, point.gradients, strict=True):
        if gradient is None or not gradient.any() or float(abs(gradient).max()) > _LARGEST_SINGLE:
            continue
        if bool((gradient.astype("float32").astype("float64") == gradient).all()):
            raise GradientError(
                f"{problem.name}: gradient of argument {name} expected the precision of float64, got float32 numbers "
                "in every element; keep the dtype of the upstream gradient in the rule"
            )


def _check_layouts(problem: Problem, point: Point, nondet_tol: float) -> None:
    """Compare gradients with those for the same numbers in strided memory, and for an expanded upstream gradient."""
    outputs = problem.outputs()
    cases = [("a strided upstream gradient", point.gradients, [strided(g) for g in point.upstream])]
    if all(g.size for g in point.upstream):
        wide = [xp_of(g).broadcast_to(g.reshape(-1)[0], g.shape) for g in point.upstream]
        plain = problem.pull(outputs, [g.copy() for g in wide], retain_graph=True)
        cases.append(("an expanded upstream gradient (strides 0)", plain, wide))
    for what, expected, upstream in cases:
        _check_alike(problem, point, what, expected, problem.pull(outputs, upstream, retain_graph=True), nondet_tol)
    with problem.elsewhere([strided(x) for x in problem.origin]):
        try:
            there = problem.pull(problem.outputs(), point.upstream)
        except (TypeError, ValueError):  # refused: that is no wrong gradient
            return
    _check_alike(problem, point, "inputs that are strided in memory", point.gradients, there, nondet_tol)


def _check_alike(problem: Problem, point: Point, what: str, expected: Arrays, got: Arrays, nondet_tol: float) -> None:
    for i, (a, b) in enumerate(zip(expected, got, strict=True)):
        difference = a - b if a is not None and b is not None else a if b is None else b
        if difference is None or norm([difference]) <= _ALIKE * norm([a]) + nondet_tol * difference.size:
            continue
        k = int(abs(to_numpy(difference)).reshape(-1).argmax())
        if expected is point.gradients and not _stands_out(problem, point, i, difference):
            continue
        told = [0.0 if g is None else float(g.reshape(-1)[k]) for g in (a, b)]
        raise GradientError(
            f"{problem.name}: gradient of argument {problem.names[i]}: {element(k, difference.shape)} expected "
            f"{told[0]:.9g} as for contiguous arrays, got {told[1]:.9g} with {what}; a rule must not depend on the "
            "layout in memory"
        )


def _stands_out(problem: Problem, point: Point, i: int, difference: Any) -> bool:
    """Tell whether gradients on two layouts differ by more than can be told by differences of an ill-conditioned f."""
    direction = [None if k != i else difference / norm([difference]) for k in range(len(problem.leaves))]
    line = Line(problem, point.upstream, point.values, direction)
    numeric = settle(line, line.size()).central.best
    apart = float((problem.units[i] * direction[i] * difference).sum())
    return math.fabs(apart) > BEYOND * numeric.uncertainty
