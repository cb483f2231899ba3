"""Checks of derivatives against finite differences, along random directions with random upstream gradients.

Order 1 compares <J^T g, v> with the derivative of <g, f(x + s v)>. Order 2 takes the derivatives of <J(x)^T g, u> in g,
along w, and in x, along v, and compares them with the derivative of <w, f(x + s u)> and the mixed second derivative of
<g, f(x + s u + t v)>. These use values of f only: a wrong first derivative cannot vouch for a wrong second one, and the
first of them finds it for linear f too.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinygrad_ckn.backend import Generator, rng, to_numpy, xp_of
from tinygrad_ckn.backward import backpropagate
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.functional import jvp
from tinygrad_ckn.graph import Variable
from tinygrad_ckn.modes import enable_grad
from tinygrad_ckn.testing._numeric import Estimate, derivative, has_kink
from tinygrad_ckn.testing._problem import Problem, count, dot, norm, problem_of, random_like

TOLERANCE = {1: 1e-7, 2: 1e-6}
_FLOOR = {1: 1e-5, 2: 1e-3}  # derivatives this much smaller than value / argument^order are compared with that


@dataclass(frozen=True)
class Comparison:
    """One derivative, both ways: of which order, in which argument, and the relative error."""

    order: int
    argument: str
    analytic: float
    numeric: Estimate
    error: float


@dataclass
class Report:
    """What was compared; `error` is the worst."""

    name: str
    comparisons: list[Comparison] = field(default_factory=list)

    @property
    def error(self) -> float:
        """Largest relative error of all comparisons; 0 when there was nothing to compare."""
        return max((c.error for c in self.comparisons), default=0.0)

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.name}: {len(self.comparisons)} derivatives compared, largest relative error {self.error:.1e}"


def _relative(analytic: float, numeric: Estimate, typical: float, magnitude: float, order: int = 1) -> float:
    """Return the error relative to the larger of the derivative, its typical size, and a floor from the values."""
    floor = _FLOOR[order] * max(magnitude, numeric.size)
    size = max(math.fabs(analytic), math.fabs(numeric.value), typical, floor)
    return math.fabs(analytic - numeric.value) / size if size else 0.0


def _first_order(problem: Problem, generator: Generator, tolerance: float) -> list[Comparison]:
    outputs = problem.outputs()
    values = [y.data for y in outputs]
    upstream = random_like(values, generator)
    pulled = problem.pull(outputs, upstream)
    if not all(bool(xp_of(y).isfinite(y).all()) for y in values):
        raise GradientError(
            f"{problem.name}: expected finite values at the inputs, got NaN or infinity; move the inputs"
        )
    if any(not (a == b).all() for a, b in zip(values, problem.values(), strict=True)):
        raise GradientError(f"{problem.name}: expected the same result twice, got two; fix the function's random seed")
    comparisons = []
    for i, name in enumerate(problem.names):
        gradient, scale = pulled[i], problem.scales[i]
        direction = problem.directions(generator, only=i)
        analytic = scale * dot([gradient], [direction[i]])
        numeric = derivative(problem.along(upstream, direction))
        typical = scale * norm([gradient]) * norm(direction) / math.sqrt(count([problem.origin[i]]))
        error = _relative(analytic, numeric, typical, norm(upstream) * norm(values))
        comparisons.append(Comparison(1, name, analytic, numeric, error))
        kink = has_kink(problem.along(upstream, direction))
        if kink or not error <= tolerance:
            raise GradientError(_explain(problem, i, upstream, gradient, comparisons[-1], tolerance, kink))
    return comparisons


def _explain(
    problem: Problem, i: int, upstream: Any, gradient: Any, worst: Comparison, tolerance: float, kink: bool
) -> str:
    """Find the element of argument i whose derivative is most off, and say so; or that the point is a kink."""
    head = f"{problem.name}: gradient of argument {problem.names[i]}"
    origin = problem.origin[i]
    numeric_size = max(math.fabs(worst.numeric.value), math.fabs(worst.analytic))
    if kink or not worst.numeric.uncertainty <= 1e-3 * numeric_size:
        return (
            f"{head}: the function does not seem to be differentiable here (a kink, or noise): differences with "
            f"smaller and smaller steps do not settle, or the two sides differ; "
            "move the input away from the kink"
        )
    found = (0.0, "no single element", 0.0, worst.numeric)
    flat = to_numpy(gradient).reshape(-1) if gradient is not None else [0.0] * origin.size
    for k in range(min(origin.size, 256)):
        unit = [0 * x for x in problem.origin]
        unit[i] = unit[i].reshape(-1)
        unit[i][k] = 1.0
        unit[i] = unit[i].reshape(origin.shape)
        numeric = derivative(problem.along(upstream, unit))
        analytic = float(flat[k]) * problem.scales[i]
        if math.fabs(analytic - numeric.value) > found[0]:
            found = (math.fabs(analytic - numeric.value), f"element {_position(k, origin.shape)}", analytic, numeric)
    _, where, analytic, numeric = found
    scale = problem.scales[i]
    return (
        f"{head}: {where} expected {numeric.value / scale:.9g} (central differences, step {numeric.step * scale:.1g}), "
        f"got {analytic / scale:.9g}; relative error {worst.error:.1e} is over the tolerance {tolerance:.0e}"
    )


def _position(k: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    position: list[int] = []
    for n in reversed(shape):
        position.insert(0, k % n)
        k //= n
    return tuple(position)


def _second_order(problem: Problem, generator: Generator, tolerance: float) -> list[Comparison]:
    comparisons = []
    for i, name in enumerate(problem.names):
        with enable_grad():
            outputs = problem.outputs()
            values = [y.data for y in outputs]
            gradients = [Variable.leaf(g) for g in random_like(values, generator)]
            pulled = problem.pull(outputs, gradients, create_graph=True)[i]
        u, v = problem.directions(generator, only=i), problem.directions(generator)
        w = random_like(values, generator)
        results: dict[Any, Any] = {}
        if pulled is not None and pulled.requires_grad:
            root = (pulled._node or pulled, problem.scales[i] * u[i])
            results = backpropagate([root], [*problem.leaves, *gradients])
        upstream = [g.data for g in gradients]
        moved = [s * d for s, d in zip(problem.scales, v, strict=True)]
        size = max(norm(upstream), norm(w)) * norm(values)
        for what, sources, along, numeric, order in (
            ("upstream gradient", gradients, w, derivative(problem.along(w, u)), 1),
            ("inputs", problem.leaves, moved, problem.mixed(upstream, u, v), 2),
        ):
            second = [results.get(source) for source in sources]
            analytic = dot(second, along)
            typical = norm(second) * norm(along) / math.sqrt(count(along))
            error = _relative(analytic, numeric, typical, size, order)
            comparisons.append(Comparison(2, name, analytic, numeric, error))
            if not error <= tolerance:
                raise GradientError(
                    f"{problem.name}: derivative, in the {what}, of the gradient of argument {name} expected "
                    f"{numeric.value:.9g} +- {numeric.uncertainty:.1g} (differences of the function's values, step "
                    f"{numeric.step:.1g}), got {analytic:.9g}; relative error {error:.1e} is over the tolerance "
                    f"{tolerance:.0e}"
                )
    return comparisons


def _run(problem: Problem, orders: Sequence[int], tolerances: dict[int, float], seed: int) -> Report:
    generator = rng(seed)
    report = Report(problem.name)
    for order in orders:
        check = _first_order if order == 1 else _second_order
        report.comparisons += check(problem, generator, tolerances[order])
    return report


def gradcheck(
    function: Callable[..., Any], inputs: Any, *, order: int = 1, tolerance: float | None = None, seed: int = 0
) -> Report:
    """Check the gradient of a function, and for order=2 the gradient of that too.

    Each argument is checked along one random direction: an error in a single element of many shows diluted by the
    square root of their number. Keep the arrays small.

    Parameters
    ----------
    function
        Of Tensors, returning a Tensor or a tuple of them.
    inputs
        The point: arrays or Tensors, or one of them. Floating ones are checked, in float64; others passed as they are.
    order
        1 or 2 (both orders).
    tolerance
        Largest relative error; default 1e-7 at order 1, 1e-6 at order 2.
    seed
        Of the random upstream gradients and directions.

    Returns
    -------
    Report
        With every comparison, and the largest `error`.

    Raises
    ------
    GradientError
        If a derivative is off, naming argument, element, both values and the step; or if the point is a kink.

    Examples
    --------
    >>> print(gradcheck(lambda x: ops.exp(x) * x, np.array([0.5, -1.0])).error < 1e-7)
    True
    """
    if order not in (1, 2):
        raise GradientError(f"gradcheck: argument order expected 1 or 2, got {order!r}")
    tolerances = TOLERANCE if tolerance is None else {1: tolerance, 2: tolerance}
    return _run(problem_of(function, inputs), range(1, order + 1), tolerances, seed)


def gradgradcheck(
    function: Callable[..., Any], inputs: Any, *, tolerance: float = TOLERANCE[2], seed: int = 0
) -> Report:
    """Check second derivatives alone, against differences of the function's values; arguments as for `gradcheck`.

    Raises
    ------
    GradientError
        If a second derivative is off.

    Examples
    --------
    >>> gradgradcheck(ops.tanh, np.array([0.5, -1.0])).error < 1e-6
    True
    """
    return _run(problem_of(function, inputs), (2,), {2: tolerance}, seed)


def check_jvp(function: Callable[..., Any], inputs: Any, *, tolerance: float = TOLERANCE[1], seed: int = 0) -> Report:
    """Check `jvp` of a function of floating inputs, returning one Tensor, along a random direction.

    Raises
    ------
    GradientError
        If the product is off.

    Examples
    --------
    >>> check_jvp(ops.tanh, np.array([0.5, -1.0])).error < 1e-7
    True
    """
    problem = problem_of(function, inputs)
    generator = rng(seed)
    values = problem.values()
    upstream = random_like(values, generator)
    direction = problem.directions(generator)
    tangents = [s * d for s, d in zip(problem.scales, direction, strict=True)]
    product = jvp(problem.function, [Variable.wrap(x) for x in problem.origin], tangents)[1].data
    analytic = dot(upstream, [product])
    numeric = derivative(problem.along(upstream, direction))
    typical = norm(upstream) * norm([product]) / math.sqrt(count(upstream))
    error = _relative(analytic, numeric, typical, norm(upstream) * norm(values))
    if not error <= tolerance:
        raise GradientError(
            f"{problem.name}: jvp along a random direction expected {numeric.value:.9g}, got {analytic:.9g}; "
            f"relative error {error:.1e} is over the tolerance {tolerance:.0e}"
        )
    return Report(problem.name, [Comparison(1, "all", analytic, numeric, error)])


def check_adjoint(function: Callable[..., Any], inputs: Any, *, tolerance: float = 1e-12, seed: int = 0) -> Report:
    """Check <J u, g> = <u, J^T g> for a function linear (or affine) in each input, to rounding: no differences.

    J u is the function's own value at u less that at 0, so that the rule is compared with nothing but the forward.

    Raises
    ------
    GradientError
        If the identity fails: the rule is wrong, or the function is not linear in that input.

    Examples
    --------
    >>> check_adjoint(lambda x: ops.unfold(x, 2), np.ones((1, 1, 3, 4))).error <= 1e-12
    True
    """
    problem = problem_of(function, inputs)
    generator = rng(seed)
    outputs = problem.outputs()
    upstream = random_like([y.data for y in outputs], generator)
    pulled = problem.pull(outputs, upstream)
    report = Report(problem.name)
    for i, name in enumerate(problem.names):
        direction = problem.directions(generator, only=i)
        problem.scales[i] = 1.0
        away = [-x if k == i else 0 * x for k, x in enumerate(problem.origin)]
        pushed = [
            a - b for a, b in zip(problem.values((1, away), (1, direction)), problem.values((1, away)), strict=True)
        ]
        forward, backward = dot(upstream, pushed), dot([pulled[i]], [direction[i]])
        size = norm(upstream) * norm(pushed) + norm(direction) * norm([pulled[i]])
        error = math.fabs(forward - backward) / size if size else 0.0
        report.comparisons.append(Comparison(1, name, backward, Estimate(forward, 0.0, 1.0, math.fabs(forward)), error))
        if not error <= tolerance:
            raise GradientError(
                f"{problem.name}: adjoint identity in argument {name} expected <J u, g> = <u, J^T g>, got "
                f"{forward:.12g} and {backward:.12g}; relative error {error:.1e} is over the tolerance {tolerance:.0e}"
            )
    return report


def check_module(module: Any, *inputs: Any, order: int = 1, tolerance: float | None = None, seed: int = 0) -> Report:
    """Check the gradients of a module's output in its inputs and in every one of its parameters, on a float64 copy.

    Parameters
    ----------
    module
        With `named_parameters()`; called with `inputs`. It is left as it is.
    inputs
        Arrays or Tensors; floating ones are checked too.
    order, tolerance, seed
        As for `gradcheck`.

    Raises
    ------
    GradientError
        If a derivative is off, naming the parameter.

    Examples
    --------
    >>> from tinygrad_ckn import nn
    >>> check_module(nn.Linear(3, 2, rng=0), np.ones((4, 3))).error < 1e-7
    True
    """
    twin = copy.deepcopy(module)
    for _, tensor in twin.named_tensors():
        if tensor.dtype.kind == "f":
            tensor._data = tensor._data.astype("float64")
    trained = {name: p for name, p in twin.named_parameters() if p.requires_grad}
    at_inputs = problem_of(twin, inputs)
    count_inputs = len(at_inputs.leaves)
    problem = Problem(
        type(module).__name__,
        lambda *leaves: at_inputs.function(*leaves[:count_inputs]),
        [*at_inputs.leaves, *trained.values()],
        [*at_inputs.names, *trained],
    )
    tolerances = TOLERANCE if tolerance is None else {1: tolerance, 2: tolerance}
    return _run(problem, range(1, order + 1), tolerances, seed)
