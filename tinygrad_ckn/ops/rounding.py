"""Rounding, and division with remainder; steps have the derivative 0, also at their edges."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.primitive import primitive


@primitive()
def positive(xp: Namespace, x: Array) -> Any:
    """Return a copy of x, through which gradients flow.

    Examples
    --------
    >>> positive(Tensor([1.0, -2.0]))
    Tensor((2,), float64, cpu) [ 1. -2.]
    """
    return xp.array(x)


@primitive()
def floor(xp: Namespace, x: Array) -> Any:
    """Return the largest whole number <= x; the derivative is 0 everywhere.

    Examples
    --------
    >>> floor(Tensor([1.5, -1.5]))
    Tensor((2,), float64, cpu) [ 1. -2.]
    """
    return xp.floor(x)


@primitive()
def ceil(xp: Namespace, x: Array) -> Any:
    """Return the smallest whole number >= x; the derivative is 0 everywhere.

    Examples
    --------
    >>> ceil(Tensor([1.5, -1.5]))
    Tensor((2,), float64, cpu) [ 2. -1.]
    """
    return xp.ceil(x)


@primitive()
def round(xp: Namespace, x: Array, decimals: int = 0) -> Any:
    """Return x rounded to so many decimals, halves to even; the derivative is 0 everywhere.

    Examples
    --------
    >>> round(Tensor([1.25, -1.5]), 1)
    Tensor((2,), float64, cpu) [ 1.2 -1.5]
    """
    return xp.round(x, decimals)


@primitive(broadcasts=True)
def floor_divide(xp: Namespace, a: Array, b: Array) -> Any:
    """Return floor(a / b) elementwise, broadcast, as Python's `//`; the derivatives are 0 everywhere.

    Examples
    --------
    >>> floor_divide(Tensor([5.0, -5.0]), 3)
    Tensor((2,), float64, cpu) [ 1. -2.]
    """
    return xp.floor_divide(a, b)


@primitive(broadcasts=True)
def remainder(xp: Namespace, a: Array, b: Array) -> Any:
    """Return a - b * floor(a / b) elementwise, broadcast, as Python's `%`: of the sign of b.

    Examples
    --------
    >>> remainder(Tensor([5.0, -5.0]), 3)
    Tensor((2,), float64, cpu) [2. 1.]
    """
    return xp.remainder(a, b)


positive.vjp(x=lambda g: g)
floor.vjp(x=lambda: None)
ceil.vjp(x=lambda: None)
round.vjp(x=lambda: None)
floor_divide.vjp(a=lambda: None, b=lambda: None)
remainder.vjp(a=lambda g: g, b=lambda g, a, b: -g * floor_divide(unwrap(a), unwrap(b)))
