"""Reductions over axes, with NumPy's `axis` and `keepdims`."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn.backend import Array, Axis, Namespace, Shape, axes_of, axis_tuple
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.elementwise import sqrt
from tinygrad_ckn.ops.shape import broadcast_to
from tinygrad_ckn.primitive import primitive


@primitive()
def sum(xp: Namespace, x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the sum over an axis, several, or all.

    Examples
    --------
    >>> sum(Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor((2,), float64, cpu) [4. 6.]
    """
    return x.sum(axis=axis_tuple(axis), keepdims=keepdims)


@primitive()
def mean(xp: Namespace, x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the mean over an axis, several, or all.

    Raises
    ------
    ShapeError
        If there is nothing to average.

    Examples
    --------
    >>> mean(Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor((2,), float64, cpu) [2. 3.]
    """
    _count("mean", x.shape, axis)
    return x.mean(axis=axis_tuple(axis), keepdims=keepdims)


@primitive()
def var(xp: Namespace, x: Array, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """Return the variance over an axis, several, or all: the squared deviations' sum over n - ddof.

    Raises
    ------
    ShapeError
        If fewer than ddof + 1 elements are reduced.

    Examples
    --------
    >>> var(Tensor([1.0, 2.0, 3.0, 4.0]), ddof=0).item()
    1.25
    """
    if _count("var", x.shape, axis) <= ddof:
        raise ShapeError(
            f"var: expected more than ddof={ddof} elements to reduce, got shape {x.shape}, axis {axis}"
        )
    return x.var(axis=axis_tuple(axis), ddof=ddof, keepdims=keepdims)


def std(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """Return the standard deviation over an axis, several, or all: the square root of `var`.

    Where it is 0 it has no derivative: the gradient is nan. Of one element it is 0
    everywhere, and so is the gradient.

    Raises
    ------
    ShapeError
        If fewer than ddof + 1 elements are reduced.

    Examples
    --------
    >>> std(Tensor([1.0, 3.0])).item()
    1.0
    """
    variance = var(x, axis=axis, ddof=ddof, keepdims=keepdims)
    return variance if _count("std", getattr(x, "shape", ()), axis) == 1 else sqrt(variance)


@primitive()
def max(xp: Namespace, x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the maximum over an axis, several, or all; equal maxima share the gradient.

    Examples
    --------
    >>> max(Tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    Tensor((2,), float64, cpu) [5. 4.]
    """
    return xp.max(x, axis=axis_tuple(axis), keepdims=keepdims)


@primitive()
def min(xp: Namespace, x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the minimum over an axis, several, or all; equal minima share the gradient.

    Examples
    --------
    >>> min(Tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    Tensor((2,), float64, cpu) [1. 3.]
    """
    return xp.min(x, axis=axis_tuple(axis), keepdims=keepdims)


@primitive()
def argmax(xp: Namespace, x: Array, axis: int | None = None, *, keepdims: bool = False) -> Any:
    """Return the position of the first maximum; integers, so no gradient.

    Examples
    --------
    >>> argmax(Tensor([1.0, 5.0, 3.0])).item()
    1
    """
    return xp.argmax(x, axis=axis, keepdims=keepdims)


@primitive()
def argmin(xp: Namespace, x: Array, axis: int | None = None, *, keepdims: bool = False) -> Any:
    """Return the position of the first minimum; integers, so no gradient.

    Examples
    --------
    >>> argmin(Tensor([1.0, 5.0, 3.0])).item()
    0
    """
    return xp.argmin(x, axis=axis, keepdims=keepdims)


def _count(op: str, shape: Shape, axis: Axis) -> int:
    """Return how many elements go into one result."""
    count = math.prod(shape[a] for a in axes_of(op, axis, len(shape)))
    if count == 0:
        raise ShapeError(
            f"{op}: expected at least one element to reduce, got shape {shape} and axis {axis}"
        )
    return count


def kept(reduced: Any, shape: Shape, axis: Axis) -> Any:
    """Reshape the result of a reduction of an array of `shape` to what keepdims=True would have given."""
    axes = axes_of("reduction", axis, len(shape), scalars=True)
    return reduced.reshape(tuple(1 if a in axes else n for a, n in enumerate(shape)))


def _extreme_share(g: Any, x: Any, y: Any, axis: Axis) -> Any:
    """Spread g evenly over the elements of x that equal the extreme y."""
    x_raw = unwrap(x)
    hits = x_raw == kept(unwrap(y), x_raw.shape, axis)
    return kept(g, x_raw.shape, axis) * (
        hits / hits.sum(axis=axis_tuple(axis), keepdims=True)
    ).astype(x_raw.dtype)


sum.vjp(x=lambda g, x_shape, axis: broadcast_to(kept(g, x_shape, axis), x_shape))
mean.vjp(
    x=lambda g, x_shape, axis: broadcast_to(
        kept(g * (1 / _count("mean", x_shape, axis)), x_shape, axis), x_shape
    )
)
var.vjp(
    x=lambda g, x, axis, ddof: (
        kept(g, x.shape, axis)
        * (x - x.mean(axis=axis_tuple(axis), keepdims=True))
        * (2 / (_count("var", x.shape, axis) - ddof))
    )
)
max.vjp(x=lambda g, x, y, axis: _extreme_share(g, x, y, axis))
min.vjp(x=lambda g, x, y, axis: _extreme_share(g, x, y, axis))
