"""Arithmetic of two operands, broadcast as in NumPy, and the comparisons."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from tinygrad_ckn.backend import Array, Namespace, backend_of, is_array
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.elementwise import log, where
from tinygrad_ckn.primitive import primitive


@primitive(broadcasts=True)
def add(xp: Namespace, a: Array, b: Array) -> Any:
    """Return a + b, broadcast.

    Examples
    --------
    >>> add(Tensor([1.0, 2.0]), 3)
    Tensor((2,), float64, cpu) [4. 5.]
    """
    return xp.add(a, b)


@primitive(broadcasts=True)
def subtract(xp: Namespace, a: Array, b: Array) -> Any:
    """Return a - b, broadcast.

    Examples
    --------
    >>> subtract(Tensor([1.0, 2.0]), 3)
    Tensor((2,), float64, cpu) [-2. -1.]
    """
    return xp.subtract(a, b)


@primitive(broadcasts=True)
def multiply(xp: Namespace, a: Array, b: Array) -> Any:
    """Return a * b elementwise, broadcast.

    Examples
    --------
    >>> multiply(Tensor([1.0, 2.0]), 3)
    Tensor((2,), float64, cpu) [3. 6.]
    """
    return xp.multiply(a, b)


@primitive(broadcasts=True)
def divide(xp: Namespace, a: Array, b: Array) -> Any:
    """Return a / b elementwise, broadcast.

    Examples
    --------
    >>> divide(Tensor([1.0, 2.0]), 4)
    Tensor((2,), float64, cpu) [0.25 0.5 ]
    """
    return xp.true_divide(a, b)


@primitive(broadcasts=True)
def power(xp: Namespace, a: Array, b: Array) -> Any:
    """Return a**b elementwise, broadcast; the derivative in b is taken as 0 where a = 0, also for b < 0.

    Examples
    --------
    >>> power(Tensor([1.0, 2.0]), 3)
    Tensor((2,), float64, cpu) [1. 8.]
    """
    if _is_integer(a) and _is_integer(b) and backend_of(a if is_array(a) else b).asynchronous:
        # CuPy gives 0, NumPy refuses
        negative = b < 0
        if bool(negative.any() if is_array(b) else negative):
            raise ValueError(
                "expected exponents >= 0 of integers, got a negative one; use .astype('float64')"
            )
    return xp.power(a, b)


def _is_integer(x: Any) -> bool:
    return x.dtype.kind in "iu" if is_array(x) else isinstance(x, Integral)


@primitive()
def negative(xp: Namespace, x: Array) -> Any:
    """Return -x.

    Examples
    --------
    >>> negative(Tensor([1.0, -2.0]))
    Tensor((2,), float64, cpu) [-1.  2.]
    """
    return xp.negative(x)


@primitive(broadcasts=True)
def maximum(xp: Namespace, a: Array, b: Array) -> Any:
    """Return the larger of a and b elementwise, broadcast; at a tie each gets half of the gradient.

    Examples
    --------
    >>> maximum(Tensor([1.0, -2.0]), 0)
    Tensor((2,), float64, cpu) [1. 0.]
    """
    return xp.maximum(a, b)


@primitive(broadcasts=True)
def minimum(xp: Namespace, a: Array, b: Array) -> Any:
    """Return the smaller of a and b elementwise, broadcast; at a tie each gets half of the gradient.

    Examples
    --------
    >>> minimum(Tensor([1.0, -2.0]), 0)
    Tensor((2,), float64, cpu) [ 0. -2.]
    """
    return xp.minimum(a, b)


def _lowered(a: Any, exponent: Any) -> Any:
    """Return exponent - 1, but 1 where a and the exponent are 0: 0 * 0**1 is the derivative there, 0 * 0**-1 is nan."""
    if hasattr(exponent, "shape"):
        return where((unwrap(a) == 0) & (unwrap(exponent) == 0), 1, exponent - 1)
    return exponent - 1 if exponent else 1


def _half_at_tie(g: Any, wins: Any, ties: Any) -> Any:
    return where(wins, g, where(ties, 0.5 * g, 0))


add.vjp(a=lambda g: g, b=lambda g: g)
subtract.vjp(a=lambda g: g, b=lambda g: -g)
multiply.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)
divide.vjp(a=lambda g, b: g / b, b=lambda g, b, y: -g * y / b)
power.vjp(
    a=lambda g, a, b: g * b * power(a, _lowered(a, b)),
    b=lambda g, a, y: g * where(unwrap(a) == 0, 0, y * log(where(unwrap(a) == 0, 1.0, a))),
)
negative.vjp(x=lambda g: -g)
maximum.vjp(
    a=lambda g, a, b: _half_at_tie(g, unwrap(a) > unwrap(b), unwrap(a) == unwrap(b)),
    b=lambda g, a, b: _half_at_tie(g, unwrap(b) > unwrap(a), unwrap(a) == unwrap(b)),
)
minimum.vjp(
    a=lambda g, a, b: _half_at_tie(g, unwrap(a) < unwrap(b), unwrap(a) == unwrap(b)),
    b=lambda g, a, b: _half_at_tie(g, unwrap(b) < unwrap(a), unwrap(a) == unwrap(b)),
)


@primitive(broadcasts=True)
def equal(xp: Namespace, a: Array, b: Array) -> Any:
    """Return whether a == b, elementwise."""
    return xp.equal(a, b)


@primitive(broadcasts=True)
def not_equal(xp: Namespace, a: Array, b: Array) -> Any:
    """Return whether a != b, elementwise."""
    return xp.not_equal(a, b)


@primitive(broadcasts=True)
def less(xp: Namespace, a: Array, b: Array) -> Any:
    """Return whether a < b, elementwise."""
    return xp.less(a, b)


@primitive(broadcasts=True)
def less_equal(xp: Namespace, a: Array, b: Array) -> Any:
    """Return whether a <= b, elementwise."""
    return xp.less_equal(a, b)


@primitive(broadcasts=True)
def greater(xp: Namespace, a: Array, b: Array) -> Any:
    """Return whether a > b, elementwise."""
    return xp.greater(a, b)


@primitive(broadcasts=True)
def greater_equal(xp: Namespace, a: Array, b: Array) -> Any:
    """Return whether a >= b, elementwise."""
    return xp.greater_equal(a, b)
