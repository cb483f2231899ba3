"""Truth values and bits; the results have no derivative, so no rule and no graph."""

from __future__ import annotations

from tinygrad_ckn.backend import Array, Axis, Namespace
from tinygrad_ckn.integers import axis_tuple
from tinygrad_ckn.primitive import primitive


@primitive(broadcasts=True)
def bitwise_and(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return a & b: "and" of booleans, or of the bits of integers.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast; no floating ones.

    Examples
    --------
    >>> t = Tensor([1.0, 2.0, 3.0])
    >>> t[(t > 1) & (t < 3)].tolist()
    [2.0]
    """
    return xp.bitwise_and(a, b)


@primitive(broadcasts=True)
def bitwise_or(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return a | b: "or" of booleans, or of the bits of integers.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast; no floating ones.

    Examples
    --------
    >>> bitwise_or(Tensor([True, False]), Tensor([False, False])).tolist()
    [True, False]
    """
    return xp.bitwise_or(a, b)


@primitive(broadcasts=True)
def bitwise_xor(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return a ^ b: "exclusive or" of booleans, or of the bits of integers.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast; no floating ones.

    Examples
    --------
    >>> bitwise_xor(Tensor([True, False]), True).tolist()
    [False, True]
    """
    return xp.bitwise_xor(a, b)


@primitive()
def invert(xp: Namespace, x: Array | float) -> Array:
    """Return ~x: "not" of booleans, or of the bits of integers.

    Parameters
    ----------
    x
        Any shape; not floating.

    Examples
    --------
    >>> invert(Tensor([1.0, 2.0]) > 1).tolist()
    [True, False]
    """
    return xp.invert(x)


@primitive(broadcasts=True)
def bitwise_left_shift(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return a << b: the bits of integers shifted, which multiplies a by 2**b.

    Parameters
    ----------
    a, b
        Integer arrays or integers that broadcast; b >= 0.

    Examples
    --------
    >>> bitwise_left_shift(Tensor([1, 3]), 2).tolist()
    [4, 12]
    """
    return xp.left_shift(a, b)


@primitive(broadcasts=True)
def bitwise_right_shift(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return a >> b: the bits of integers shifted, which divides a by 2**b, rounded down.

    Parameters
    ----------
    a, b
        Integer arrays or integers that broadcast; b >= 0.

    Examples
    --------
    >>> bitwise_right_shift(Tensor([4, -3]), 1).tolist()
    [2, -2]
    """
    return xp.right_shift(a, b)


@primitive(broadcasts=True)
def logical_and(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return whether both a and b are nonzero, elementwise.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> logical_and(Tensor([1.0, 0.0]), 2).tolist()
    [True, False]
    """
    return xp.logical_and(a, b)


@primitive(broadcasts=True)
def logical_or(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return whether a or b is nonzero, elementwise.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> logical_or(Tensor([1.0, 0.0]), 0).tolist()
    [True, False]
    """
    return xp.logical_or(a, b)


@primitive(broadcasts=True)
def logical_xor(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return whether exactly one of a and b is nonzero, elementwise.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> logical_xor(Tensor([1.0, 0.0]), 2).tolist()
    [False, True]
    """
    return xp.logical_xor(a, b)


@primitive()
def logical_not(xp: Namespace, x: Array | float) -> Array:
    """Return whether x is zero, elementwise.

    Parameters
    ----------
    x
        Any shape.

    Examples
    --------
    >>> logical_not(Tensor([1.0, 0.0])).tolist()
    [False, True]
    """
    return xp.logical_not(x)


@primitive()
def isnan(xp: Namespace, x: Array | float) -> Array:
    """Return whether x is NaN, elementwise.

    Parameters
    ----------
    x
        Any shape.

    Examples
    --------
    >>> isnan(Tensor([1.0, float("nan")])).tolist()
    [False, True]
    """
    return xp.isnan(x)


@primitive()
def isinf(xp: Namespace, x: Array | float) -> Array:
    """Return whether x is infinite, elementwise.

    Parameters
    ----------
    x
        Any shape.

    Examples
    --------
    >>> isinf(Tensor([1.0, float("inf")])).tolist()
    [False, True]
    """
    return xp.isinf(x)


@primitive()
def isfinite(xp: Namespace, x: Array | float) -> Array:
    """Return whether x is neither NaN nor infinite, elementwise.

    Parameters
    ----------
    x
        Any shape.

    Examples
    --------
    >>> isfinite(Tensor([1.0, float("nan")])).tolist()
    [True, False]
    """
    return xp.isfinite(x)


@primitive()
def any(xp: Namespace, x: Array | float, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return whether any element is nonzero along an axis, several, or all.

    Parameters
    ----------
    x
        Any shape; numbers count as true where they are not 0.
    axis
        Axis, tuple of axes, or None (default) for all.
    keepdims
        Keep reduced axes with size 1; default False.

    Examples
    --------
    >>> any(Tensor([[0.0, 1.0], [0.0, 0.0]]), axis=1).tolist()
    [True, False]
    """
    return xp.any(x, axis=axis_tuple(axis), keepdims=keepdims)


@primitive()
def all(xp: Namespace, x: Array | float, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return whether all elements are nonzero along an axis, several, or all.

    Parameters
    ----------
    x
        Any shape; numbers count as true where they are not 0.
    axis
        Axis, tuple of axes, or None (default) for all.
    keepdims
        Keep reduced axes with size 1; default False.

    Examples
    --------
    >>> all(Tensor([[2.0, 1.0], [0.0, 1.0]]), axis=1).tolist()
    [True, False]
    """
    return xp.all(x, axis=axis_tuple(axis), keepdims=keepdims)
