"""Angles and hyperbolic functions, element by element; angles are in radians."""

from __future__ import annotations

from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.ops.elementwise import sqrt, square
from tinygrad_ckn.primitive import primitive


@primitive()
def tan(xp: Namespace, x: Array | float) -> Array:
    """Return the tangent.

    Parameters
    ----------
    x
        Angles in radians, any shape; integers become floating.

    Examples
    --------
    >>> tan(Tensor([0.0, 0.5]))
    Tensor((2,), float64, cpu) [0.         0.54630249]
    """
    return xp.tan(x)


tan.vjp(x=lambda g, y: g * (1 + square(y)))


@primitive()
def asin(xp: Namespace, x: Array | float) -> Array:
    """Return the angle in [-pi/2, pi/2] with this sine; NaN outside [-1, 1].

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> asin(Tensor([0.0, 1.0]))
    Tensor((2,), float64, cpu) [0.         1.57079633]
    """
    return xp.arcsin(x)


asin.vjp(x=lambda g, x: g / sqrt((1 - x) * (1 + x)))


@primitive()
def acos(xp: Namespace, x: Array | float) -> Array:
    """Return the angle in [0, pi] with this cosine; NaN outside [-1, 1].

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> acos(Tensor([0.0, 1.0]))
    Tensor((2,), float64, cpu) [1.57079633 0.        ]
    """
    return xp.arccos(x)


acos.vjp(x=lambda g, x: -g / sqrt((1 - x) * (1 + x)))


@primitive()
def atan(xp: Namespace, x: Array | float) -> Array:
    """Return the angle in [-pi/2, pi/2] with this tangent.

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> atan(Tensor([0.0, 1.0]))
    Tensor((2,), float64, cpu) [0.         0.78539816]
    """
    return xp.arctan(x)


atan.vjp(x=lambda g, x: g / (1 + square(x)))


@primitive()
def sinh(xp: Namespace, x: Array | float) -> Array:
    """Return the hyperbolic sine.

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> sinh(Tensor([0.0, 1.0]))
    Tensor((2,), float64, cpu) [0.         1.17520119]
    """
    return xp.sinh(x)


sinh.vjp(x=lambda g, x: g * cosh(x))


@primitive()
def cosh(xp: Namespace, x: Array | float) -> Array:
    """Return the hyperbolic cosine.

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> cosh(Tensor([0.0, 1.0]))
    Tensor((2,), float64, cpu) [1.         1.54308063]
    """
    return xp.cosh(x)


cosh.vjp(x=lambda g, x: g * sinh(x))


@primitive()
def asinh(xp: Namespace, x: Array | float) -> Array:
    """Return the inverse of the hyperbolic sine.

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> asinh(Tensor([0.0, 1.0]))
    Tensor((2,), float64, cpu) [0.         0.88137359]
    """
    return xp.arcsinh(x)


asinh.vjp(x=lambda g, x: g / hypot(x, 1.0))


@primitive()
def acosh(xp: Namespace, x: Array | float) -> Array:
    """Return the inverse >= 0 of the hyperbolic cosine; NaN below 1.

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> acosh(Tensor([1.0, 2.0]))
    Tensor((2,), float64, cpu) [0.        1.3169579]
    """
    return xp.arccosh(x)


acosh.vjp(x=lambda g, x: g / sqrt((x - 1) * (x + 1)))


@primitive()
def atanh(xp: Namespace, x: Array | float) -> Array:
    """Return the inverse of the hyperbolic tangent; infinite at -1 and 1, NaN beyond.

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> atanh(Tensor([0.0, 0.5]))
    Tensor((2,), float64, cpu) [0.         0.54930614]
    """
    return xp.arctanh(x)


atanh.vjp(x=lambda g, x: g / ((1 - x) * (1 + x)))


@primitive(broadcasts=True)
def atan2(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return the angle in [-pi, pi] of the point with ordinate a and abscissa b.

    At the origin it has no derivative: the gradient is NaN.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast; integers become floating.

    Examples
    --------
    >>> atan2(Tensor([1.0, 0.0]), Tensor([0.0, -1.0]))
    Tensor((2,), float64, cpu) [1.57079633 3.14159265]
    """
    return xp.arctan2(a, b)


atan2.vjp(
    a=lambda g, a, b: g * (b / hypot(a, b)) / hypot(a, b),
    b=lambda g, a, b: -g * (a / hypot(a, b)) / hypot(a, b),
)


@primitive(broadcasts=True)
def hypot(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return sqrt(a**2 + b**2), elementwise, without overflow.

    Where both are 0 it has no derivative: the gradient is NaN.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast; integers become floating.

    Examples
    --------
    >>> hypot(Tensor([3.0, 5.0]), Tensor([4.0, 12.0]))
    Tensor((2,), float64, cpu) [ 5. 13.]
    """
    return xp.hypot(a, b)


hypot.vjp(a=lambda g, a, y: g * (a / y), b=lambda g, b, y: g * (b / y))
