"""Arithmetic of two operands, and comparisons; both broadcast as in NumPy.

Dtypes promote as in NumPy 2: a Python number takes the dtype of the array beside it, and
so does a scalar of NumPy. Arrays, 0-d ones too, have dtypes of their own.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

from tinygrad_ckn.backend import Array, Namespace, backend_of, is_array
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.elementwise import log, where
from tinygrad_ckn.primitive import primitive


@primitive(broadcasts=True)
def add(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return a + b.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> add(Tensor([1.0, 2.0]), 3)
    Tensor((2,), float64, cpu) [4. 5.]
    """
    return xp.add(a, b)


add.vjp(a=lambda g: g, b=lambda g: g)


@primitive(broadcasts=True)
def subtract(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return a - b.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> subtract(Tensor([1.0, 2.0]), 3)
    Tensor((2,), float64, cpu) [-2. -1.]
    """
    return xp.subtract(a, b)


subtract.vjp(a=lambda g: g, b=lambda g: -g)


@primitive(broadcasts=True)
def multiply(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return a * b, elementwise.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> multiply(Tensor([1.0, 2.0]), 3)
    Tensor((2,), float64, cpu) [3. 6.]
    """
    return xp.multiply(a, b)


multiply.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)


@primitive(broadcasts=True)
def divide(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return a / b, elementwise; the quotient of integers is floating.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> divide(Tensor([1.0, 2.0]), 4)
    Tensor((2,), float64, cpu) [0.25 0.5 ]
    """
    return xp.true_divide(a, b)


divide.vjp(a=lambda g, b: g / b, b=lambda g, b, y: -g * y / b)


@primitive(broadcasts=True)
def power(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return a**b, elementwise.

    Where a = 0 the derivative with respect to b is taken as 0, for b < 0 too.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Raises
    ------
    ShapeError
        If a and b are integers and an exponent is negative.

    Examples
    --------
    >>> power(Tensor([1.0, 2.0]), 3)
    Tensor((2,), float64, cpu) [1. 8.]
    """
    if _is_integer(a) and _is_integer(b) and backend_of(a if is_array(a) else b).asynchronous:
        # CuPy returns 0 where NumPy raises.
        negative: Any = b < 0
        if bool(negative.any() if is_array(b) else negative):
            raise ValueError(
                "expected exponents >= 0 of integers, got a negative one; use .astype('float64')"
            )
    return xp.power(a, b)


power.vjp(
    a=lambda g, a, b: g * b * power(a, _reduced_exponent(a, b)),
    b=lambda g, a, y: g * where(unwrap(a) == 0, 0, y * log(where(unwrap(a) == 0, 1.0, a))),
)


def _is_integer(x: Any) -> bool:
    return x.dtype.kind in "iu" if is_array(x) else isinstance(x, Integral)


def _reduced_exponent(a: Array | float, exponent: Array | float) -> Array | float:
    """Return exponent - 1, but 1 where both a and the exponent are 0.

    The derivative there is exponent * a**1 = 0, where 0 * 0**-1 would be NaN.
    """
    if hasattr(exponent, "shape"):
        return where((unwrap(a) == 0) & (unwrap(exponent) == 0), 1, exponent - 1)
    return exponent - 1 if exponent else 1


@primitive()
def negative(xp: Namespace, x: Array | float) -> Array:
    """Return -x.

    Parameters
    ----------
    x
        Any shape; the dtype is kept.

    Examples
    --------
    >>> negative(Tensor([1.0, -2.0]))
    Tensor((2,), float64, cpu) [-1.  2.]
    """
    return xp.negative(x)


negative.vjp(x=lambda g: -g)


@primitive(broadcasts=True)
def maximum(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return the larger of a and b, elementwise; NaN where either is NaN.

    At a tie each receives half of the gradient.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> maximum(Tensor([1.0, -2.0]), 0)
    Tensor((2,), float64, cpu) [1. 0.]
    """
    return xp.maximum(a, b)


maximum.vjp(
    a=lambda g, a, b: _half_at_tie(g, unwrap(a) > unwrap(b), unwrap(a) == unwrap(b)),
    b=lambda g, a, b: _half_at_tie(g, unwrap(b) > unwrap(a), unwrap(a) == unwrap(b)),
)


@primitive(broadcasts=True)
def minimum(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return the smaller of a and b, elementwise; NaN where either is NaN.

    At a tie each receives half of the gradient.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> minimum(Tensor([1.0, -2.0]), 0)
    Tensor((2,), float64, cpu) [ 0. -2.]
    """
    return xp.minimum(a, b)


minimum.vjp(
    a=lambda g, a, b: _half_at_tie(g, unwrap(a) < unwrap(b), unwrap(a) == unwrap(b)),
    b=lambda g, a, b: _half_at_tie(g, unwrap(b) < unwrap(a), unwrap(a) == unwrap(b)),
)


def _half_at_tie(g: Array, wins: Array, ties: Array) -> Array:
    return where(wins, g, where(ties, 0.5 * g, 0))


@primitive(broadcasts=True)
def equal(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return whether a == b, elementwise, as booleans without derivative.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> equal(Tensor([1.0, 2.0]), 2).tolist()
    [False, True]
    """
    return xp.equal(a, b)


@primitive(broadcasts=True)
def not_equal(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return whether a != b, elementwise, as booleans without derivative.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> not_equal(Tensor([1.0, 2.0]), 2).tolist()
    [True, False]
    """
    return xp.not_equal(a, b)


@primitive(broadcasts=True)
def less(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return whether a < b, elementwise, as booleans without derivative.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> less(Tensor([1.0, 2.0]), 2).tolist()
    [True, False]
    """
    return xp.less(a, b)


@primitive(broadcasts=True)
def less_equal(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return whether a <= b, elementwise, as booleans without derivative.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> less_equal(Tensor([1.0, 2.0]), 1).tolist()
    [True, False]
    """
    return xp.less_equal(a, b)


@primitive(broadcasts=True)
def greater(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return whether a > b, elementwise, as booleans without derivative.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> greater(Tensor([1.0, 2.0]), 1).tolist()
    [False, True]
    """
    return xp.greater(a, b)


@primitive(broadcasts=True)
def greater_equal(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return whether a >= b, elementwise, as booleans without derivative.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.

    Examples
    --------
    >>> greater_equal(Tensor([1.0, 2.0]), 2).tolist()
    [False, True]
    """
    return xp.greater_equal(a, b)
