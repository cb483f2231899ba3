"""Powers of 2, logarithms to the bases 2 and 10, and reciprocals, element by element."""

from __future__ import annotations

import math

from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.elementwise import sigmoid, where
from tinygrad_ckn.primitive import primitive


@primitive()
def exp2(xp: Namespace, x: Array | float) -> Array:
    """Return 2**x.

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> exp2(Tensor([0.0, 3.0]))
    Tensor((2,), float64, cpu) [1. 8.]
    """
    return xp.exp2(x)


exp2.vjp(x=lambda g, y: g * (math.log(2) * y))


@primitive()
def log2(xp: Namespace, x: Array | float) -> Array:
    """Return the logarithm to the base 2; -inf at 0, NaN below.

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> log2(Tensor([1.0, 8.0]))
    Tensor((2,), float64, cpu) [0. 3.]
    """
    return xp.log2(x)


log2.vjp(x=lambda g, x: g / (math.log(2) * x))


@primitive()
def log10(xp: Namespace, x: Array | float) -> Array:
    """Return the logarithm to the base 10; -inf at 0, NaN below.

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> log10(Tensor([1.0, 1000.0]))
    Tensor((2,), float64, cpu) [0. 3.]
    """
    return xp.log10(x)


log10.vjp(x=lambda g, x: g / (math.log(10) * x))


@primitive()
def reciprocal(xp: Namespace, x: Array | float) -> Array:
    """Return 1 / x; infinite at 0.

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> reciprocal(Tensor([1.0, 4.0]))
    Tensor((2,), float64, cpu) [1.   0.25]
    """
    return xp.true_divide(1, x)


reciprocal.vjp(x=lambda g, y: -g * (y * y))


@primitive(broadcasts=True)
def logaddexp(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return log(e**a + e**b), elementwise, without overflow.

    Equal infinities share the gradient evenly.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast; integers become floating.

    Examples
    --------
    >>> logaddexp(Tensor([0.0, 1000.0]), 0)
    Tensor((2,), float64, cpu) [6.93147181e-01 1.00000000e+03]
    """
    return xp.logaddexp(a, b)


logaddexp.vjp(
    a=lambda g, a, b: g * sigmoid(_difference(a, b)),
    b=lambda g, a, b: g * sigmoid(_difference(b, a)),
)


def _difference(a: Array, b: Array) -> Array:
    """Return a - b, and 0 where both are the same infinity."""
    same = (unwrap(a) == unwrap(b)) & (abs(unwrap(a)) == math.inf)
    return where(same, 0, a) - where(same, 0, b)
