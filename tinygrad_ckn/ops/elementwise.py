"""Functions of one array, element by element.

Results have the shape of the argument. A floating dtype is kept; integers and booleans
become floating where NumPy makes them so.
"""

from __future__ import annotations

from tinygrad_ckn.backend import Array, Namespace, floating
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.primitive import primitive


@primitive()
def exp(xp: Namespace, x: Array | float) -> Array:
    """Return e**x.

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> exp(Tensor([0.0, 1.0]))
    Tensor((2,), float64, cpu) [1.         2.71828183]
    """
    return xp.exp(x)


exp.vjp(x=lambda g, y: g * y)


@primitive()
def log(xp: Namespace, x: Array | float) -> Array:
    """Return the natural logarithm; -inf at 0, NaN below.

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> log(Tensor([1.0, 2.0]))
    Tensor((2,), float64, cpu) [0.         0.69314718]
    """
    return xp.log(x)


log.vjp(x=lambda g, x: g / x)


@primitive()
def log1p(xp: Namespace, x: Array | float) -> Array:
    """Return log(1 + x), accurate near 0; -inf at -1, NaN below.

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> log1p(Tensor([0.0, 1e-20]))
    Tensor((2,), float64, cpu) [0.e+00 1.e-20]
    """
    return xp.log1p(x)


log1p.vjp(x=lambda g, x: g / (1 + x))


@primitive()
def expm1(xp: Namespace, x: Array | float) -> Array:
    """Return e**x - 1, accurate near 0.

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> expm1(Tensor([0.0, 1e-20]))
    Tensor((2,), float64, cpu) [0.e+00 1.e-20]
    """
    return xp.expm1(x)


expm1.vjp(x=lambda g, y: g * (y + 1))


@primitive()
def sqrt(xp: Namespace, x: Array | float) -> Array:
    """Return the square root; NaN below 0. The derivative at 0 is inf.

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> sqrt(Tensor([1.0, 4.0]))
    Tensor((2,), float64, cpu) [1. 2.]
    """
    return xp.sqrt(x)


sqrt.vjp(x=lambda g, y: 0.5 * g / y)


@primitive()
def square(xp: Namespace, x: Array | float) -> Array:
    """Return x * x.

    Parameters
    ----------
    x
        Any shape; the dtype is kept.

    Examples
    --------
    >>> square(Tensor([1.0, -3.0]))
    Tensor((2,), float64, cpu) [1. 9.]
    """
    return xp.square(x)


square.vjp(x=lambda g, x: 2 * g * x)


@primitive()
def sign(xp: Namespace, x: Array | float) -> Array:
    """Return -1, 0 or 1 by the sign of x; the derivative is 0 everywhere.

    Parameters
    ----------
    x
        Any shape; the dtype is kept.

    Examples
    --------
    >>> sign(Tensor([1.5, -3.0]))
    Tensor((2,), float64, cpu) [ 1. -1.]
    """
    return xp.sign(x)


sign.vjp(x=lambda: None)


@primitive()
def abs(xp: Namespace, x: Array | float) -> Array:
    """Return |x|; the derivative at 0 is taken as 0.

    Parameters
    ----------
    x
        Any shape; the dtype is kept.

    Examples
    --------
    >>> abs(Tensor([1.0, -3.0]))
    Tensor((2,), float64, cpu) [1. 3.]
    """
    return xp.abs(x)


abs.vjp(x=lambda g, x: g * sign(unwrap(x)))


@primitive()
def sin(xp: Namespace, x: Array | float) -> Array:
    """Return the sine.

    Parameters
    ----------
    x
        Angles in radians, any shape; integers become floating.

    Examples
    --------
    >>> sin(Tensor([0.0, 0.5]))
    Tensor((2,), float64, cpu) [0.         0.47942554]
    """
    return xp.sin(x)


sin.vjp(x=lambda g, x: g * cos(x))


@primitive()
def cos(xp: Namespace, x: Array | float) -> Array:
    """Return the cosine.

    Parameters
    ----------
    x
        Angles in radians, any shape; integers become floating.

    Examples
    --------
    >>> cos(Tensor([0.0, 0.5]))
    Tensor((2,), float64, cpu) [1.         0.87758256]
    """
    return xp.cos(x)


cos.vjp(x=lambda g, x: -g * sin(x))


@primitive()
def tanh(xp: Namespace, x: Array | float) -> Array:
    """Return the hyperbolic tangent.

    Parameters
    ----------
    x
        Any shape; integers become floating.

    Examples
    --------
    >>> tanh(Tensor([0.0, 0.5]))
    Tensor((2,), float64, cpu) [0.         0.46211716]
    """
    return xp.tanh(x)


tanh.vjp(x=lambda g, y: g * (1 - y * y))


@primitive()
def sigmoid(xp: Namespace, x: Array | float) -> Array:
    """Return 1 / (1 + e**-x), without overflow, accurate at both ends.

    Parameters
    ----------
    x
        Any shape; integers become float64.

    Examples
    --------
    >>> sigmoid(Tensor([0.0, -1000.0]))
    Tensor((2,), float64, cpu) [0.5 0. ]
    """
    x = floating(xp, x)
    small = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1, small) / (1 + small)


sigmoid.vjp(x=lambda g, x, y: g * (y * sigmoid(-x)))


@primitive()
def relu(xp: Namespace, x: Array | float) -> Array:
    """Return max(x, 0); the derivative is 0 at 0 and, as in PyTorch, 1 at NaN.

    Parameters
    ----------
    x
        Any shape; the dtype is kept.

    Examples
    --------
    >>> relu(Tensor([1.5, -3.0]))
    Tensor((2,), float64, cpu) [1.5 0. ]
    """
    return xp.maximum(x, 0)


relu.vjp(x=lambda g, y: g * (unwrap(y) != 0))


@primitive()
def softplus(xp: Namespace, x: Array | float) -> Array:
    """Return log(1 + e**x), without overflow.

    Parameters
    ----------
    x
        Any shape; integers become float64.

    Examples
    --------
    >>> softplus(Tensor([0.0, 1000.0]))
    Tensor((2,), float64, cpu) [6.93147181e-01 1.00000000e+03]
    """
    x = floating(xp, x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


softplus.vjp(x=lambda g, x: g * sigmoid(x))


@primitive(broadcasts=True)
def where(xp: Namespace, condition: Array, a: Array | float, b: Array | float) -> Array:
    """Return a where the condition holds, else b.

    Parameters
    ----------
    condition
        Booleans, or numbers that hold where they are not 0.
    a, b
        Arrays or numbers; the three broadcast.

    Examples
    --------
    >>> where(Tensor([True, False]), Tensor([1.0, 2.0]), 0)
    Tensor((2,), float64, cpu) [1. 0.]
    """
    return xp.where(condition, a, b)


where.vjp(
    a=lambda g, condition: where(condition, g, 0),
    b=lambda g, condition: where(condition, 0, g),
)
