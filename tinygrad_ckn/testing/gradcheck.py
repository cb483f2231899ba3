"""Gradient checks against differences along random directions.

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
from tinygrad_ckn.nn import Module
from tinygrad_ckn.testing.arguments import Inputs, module_problem, problem_of
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
    inputs: Inputs,
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
    """Check the gradient of a function and, with order=2, its second derivatives.

    Each argument is checked along a random direction, with steps chosen from the gradient
    and the estimated error; on disagreement, the wrong element is found by bisection. The
    verdict compares the error with the uncertainty of the numeric derivative, so that a
    kink nearby, a steep function or rounding is not mistaken for a wrong gradient.
    Strided inputs and upstream gradients are tried as well.

    Parameters
    ----------
    function
        Takes Tensors and returns a Tensor or a tuple, list or dict of them; integer
        outputs are ignored. It may itself call `grad`.
    inputs
        The point: a sequence of arrays or Tensors, or a single one. Floating ones are
        checked in float64, the others passed unchanged. If some Tensors have
        `requires_grad`, only those are checked.
    order
        1, or 2 for both orders; default 1.
    tolerance, rtol
        Maximum relative error, two names of one option; default 1e-7 at order 1 and 1e-6
        at order 2.
    seed
        Seed of the random upstream gradients and directions; default 0.
    eps
        First step, in the unit of the inputs; default: chosen from the size of data and
        gradient.
    atol
        Absolute error allowed per element in addition; default 0.
    nondet_tol
        Maximum difference between the results of two calls; default 0.
    raise_exception
        If False, return a report instead of raising an error; default True.
    kwargs
        Keyword arguments of the function; floating arrays among them are checked too.

    Returns
    -------
    Report
        True if the gradient is right; holds the verdict, all comparisons and the largest
        `error`.

    Raises
    ------
    GradientError
        If a derivative is wrong, with argument, element, both values and the step;
        `NotDifferentiableError` at a kink, a jump or the edge of the domain;
        `UndecidedError` if differences are too uncertain.
    DTypeError
        If no input is floating, or an output is not a float64 Tensor.

    References
    ----------
    Steps and their errors: C. J. F. Ridders, Adv. Eng. Software 4 (1982), 75; Numerical
    Recipes, 3rd edition, 5.7. Noise: J. J. More and S. M. Wild, SIAM J. Sci. Comput. 33
    (2011), 1292.

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
    """Check second derivatives alone; arguments as for `gradcheck`.

    They are compared with second differences of the function's values. Next to a kink,
    differences of the gradient decide, once the gradient agrees with the values.

    Raises
    ------
    GradientError
        If a second derivative is wrong.

    Examples
    --------
    >>> gradgradcheck(ops.tanh, np.array([0.5, -1.0])).error < 1e-6
    True
    """
    options = Options(tolerance, seed, eps, atol, rtol, nondet_tol, raise_exception)
    return _run(problem_of(function, inputs, kwargs), (2,), options)


def check_module(
    module: Module,
    *inputs: object,
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
    """Check the gradients of a module in its inputs and parameters, on a float64 copy.

    Parameters
    ----------
    module
        Has `named_parameters()` and is called with `inputs`; it is not changed.
    inputs
        Arrays or Tensors; the floating ones are checked.
    order, tolerance, seed, eps, atol, rtol, nondet_tol, raise_exception, kwargs
        As for `gradcheck`.

    Raises
    ------
    GradientError
        If a derivative is wrong; the message names the parameter.

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
