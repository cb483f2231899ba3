"""Rounding, and division with remainder; steps have the derivative 0, also at their edges."""

from __future__ import annotations

from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.primitive import primitive


@primitive()
def positive(xp: Namespace, x: Array | float) -> Array:
    """Return a copy of x, through which gradients flow.

    Parameters
    ----------
    x
        Any shape; the dtype is kept.

    Examples
    --------
    >>> positive(Tensor([1.0, -2.0]))
    Tensor((2,), float64, cpu) [ 1. -2.]
    """
    return xp.array(x)


positive.vjp(x=lambda g: g)


@primitive()
def floor(xp: Namespace, x: Array | float) -> Array:
    """Return the largest integer <= x; the derivative is 0 everywhere.

    Parameters
    ----------
    x
        Any shape; the dtype is kept.

    Examples
    --------
    >>> floor(Tensor([1.5, -1.5]))
    Tensor((2,), float64, cpu) [ 1. -2.]
    """
    return xp.floor(x)


floor.vjp(x=lambda: None)


@primitive()
def ceil(xp: Namespace, x: Array | float) -> Array:
    """Return the smallest integer >= x; the derivative is 0 everywhere.

    Parameters
    ----------
    x
        Any shape; the dtype is kept.

    Examples
    --------
    >>> ceil(Tensor([1.5, -1.5]))
    Tensor((2,), float64, cpu) [ 2. -1.]
    """
    return xp.ceil(x)


ceil.vjp(x=lambda: None)


@primitive()
def trunc(xp: Namespace, x: Array | float) -> Array:
    """Return x rounded towards 0; the derivative is 0 everywhere.

    Parameters
    ----------
    x
        Any shape; the dtype is kept.

    Examples
    --------
    >>> trunc(Tensor([1.5, -1.5]))
    Tensor((2,), float64, cpu) [ 1. -1.]
    """
    return xp.trunc(x)


trunc.vjp(x=lambda: None)


@primitive()
def round(xp: Namespace, x: Array | float, decimals: int = 0) -> Array:
    """Return x rounded, halves to even; the derivative is 0 everywhere.

    Parameters
    ----------
    x
        Any shape; the dtype is kept.
    decimals
        Number of decimals, default 0; negative ones round to tens, hundreds ...

    Examples
    --------
    >>> round(Tensor([1.25, -1.5]), 1)
    Tensor((2,), float64, cpu) [ 1.2 -1.5]
    """
    return xp.round(x, decimals)


round.vjp(x=lambda: None)


@primitive(broadcasts=True)
def floor_divide(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return floor(a / b), elementwise, as Python's `//`.

    The derivatives are 0 everywhere.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> floor_divide(Tensor([5.0, -5.0]), 3)
    Tensor((2,), float64, cpu) [ 1. -2.]
    """
    return xp.floor_divide(a, b)


floor_divide.vjp(a=lambda: None, b=lambda: None)


@primitive(broadcasts=True)
def remainder(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return a - b * floor(a / b), elementwise, as Python's `%`.

    The result has the sign of b.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> remainder(Tensor([5.0, -5.0]), 3)
    Tensor((2,), float64, cpu) [2. 1.]
    """
    return xp.remainder(a, b)


remainder.vjp(a=lambda g: g, b=lambda g, a, b: -g * floor_divide(unwrap(a), unwrap(b)))
