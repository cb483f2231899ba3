"""Functions of one array, element by element."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from tinygrad_ckn.backend import Array, Namespace, floating, is_array
from tinygrad_ckn.errors import DTypeError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.primitive import primitive


@primitive()
def exp(xp: Namespace, x: Array) -> Any:
    """Return e**x.

    Examples
    --------
    >>> exp(Tensor([0.0, 1.0]))
    Tensor((2,), float64, cpu) [1.         2.71828183]
    """
    return xp.exp(x)


@primitive()
def log(xp: Namespace, x: Array) -> Any:
    """Return the natural logarithm; -inf at 0, nan below.

    Examples
    --------
    >>> log(Tensor([1.0, 2.0]))
    Tensor((2,), float64, cpu) [0.         0.69314718]
    """
    return xp.log(x)


@primitive()
def log1p(xp: Namespace, x: Array) -> Any:
    """Return log(1 + x), accurate near 0; -inf at -1, nan below.

    Examples
    --------
    >>> log1p(Tensor([0.0, 1e-20]))
    Tensor((2,), float64, cpu) [0.e+00 1.e-20]
    """
    return xp.log1p(x)


@primitive()
def expm1(xp: Namespace, x: Array) -> Any:
    """Return e**x - 1, accurate near 0.

    Examples
    --------
    >>> expm1(Tensor([0.0, 1e-20]))
    Tensor((2,), float64, cpu) [0.e+00 1.e-20]
    """
    return xp.expm1(x)


@primitive()
def sqrt(xp: Namespace, x: Array) -> Any:
    """Return the square root; its derivative at 0 is inf.

    Examples
    --------
    >>> sqrt(Tensor([1.0, 4.0]))
    Tensor((2,), float64, cpu) [1. 2.]
    """
    return xp.sqrt(x)


@primitive()
def square(xp: Namespace, x: Array) -> Any:
    """Return x * x.

    Examples
    --------
    >>> square(Tensor([1.0, -3.0]))
    Tensor((2,), float64, cpu) [1. 9.]
    """
    return xp.square(x)


@primitive()
def abs(xp: Namespace, x: Array) -> Any:
    """Return |x|; the derivative at 0 is taken as 0.

    Examples
    --------
    >>> abs(Tensor([1.0, -3.0]))
    Tensor((2,), float64, cpu) [1. 3.]
    """
    return xp.abs(x)


@primitive()
def sign(xp: Namespace, x: Array) -> Any:
    """Return -1, 0 or 1 by the sign of x; the derivative is 0 everywhere.

    Examples
    --------
    >>> sign(Tensor([1.5, -3.0]))
    Tensor((2,), float64, cpu) [ 1. -1.]
    """
    return xp.sign(x)


@primitive()
def sin(xp: Namespace, x: Array) -> Any:
    """Return the sine of x in radians.

    Examples
    --------
    >>> sin(Tensor([0.0, 0.5]))
    Tensor((2,), float64, cpu) [0.         0.47942554]
    """
    return xp.sin(x)


@primitive()
def cos(xp: Namespace, x: Array) -> Any:
    """Return the cosine of x in radians.

    Examples
    --------
    >>> cos(Tensor([0.0, 0.5]))
    Tensor((2,), float64, cpu) [1.         0.87758256]
    """
    return xp.cos(x)


@primitive()
def tanh(xp: Namespace, x: Array) -> Any:
    """Return the hyperbolic tangent.

    Examples
    --------
    >>> tanh(Tensor([0.0, 0.5]))
    Tensor((2,), float64, cpu) [0.         0.46211716]
    """
    return xp.tanh(x)


@primitive()
def sigmoid(xp: Namespace, x: Array) -> Any:
    """Return 1 / (1 + e**-x), without overflow and to full relative accuracy at both ends.

    Examples
    --------
    >>> sigmoid(Tensor([0.0, -1000.0]))
    Tensor((2,), float64, cpu) [0.5 0. ]
    """
    x = floating(xp, x)
    small = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1, small) / (1 + small)


@primitive()
def relu(xp: Namespace, x: Array) -> Any:
    """Return max(x, 0); the derivative at 0 is taken as 0.

    Examples
    --------
    >>> relu(Tensor([1.5, -3.0]))
    Tensor((2,), float64, cpu) [1.5 0. ]
    """
    return xp.maximum(x, 0)


@primitive()
def softplus(xp: Namespace, x: Array) -> Any:
    """Return log(1 + e**x), without overflow.

    Examples
    --------
    >>> softplus(Tensor([0.0, 1000.0]))
    Tensor((2,), float64, cpu) [6.93147181e-01 1.00000000e+03]
    """
    x = floating(xp, x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


@primitive(broadcasts=True)
def where(xp: Namespace, condition: Array, a: Array, b: Array) -> Any:
    """Return a where the condition holds, else b; the three are broadcast.

    Examples
    --------
    >>> where(Tensor([True, False]), Tensor([1.0, 2.0]), 0)
    Tensor((2,), float64, cpu) [1. 0.]
    """
    return xp.where(condition, a, b)


@primitive()
def clip(xp: Namespace, x: Array, a_min: Any = None, a_max: Any = None) -> Any:
    """Return x limited to [a_min, a_max]; the derivative is 1 on the closed interval, 0 outside.

    Bounds are numbers, None, or arrays of no axis where x is: those are not looked at,
    for that would wait for a GPU.

    Examples
    --------
    >>> clip(Tensor([0.5, -3.0]), 0, 1)
    Tensor((2,), float64, cpu) [0.5 0. ]
    """
    given = [bound for bound in (a_min, a_max) if bound is not None]
    if any(bound.ndim if is_array(bound) else not isinstance(bound, Real) for bound in given):
        raise DTypeError(
            f"clip: expected numbers as bounds, got {a_min!r} and {a_max!r}; use minimum and maximum"
        )
    if len(given) == 2 and not any(map(is_array, given)) and a_min > a_max:
        raise ShapeError(f"clip: expected a_min <= a_max, got {a_min} and {a_max}; swap them")
    return xp.clip(x, a_min, a_max)


def _inside(x: Any, a_min: Any, a_max: Any) -> Any:
    low = -math.inf if a_min is None else a_min
    high = math.inf if a_max is None else a_max
    return (unwrap(x) >= low) & (unwrap(x) <= high)


exp.vjp(x=lambda g, y: g * y)
log.vjp(x=lambda g, x: g / x)
log1p.vjp(x=lambda g, x: g / (1 + x))
expm1.vjp(x=lambda g, y: g * (y + 1))
sqrt.vjp(x=lambda g, y: 0.5 * g / y)
square.vjp(x=lambda g, x: 2 * g * x)
abs.vjp(x=lambda g, x: g * sign(unwrap(x)))
sign.vjp(x=lambda: None)
sin.vjp(x=lambda g, x: g * cos(x))
cos.vjp(x=lambda g, x: -g * sin(x))
tanh.vjp(x=lambda g, y: g * (1 - y * y))
sigmoid.vjp(x=lambda g, x, y: g * (y * sigmoid(-x)))
# which is 1 at nan too, as in PyTorch
relu.vjp(x=lambda g, y: g * (unwrap(y) != 0))
softplus.vjp(x=lambda g, x: g * sigmoid(x))
where.vjp(
    a=lambda g, condition: where(condition, g, 0), b=lambda g, condition: where(condition, 0, g)
)
clip.vjp(x=lambda g, x, a_min, a_max: g * _inside(x, a_min, a_max))
