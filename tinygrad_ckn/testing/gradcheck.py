"""Checks of derivatives against finite differences, along random directions with random upstream gradients.

Order 1 compares <J^T g, v> with the derivative of <g, f(x + s v)>. Order 2 takes the
derivatives of <J(x)^T g, u> in g, along w, and in x, along v, and compares them with
the derivative of <w, f(x + s u)> and the mixed second derivative of <g, f(x + s u + t
v)>. A verdict weighs the difference with the estimated uncertainty of the numeric
derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinygrad_ckn.backend import default_rng
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.testing.arguments import module_problem, problem_of
from tinygrad_ckn.testing.examine import examine
from tinygrad_ckn.testing.first_order import first_order
from tinygrad_ckn.testing.options import Options
from tinygrad_ckn.testing.point import evaluated
from tinygrad_ckn.testing.problem import Problem
from tinygrad_ckn.testing.products import check_adjoint, check_jvp
from tinygrad_ckn.testing.second_order import second_order
from tinygrad_ckn.testing.verdict import Comparison, Report

__all__ = [
    "Comparison",
    "Report",
    "check_adjoint",
    "check_jvp",
    "check_module",
    "gradcheck",
    "gradgradcheck",
]


def _run(problem: Problem, orders: Sequence[int], options: Options) -> Report:
    generator = default_rng(options.seed)
    report = Report(problem.name)
    with options.entering(report):
        point = evaluated(problem, generator, options.eps)
        examine(problem, point, options.nondet_tol)
        for order in orders:
            check = first_order if order == 1 else second_order
            report.comparisons += check(
                problem, point, generator, options.relative(order), options.atol
            )
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

    Each argument is checked along a random direction, with steps that follow from the
    gradient and from the estimated error; where that disagrees, the element at fault is
    looked for by halving. The verdict weighs the difference with the uncertainty of the
    numeric derivative, so that a kink near the point, a steep function or rounding is
    not taken for a wrong gradient. Upstream gradients and inputs that are strided in
    memory are tried too.

    Parameters
    ----------
    function
        Of Tensors, returning a Tensor or a tuple, list or dict of them; integer outputs
        are left out. It may itself call `grad`.
    inputs
        The point: arrays or Tensors, or one of them. Floating ones are checked, in
        float64; others passed as they are, as are Tensors without `requires_grad`
        beside one that requires it.
    order
        1 or 2 (both orders).
    tolerance, rtol
        Largest relative error (two names of one option); default 1e-7 at order 1, 1e-6
        at order 2.
    seed
        Of the random upstream gradients and directions.
    eps
        Step to begin with, in the inputs' own unit; default: from the size of data and
        gradient.
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
        True where the gradient is right; with the verdict, every comparison, and the
        largest `error`.

    Raises
    ------
    GradientError
        If a derivative is wrong, naming argument, element, both values and the step;
        `NotDifferentiableError` at a kink, a jump or the edge of the domain,
        `UndecidedError` if differences are too uncertain to tell.
    DTypeError
        If no input is floating, or the function returns something else than float64
        Tensors.

    References
    ----------
    Steps and their errors: C. J. F. Ridders, Adv. Eng. Software 4 (1982), 75; Numerical Recipes, 3rd edition, 5.7.
    Noise: J. J. More and S. M. Wild, SIAM J. Sci. Comput. 33 (2011), 1292.

    Examples
    --------
    >>> print(gradcheck(lambda x: ops.exp(x) * x, np.array([0.5, -1.0])).error < 1e-7)
    True
    >>> gradcheck(ops.abs, np.array([0.0, 1.0]), raise_exception=False).verdict
    'not differentiable'
    """
    if order not in (1, 2):
        raise GradientError(f"gradcheck: argument order expected 1 or 2, got {order!r}")
    options = Options(tolerance, seed, eps, atol, rtol, nondet_tol, raise_exception)
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

    Next to a kink, differences of the gradient decide, after that has been compared
    with values itself.

    Raises
    ------
    GradientError
        If a second derivative is off.

    Examples
    --------
    >>> gradgradcheck(ops.tanh, np.array([0.5, -1.0])).error < 1e-6
    True
    """
    options = Options(tolerance, seed, eps, atol, rtol, nondet_tol, raise_exception)
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
    options = Options(tolerance, seed, eps, atol, rtol, nondet_tol, raise_exception)
    return _run(module_problem(module, inputs, kwargs), range(1, order + 1), options)
