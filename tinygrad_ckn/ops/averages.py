"""Weighted means, values in place of NaN, and comparisons up to rounding."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.integers import axes_of
from tinygrad_ckn.ops.arithmetic import divide, equal, multiply
from tinygrad_ckn.ops.data_types import finfo
from tinygrad_ckn.ops.elementwise import where
from tinygrad_ckn.ops.logic import all, isnan
from tinygrad_ckn.ops.reduce import mean, sum
from tinygrad_ckn.ops.rounding import positive
from tinygrad_ckn.ops.shape import broadcast_to, reshape
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


def average(x: Array, axis: int | None = None, weights: Array | None = None) -> Tensor:
    """Return the mean along an axis, or of all elements, with weights.

    Parameters
    ----------
    x
        Any shape.
    axis
        Axis, or None (default) for all.
    weights
        In the shape of x, or a vector along the axis; default: equal ones.

    Raises
    ------
    ShapeError
        If no elements are averaged, the weights have another shape, or the axis is out
        of range.
    DTypeError
        If one is not an array.

    Examples
    --------
    >>> average(Tensor([1.0, 4.0]), weights=Tensor([2.0, 1.0])).item()
    2.0
    """
    checks.array("average", x=x)
    if weights is None:
        return mean(x, axis=axis)
    checks.array("average", weights=weights)
    shares: Any = weights
    if tuple(weights.shape) != tuple(x.shape):
        place = axes_of("average", axis, len(x.shape))
        if axis is None or tuple(weights.shape) != (x.shape[place[0]],):
            raise ShapeError(
                f"average: argument weights expected the shape {tuple(x.shape)} of x, or a "
                f"vector along the axis, got {tuple(weights.shape)}"
            )
        shares = reshape(weights, (-1,) + (1,) * (len(x.shape) - 1 - place[0]))
    # one total for each result, where the weights are a vector too
    total = sum(broadcast_to(shares, tuple(x.shape)), axis=axis)
    return divide(sum(multiply(x, shares), axis=axis), total)


def nan_to_num(
    x: Array,
    nan: float = 0.0,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Tensor:
    """Return x with numbers in place of NaN and infinities; the derivative there is 0.

    Parameters
    ----------
    x
        Any shape.
    nan
        In place of NaN; default 0.
    posinf, neginf
        In place of infinities; default: the largest and smallest number of the dtype.

    Raises
    ------
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> nan_to_num(Tensor([1.0, float("nan")]))
    Tensor((2,), float64, cpu) [1. 0.]
    """
    checks.array("nan_to_num", x=x)
    if x.dtype.kind != "f":
        return positive(x)
    array: Any = unwrap(x)
    limits = finfo(x.dtype)
    high = limits.max if posinf is None else posinf
    low = limits.min if neginf is None else neginf
    finite = where(isnan(array), nan, x)
    finite = where(array == float("inf"), high, finite)
    return where(array == -float("inf"), low, finite)


@primitive(broadcasts=True)
def isclose(
    xp: Namespace,
    a: Array | float,
    b: Array | float,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Array:
    """Return whether |a - b| <= atol + rtol |b|, elementwise.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast.
    rtol, atol
        Tolerances; default 1e-5 and 1e-8.
    equal_nan
        Whether NaN is close to NaN; default False.

    Examples
    --------
    >>> isclose(Tensor([1.0, 2.0]), Tensor([1.0, 2.1])).tolist()
    [True, False]
    """
    return xp.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)


def allclose(
    a: Array | float,
    b: Array | float,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> bool:
    """Return whether all elements are close; see `isclose`.

    Examples
    --------
    >>> allclose(Tensor([1.0, 2.0]), Tensor([1.0, 2.0 + 1e-9]))
    True
    """
    return bool(all(isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)))


def array_equal(a: Array, b: Array) -> bool:
    """Return whether two arrays have one shape and equal elements.

    Raises
    ------
    DTypeError
        If one is not an array.

    Examples
    --------
    >>> array_equal(Tensor([1.0, 2.0]), Tensor([1.0, 2.0]))
    True
    """
    checks.array("array_equal", a=a, b=b)
    return tuple(a.shape) == tuple(b.shape) and bool(all(equal(a, b)))
