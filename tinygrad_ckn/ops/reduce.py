"""Reductions over axes, with NumPy's `axis` and `keepdims`."""

from __future__ import annotations

import math

from tinygrad_ckn.backend import Array, Axis, DTypeLike, Namespace, Shape
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.integers import axes_of, axis_tuple
from tinygrad_ckn.ops.elementwise import sqrt
from tinygrad_ckn.ops.shape import broadcast_to
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


@primitive()
def sum(
    xp: Namespace,
    x: Array,
    axis: Axis = None,
    keepdims: bool = False,
    *,
    dtype: DTypeLike | None = None,
) -> Array:
    """Return the sum along an axis, several, or all; 0 of no elements.

    Parameters
    ----------
    x
        Any shape; small integers and booleans are summed as in NumPy.
    axis
        Axis, tuple of axes, or None (default) for all.
    keepdims
        Keep reduced axes with size 1; default False.
    dtype
        Of the sums and the result; default: that of x, at least int64 of integers.

    Raises
    ------
    ShapeError
        If an axis is out of range or named twice.

    Examples
    --------
    >>> sum(Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor((2,), float64, cpu) [4. 6.]
    """
    return x.sum(axis=axis_tuple(axis), dtype=dtype, keepdims=keepdims)


sum.vjp(x=lambda g, x_shape, axis: broadcast_to(restore_axes(g, x_shape, axis), x_shape))


@primitive()
def mean(xp: Namespace, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the mean along an axis, several, or all.

    Parameters
    ----------
    x
        Any shape; integers become float64.
    axis
        Axis, tuple of axes, or None (default) for all.
    keepdims
        Keep reduced axes with size 1; default False.

    Raises
    ------
    ShapeError
        If no elements are averaged, or an axis is out of range or named twice.

    Examples
    --------
    >>> mean(Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor((2,), float64, cpu) [2. 3.]
    """
    _count("mean", x.shape, axis)
    return x.mean(axis=axis_tuple(axis), keepdims=keepdims)


mean.vjp(
    x=lambda g, x_shape, axis: broadcast_to(
        restore_axes(g * (1 / _count("mean", x_shape, axis)), x_shape, axis), x_shape
    )
)


@primitive()
def var(
    xp: Namespace,
    x: Array,
    axis: Axis = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    correction: float | None = None,
) -> Array:
    """Return the variance along an axis, several, or all.

    It is the sum of the squared deviations from the mean, divided by n - ddof for n
    elements.

    Parameters
    ----------
    x
        Any shape; integers become float64.
    axis
        Axis, tuple of axes, or None (default) for all.
    ddof
        Degrees of freedom subtracted from n; default 0, 1 for the unbiased estimate.
    keepdims
        Keep reduced axes with size 1; default False.
    correction
        The same as `ddof`, by the name of the Array API standard.

    Raises
    ------
    ShapeError
        If at most ddof elements are reduced, or an axis is out of range or named twice.
    ConfigError
        If `ddof` and `correction` are both given.

    Examples
    --------
    >>> var(Tensor([1.0, 2.0, 3.0, 4.0]), ddof=0).item()
    1.25
    """
    freedom = _subtracted(ddof, correction)
    if _count("var", x.shape, axis) <= freedom:
        raise ShapeError(
            f"var: expected more than ddof={freedom} elements to reduce, got shape {x.shape}, "
            f"axis {axis}"
        )
    return x.var(axis=axis_tuple(axis), ddof=freedom, keepdims=keepdims)


var.vjp(
    x=lambda g, x, axis, ddof, correction: (
        restore_axes(g, x.shape, axis)
        * (x - x.mean(axis=axis_tuple(axis), keepdims=True))
        * (2 / (_count("var", x.shape, axis) - _subtracted(ddof, correction)))
    )
)


def _subtracted(ddof: float, correction: float | None) -> float:
    """Return the degrees of freedom to subtract, from either of two arguments."""
    if correction is None:
        return ddof
    if ddof:
        raise ConfigError(
            f"var: expected ddof or correction, got both, {ddof} and {correction}; leave one out"
        )
    return correction


def std(
    x: Array,
    axis: Axis = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """Return the standard deviation along an axis, several, or all: the root of `var`.

    Where it is 0 it has no derivative: the gradient is NaN. For a single element it is
    identically 0, and so is the gradient.

    Parameters
    ----------
    x
        Any shape; integers become float64.
    axis
        Axis, tuple of axes, or None (default) for all.
    ddof
        Degrees of freedom subtracted from n; default 0.
    keepdims
        Keep reduced axes with size 1; default False.
    correction
        The same as `ddof`, by the name of the Array API standard.

    Raises
    ------
    ShapeError
        If at most ddof elements are reduced, or an axis is out of range or named twice.
    ConfigError
        If `ddof` and `correction` are both given.

    Examples
    --------
    >>> std(Tensor([1.0, 3.0])).item()
    1.0
    """
    variance = var(x, axis=axis, ddof=ddof, keepdims=keepdims, correction=correction)
    return variance if _count("std", getattr(x, "shape", ()), axis) == 1 else sqrt(variance)


@primitive()
def max(xp: Namespace, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the maximum along an axis, several, or all.

    Equal maxima share the gradient evenly.

    Parameters
    ----------
    x
        Any shape; the dtype is kept.
    axis
        Axis, tuple of axes, or None (default) for all.
    keepdims
        Keep reduced axes with size 1; default False.

    Raises
    ------
    ShapeError
        If no elements are reduced, or an axis is out of range or named twice.

    Examples
    --------
    >>> max(Tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    Tensor((2,), float64, cpu) [5. 4.]
    """
    return xp.max(x, axis=axis_tuple(axis), keepdims=keepdims)


max.vjp(x=lambda g, x, y, axis: _extreme_share(g, unwrap(x), unwrap(y), axis))


@primitive()
def min(xp: Namespace, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the minimum along an axis, several, or all.

    Equal minima share the gradient evenly.

    Parameters
    ----------
    x
        Any shape; the dtype is kept.
    axis
        Axis, tuple of axes, or None (default) for all.
    keepdims
        Keep reduced axes with size 1; default False.

    Raises
    ------
    ShapeError
        If no elements are reduced, or an axis is out of range or named twice.

    Examples
    --------
    >>> min(Tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    Tensor((2,), float64, cpu) [1. 3.]
    """
    return xp.min(x, axis=axis_tuple(axis), keepdims=keepdims)


min.vjp(x=lambda g, x, y, axis: _extreme_share(g, unwrap(x), unwrap(y), axis))


@primitive()
def argmax(xp: Namespace, x: Array, axis: int | None = None, *, keepdims: bool = False) -> Array:
    """Return the index of the first maximum; integers, so without derivative.

    Parameters
    ----------
    x
        Any shape.
    axis
        One axis, or None (default) for the index into the flattened array.
    keepdims
        Keep the reduced axis with size 1; default False.

    Raises
    ------
    ShapeError
        If no elements are reduced, or the axis is out of range.

    Examples
    --------
    >>> argmax(Tensor([1.0, 5.0, 3.0])).item()
    1
    """
    return xp.argmax(x, axis=axis, keepdims=keepdims)


@primitive()
def argmin(xp: Namespace, x: Array, axis: int | None = None, *, keepdims: bool = False) -> Array:
    """Return the index of the first minimum; integers, so without derivative.

    Parameters
    ----------
    x
        Any shape.
    axis
        One axis, or None (default) for the index into the flattened array.
    keepdims
        Keep the reduced axis with size 1; default False.

    Raises
    ------
    ShapeError
        If no elements are reduced, or the axis is out of range.

    Examples
    --------
    >>> argmin(Tensor([1.0, 5.0, 3.0])).item()
    0
    """
    return xp.argmin(x, axis=axis, keepdims=keepdims)


def restore_axes(reduced: Array, shape: Shape, axis: Axis) -> Array:
    """Reshape the reduction of an array of `shape` as if keepdims had been True."""
    axes = axes_of("reduction", axis, len(shape), scalars=True)
    return reduced.reshape(tuple(1 if a in axes else n for a, n in enumerate(shape)))


def _count(op: str, shape: Shape, axis: Axis) -> int:
    """Return the number of elements per result; raise a ShapeError if it is 0."""
    count = math.prod(shape[a] for a in axes_of(op, axis, len(shape)))
    if count == 0:
        raise ShapeError(
            f"{op}: expected at least one element to reduce, got shape {shape} and axis {axis}"
        )
    return count


def _extreme_share(g: Array, x: Array, y: Array, axis: Axis) -> Array:
    """Spread g evenly over the elements of x that equal the extreme y."""
    hits = x == restore_axes(y, x.shape, axis)
    shares = (hits / hits.sum(axis=axis_tuple(axis), keepdims=True)).astype(x.dtype)
    return restore_axes(g, x.shape, axis) * shares
