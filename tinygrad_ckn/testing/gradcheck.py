"""Checks of derivatives against finite differences, along random directions with random upstream gradients.

Order 1 compares <J^T g, v> with the derivative of <g, f(x + s v)>. Order 2 takes the derivatives of <J(x)^T g, u> in g,
along w, and in x, along v, and compares them with the derivative of <w, f(x + s u)> and the mixed second derivative of
<g, f(x + s u + t v)>. A verdict weighs the difference with the estimated uncertainty of the numeric derivative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_ckn.backend import rng
from tinygrad_ckn.errors import ConfigError, GradientError
from tinygrad_ckn.functional import jvp
from tinygrad_ckn.graph import Variable
from tinygrad_ckn.testing._arguments import module_problem, problem_of
from tinygrad_ckn.testing._culprit import raise_not_differentiable, raise_undecided, two
from tinygrad_ckn.testing._estimates import Estimate
from tinygrad_ckn.testing._first import first_order, telling_upstream
from tinygrad_ckn.testing._point import Point, evaluated, examine, typical_size
from tinygrad_ckn.testing._problem import Line, Problem, dot, norm, random_like
from tinygrad_ckn.testing._second import second_order
from tinygrad_ckn.testing._verdict import TOLERANCE, Claim, Comparison, Report, compare

__all__ = ["Comparison", "Report", "check_adjoint", "check_jvp", "check_module", "gradcheck", "gradgradcheck"]


@dataclass(frozen=True)
class _Options:
    """What the checks have in common."""

    tolerance: float | None
    seed: int
    eps: float | None
    atol: float
    rtol: float | None
    nondet_tol: float
    raise_exception: bool

    def __post_init__(self) -> None:
        if self.tolerance is not None and self.rtol is not None:
            raise ConfigError("gradcheck: expected tolerance or rtol, which are the same, got both; leave one out")
        for name in ("tolerance", "rtol", "eps", "atol", "nondet_tol"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0 and (value or name != "eps")):
                least = "> 0" if name == "eps" else ">= 0"
                raise ConfigError(f"gradcheck: argument {name} expected a number {least}, got {value!r}")

    def relative(self, order: int) -> float:
        """Return the tolerance of an order."""
        given = self.tolerance if self.tolerance is not None else self.rtol
        return TOLERANCE[order] if given is None else given


def _run(problem: Problem, orders: Sequence[int], options: _Options) -> Report:
    generator = rng(options.seed)
    report = Report(problem.name)
    try:
        point = evaluated(problem, generator, options.eps)
        examine(problem, point, options.nondet_tol)
        for order in orders:
            check = first_order if order == 1 else second_order
            report.comparisons += check(problem, point, generator, options.relative(order), options.atol)
    except GradientError as error:
        if options.raise_exception:
            raise
        report.fail(error)
    return report


def gradcheck(
    function: Callable[..., Any],
    inputs: Any,
    *,
    order: int = 1,
    tolerance: float | None = None,
    seed: int = 0,
    eps: float | None = None,
    atol: float = 0.0,
    rtol: float | None = None,
    nondet_tol: float = 0.0,
    raise_exception: bool = True,
    kwargs: Mapping[str, Any] | None = None,
) -> Report:
    """Check the gradient of a function, and for order=2 the gradient of that too.

    Each argument is checked along a random direction, with steps that follow from the gradient and from the estimated
    error; where that disagrees, the element at fault is looked for by halving. The verdict weighs the difference with
    the uncertainty of the numeric derivative, so that a kink near the point, a steep function or rounding is not taken
    for a wrong gradient. Upstream gradients and inputs that are strided in memory are tried too.

    Parameters
    ----------
    function
        Of Tensors, returning a Tensor or a tuple, list or dict of them; integer outputs are left out. It may itself
        call `grad`.
    inputs
        The point: arrays or Tensors, or one of them. Floating ones are checked, in float64; others passed as they are,
        as are Tensors without `requires_grad` beside one that requires it.
    order
        1 or 2 (both orders).
    tolerance, rtol
        Largest relative error (two names of one option); default 1e-7 at order 1, 1e-6 at order 2.
    seed
        Of the random upstream gradients and directions.
    eps
        Step to begin with, in the inputs' own unit; default: from the size of data and gradient.
    atol
        Error granted to each element of the gradient besides; default 0.
    nondet_tol
        Largest difference of two calls' results; default 0.
    raise_exception
        False: return the report of a gradient that is wrong, too, instead of an error.
    kwargs
        Keyword arguments of the function; floating arrays among them are checked as well.

    Returns
    -------
    Report
        True where the gradient is right; with the verdict, every comparison, and the largest `error`.

    Raises
    ------
    GradientError
        If a derivative is wrong, naming argument, element, both values and the step; `NotDifferentiableError` at a
        kink, a jump or the edge of the domain, `UndecidedError` if differences are too uncertain to tell.
    DTypeError
        If no input is floating, or the function returns something else than float64 Tensors.

    Examples
    --------
    >>> print(gradcheck(lambda x: ops.exp(x) * x, np.array([0.5, -1.0])).error < 1e-7)
    True
    >>> gradcheck(ops.abs, np.array([0.0, 1.0]), raise_exception=False).verdict
    'not differentiable'
    """
    if order not in (1, 2):
        raise GradientError(f"gradcheck: argument order expected 1 or 2, got {order!r}")
    options = _Options(tolerance, seed, eps, atol, rtol, nondet_tol, raise_exception)
    return _run(problem_of(function, inputs, kwargs), range(1, order + 1), options)


def gradgradcheck(
    function: Callable[..., Any],
    inputs: Any,
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
    options = _Options(tolerance, seed, eps, atol, rtol, nondet_tol, raise_exception)
    return _run(problem_of(function, inputs, kwargs), (2,), options)


def check_module(
    module: Any,
    *inputs: Any,
    order: int = 1,
    tolerance: float | None = None,
    seed: int = 0,
    eps: float | None = None,
    atol: float = 0.0,
    rtol: float | None = None,
    nondet_tol: float = 0.0,
    raise_exception: bool = True,
    kwargs: Mapping[str, Any] | None = None,
) -> Report:
    """Check the gradients of a module's output in its inputs and in every one of its parameters, on a float64 copy.

    Parameters
    ----------
    module
        With `named_parameters()`; called with `inputs`. It is left as it is.
    inputs
        Arrays or Tensors; floating ones are checked too.
    order, tolerance, seed, eps, atol, rtol, nondet_tol, raise_exception, kwargs
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
    if order not in (1, 2):
        raise GradientError(f"check_module: argument order expected 1 or 2, got {order!r}")
    options = _Options(tolerance, seed, eps, atol, rtol, nondet_tol, raise_exception)
    return _run(module_problem(module, inputs, kwargs), range(1, order + 1), options)


def check_jvp(
    function: Callable[..., Any],
    inputs: Any,
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
    options = _Options(tolerance, seed, eps, atol, rtol, nondet_tol, raise_exception)
    problem = problem_of(function, inputs, kwargs)
    report = Report(problem.name)
    try:
        report.comparisons.append(_compare_jvp(problem, options))
    except GradientError as error:
        if raise_exception:
            raise
        report.fail(error)
    return report


def _compare_jvp(problem: Problem, options: _Options) -> Comparison:
    generator = rng(options.seed)
    point = evaluated(problem, generator, options.eps)
    direction = problem.direction(generator)
    tangents = problem.displacement(direction)
    product = jvp(problem.function, [Variable.wrap(x) for x in problem.origin], tangents)[1].data
    upstream = telling_upstream(point.values, [product], generator)
    typical, allowed = typical_size(upstream, [product]), options.atol * norm(tangents)
    claim = Claim(dot(upstream, [product]), typical, point.size, allowed, options.relative(1), 1)
    outcome = compare(claim, Line(problem, upstream, point.values, direction))
    if outcome.finding == "wrong":
        expected, got = two(outcome.numeric.value, claim.analytic)
        raise GradientError(
            f"{problem.name}: jvp along a random direction expected {expected} +- {outcome.numeric.uncertainty:.1g}, "
            f"got {got}; relative error {claim.error(outcome.numeric):.1e} is over the tolerance {claim.tolerance:.0e}"
        )
    if outcome.finding == "undecided":
        raise_undecided(problem, "jvp", claim, outcome.numeric)
    if outcome.finding != "right":
        raise_not_differentiable(problem, Point(point.values, upstream, point.gradients), direction, outcome)
    return Comparison(1, "all", claim.analytic, outcome.numeric, claim.error(outcome.numeric))


def check_adjoint(function: Callable[..., Any], inputs: Any, *, tolerance: float = 1e-12, seed: int = 0) -> Report:
    """Check <J u, g> = <u, J^T g> for a function linear (or affine) in each input, to rounding: no differences.

    J u is the function's own value at u minus that at 0, so that the rule is compared with nothing but the forward.

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
        direction = problem.direction(generator, only=i)
        problem.units[i] = 1.0
        away = [-x if k == i else None for k, x in enumerate(problem.origin)]
        pushed = [
            a - b for a, b in zip(problem.values((1, away), (1, direction)), problem.values((1, away)), strict=True)
        ]
        forward, backward = dot(upstream, pushed), dot([pulled[i]], [direction[i]])
        size = norm(upstream) * norm(pushed) + norm([direction[i]]) * norm([pulled[i]])
        error = math.fabs(forward - backward) / size if size else 0.0
        report.comparisons.append(Comparison(1, name, backward, Estimate(forward, 0.0, 1.0), error))
        if not error <= tolerance:
            expected, got = two(forward, backward)
            raise GradientError(
                f"{problem.name}: adjoint identity in argument {name} expected <J u, g> = <u, J^T g>, got "
                f"{expected} and {got}; relative error {error:.1e} is over the tolerance {tolerance:.0e}"
            )
    return report
