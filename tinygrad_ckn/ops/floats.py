"""Sign bits, imaginary parts and neighbours of real numbers."""

from __future__ import annotations

from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.elementwise import sign
from tinygrad_ckn.primitive import primitive


@primitive()
def signbit(xp: Namespace, x: Array | float) -> Array:
    """Return whether the sign is negative, elementwise; that of -0.0 is.

    Parameters
    ----------
    x
        Any shape.

    Examples
    --------
    >>> signbit(Tensor([1.0, -0.0])).tolist()
    [False, True]
    """
    return xp.signbit(x)


@primitive()
def imag(xp: Namespace, x: Array | float) -> Array:
    """Return the imaginary part of x, which is real: zeros, with the derivative 0.

    Parameters
    ----------
    x
        Any shape; the dtype is kept.

    Examples
    --------
    >>> imag(Tensor([1.0, 2.0]))
    Tensor((2,), float64, cpu) [0. 0.]
    """
    return xp.zeros_like(x)


imag.vjp(x=lambda: None)


@primitive(broadcasts=True)
def copysign(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return |a| with the sign of b, elementwise.

    The derivative with respect to a is taken as 0 at a = 0, that with respect to b is 0
    everywhere.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast; integers become floating.

    Examples
    --------
    >>> copysign(Tensor([1.0, -2.0]), Tensor([-0.0, 3.0]))
    Tensor((2,), float64, cpu) [-1.  2.]
    """
    return xp.copysign(a, b)


copysign.vjp(
    a=lambda g, a, b: g * sign(unwrap(a)) * copysign(1.0, unwrap(b)),
    b=lambda: None,
)


@primitive(broadcasts=True)
def nextafter(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return the floating number next to a in the direction of b, elementwise.

    The derivative with respect to a is 1, that with respect to b is 0.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> (nextafter(Tensor([1.0, 1.0]), Tensor([2.0, 0.0])) - 1).tolist()
    [2.220446049250313e-16, -1.1102230246251565e-16]
    """
    return xp.nextafter(a, b)


nextafter.vjp(a=lambda g: g, b=lambda: None)
