"""Sums and products up to each element, and differences of neighbours, along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, DTypeLike, Namespace, Shape, is_array, xp_of
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.integers import axis_of
from tinygrad_ckn.ops.index import getitem
from tinygrad_ckn.ops.join import concatenate
from tinygrad_ckn.ops.products import plain_cumprod
from tinygrad_ckn.ops.shape import broadcast_to, flip, reshape
from tinygrad_ckn.plain import plain
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


@primitive(name="cumsum")
def _cumsum(xp: Namespace, x: Array, axis: int, dtype: DTypeLike | None = None) -> Array:
    return xp.cumsum(x, axis=axis, dtype=dtype)


_cumsum.vjp(x=lambda g, axis: flip(_cumsum(flip(g, axis), axis), axis))


def cumsum(x: Array, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Return the sums of the elements up to each, as `numpy.cumsum`.

    Parameters
    ----------
    x
        Any shape.
    axis
        Axis to sum along; None (default) flattens x first.
    dtype
        Of the result; default: that of x, at least int64 of integers.

    Raises
    ------
    ShapeError
        If the axis is out of range.
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> cumsum(Tensor([1.0, 2.0, 3.0]))
    Tensor((3,), float64, cpu) [1. 3. 6.]
    """
    x, axis = _along("cumsum", x, axis)
    return _cumsum(x, axis, dtype)


def cumprod(x: Array, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Return the products of the elements up to each, as `numpy.cumprod`.

    Parameters
    ----------
    x
        Any shape.
    axis
        Axis to multiply along; None (default) flattens x first.
    dtype
        Of the result; default: that of x, at least int64 of integers.

    Raises
    ------
    ShapeError
        If the axis is out of range.
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> cumprod(Tensor([1.0, 2.0, 3.0]))
    Tensor((3,), float64, cpu) [1. 2. 6.]
    """
    x, axis = _along("cumprod", x, axis)
    return plain_cumprod(x, axis, dtype)


def cumulative_sum(
    x: Array,
    *,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
) -> Tensor:
    """Return the sums of the elements up to each, as the Array API standard has it.

    Parameters
    ----------
    x
        At least one axis.
    axis
        Axis to sum along; may be left out for vectors.
    dtype
        Of the result; default: that of x, at least int64 of integers.
    include_initial
        Begin with the sum of no elements, 0; default False.

    Raises
    ------
    ShapeError
        If the axis is out of range, or left out for an array of other than one axis.
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> cumulative_sum(Tensor([1.0, 2.0, 3.0]), include_initial=True)
    Tensor((4,), float64, cpu) [0. 1. 3. 6.]
    """
    along = _named_axis("cumulative_sum", x, axis)
    sums = _cumsum(x, along, dtype)
    return _with_initial(sums, 0, along) if include_initial else sums


def cumulative_prod(
    x: Array,
    *,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
) -> Tensor:
    """Return the products of the elements up to each, as the Array API standard has it.

    Parameters
    ----------
    x
        At least one axis.
    axis
        Axis to multiply along; may be left out for vectors.
    dtype
        Of the result; default: that of x, at least int64 of integers.
    include_initial
        Begin with the product of no elements, 1; default False.

    Raises
    ------
    ShapeError
        If the axis is out of range, or left out for an array of other than one axis.
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> cumulative_prod(Tensor([1.0, 2.0, 3.0]), include_initial=True)
    Tensor((4,), float64, cpu) [1. 1. 2. 6.]
    """
    along = _named_axis("cumulative_prod", x, axis)
    products = plain_cumprod(x, along, dtype)
    return _with_initial(products, 1, along) if include_initial else products


def diff(
    x: Array,
    n: int = 1,
    axis: int = -1,
    prepend: Array | float | None = None,
    append: Array | float | None = None,
) -> Tensor:
    """Return the differences of neighbours along an axis, of any order.

    Parameters
    ----------
    x
        At least one axis; numbers, not booleans.
    n
        How often differences are taken; default 1.
    axis
        Axis to take them along; default -1.
    prepend, append
        Numbers, or arrays that match x except along the axis, to put before and after x
        first; default: nothing.

    Raises
    ------
    ShapeError
        If the axis is out of range, or the shapes do not match.
    ConfigError
        If n is not an integer >= 0.
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> diff(Tensor([1.0, 3.0, 2.0]))
    Tensor((2,), float64, cpu) [ 2. -1.]
    """
    checks.array("diff", x=x)
    checks.integers("diff", 0, n=n)
    axis = axis_of("diff", axis, len(x.shape))
    edge = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    pieces = [_edge(prepend, x, edge), x, _edge(append, x, edge)]
    given = [piece for piece in pieces if piece is not None]
    result: Any = concatenate(given, axis=axis) if len(given) > 1 else x
    before = (slice(None),) * axis
    for _ in range(n):
        result = getitem(result, (*before, slice(1, None))) - getitem(
            result, (*before, slice(None, -1))
        )
    return result


def _edge(value: Any, x: Array, shape: Shape) -> Any:
    """Return what `diff` puts beside x; a number is repeated, on the device of x."""
    if value is None:
        return None
    given = unwrap(value)
    if is_array(given):
        return value if given.ndim else broadcast_to(value, shape)
    number = plain(value)
    if not isinstance(number, Real):
        checks.array("diff", **{"prepend or append": value})
    array: Any = unwrap(x)
    xp = xp_of(array)
    return xp.full(shape, number, dtype=xp.result_type(array, number))


def _along(op: str, x: Array, axis: int | None) -> tuple[Array, int]:
    """Return x and an axis counted from 0: x flattened and 0 where none is named."""
    checks.array(op, x=x)
    if axis is None:
        return reshape(x, (-1,)), 0
    return x, axis_of(op, axis, len(x.shape))


def _named_axis(op: str, x: Array, axis: int | None) -> int:
    checks.array(op, x=x)
    if axis is None and len(x.shape) != 1:
        raise ShapeError(
            f"{op}: argument axis expected an axis of {len(x.shape)}, got None, which is for "
            "vectors; name one"
        )
    return axis_of(op, 0 if axis is None else axis, len(x.shape))


def _with_initial(x: Tensor, value: float, axis: int) -> Tensor:
    array: Any = unwrap(x)
    shape: Sequence[int] = (*array.shape[:axis], 1, *array.shape[axis + 1 :])
    return concatenate([xp_of(array).full(shape, value, dtype=array.dtype), x], axis=axis)
