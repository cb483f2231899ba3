"""Products, and products up to each element.

Their derivatives are made of products of the other factors, not of quotients, so they
are right where factors are 0, at every order.
"""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn.backend import Array, Axis, DTypeLike, Namespace, xp_of
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.integers import axes_of, axis_tuple
from tinygrad_ckn.ops.index import getitem
from tinygrad_ckn.ops.join import concatenate
from tinygrad_ckn.ops.reduce import restore_axes
from tinygrad_ckn.ops.shape import broadcast_to, flip, moveaxis, reshape, transpose
from tinygrad_ckn.primitive import primitive


@primitive()
def prod(
    xp: Namespace,
    x: Array,
    axis: Axis = None,
    keepdims: bool = False,
    *,
    dtype: DTypeLike | None = None,
) -> Array:
    """Return the product along an axis, several, or all; 1 of no elements.

    Parameters
    ----------
    x
        Any shape; small integers and booleans are multiplied as in NumPy.
    axis
        Axis, tuple of axes, or None (default) for all.
    keepdims
        Keep reduced axes with size 1; default False.
    dtype
        Of the result; default: that of x, at least int64 of integers.

    Raises
    ------
    ShapeError
        If an axis is out of range or named twice.

    Examples
    --------
    >>> prod(Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor((2,), float64, cpu) [3. 8.]
    """
    return x.prod(axis=axis_tuple(axis), dtype=dtype, keepdims=keepdims)


prod.vjp(x=lambda g, x, axis: _prod_rule(g, x, axis))


def _prod_rule(g: Array, x: Array, axis: Axis) -> Array:
    """Return g times the product of the other factors, for each factor."""
    shape = x.shape
    axes = axes_of("prod", axis, len(shape), scalars=True)
    order = (*(i for i in range(len(shape)) if i not in axes), *axes)
    moved = transpose(x, order)
    kept = moved.shape[: len(shape) - len(axes)]
    rows = reshape(moved, (*kept, math.prod(moved.shape[len(kept) :])))
    others = _products_before(rows) * flip(_products_before(flip(rows, -1)), -1)
    back = tuple(sorted(range(len(order)), key=order.__getitem__))
    spread: Array = transpose(reshape(others, moved.shape), back)
    return broadcast_to(restore_axes(g, shape, axis), shape) * spread


def _products_before(x: Array) -> Array:
    """Return the product of the elements before each along the last axis, 1 for the first."""
    return _shifted(plain_cumprod(x, -1), 1)


def _shifted(x: Array, first: float) -> Array:
    """Return x moved by one along the last axis, with `first` as the first elements."""
    array = unwrap(x)
    start = xp_of(array).full_like(array[..., :1], first)
    return concatenate([start, getitem(x, (..., slice(None, -1)))], axis=-1)


@primitive(name="cumprod")
def plain_cumprod(xp: Namespace, x: Array, axis: int, dtype: DTypeLike | None = None) -> Array:
    """Return `cumprod` along one axis."""
    return xp.cumprod(x, axis=axis, dtype=dtype)


plain_cumprod.vjp(x=lambda g, x, y, axis: _cumprod_rule(g, x, y, axis))


def _cumprod_rule(g: Array, x: Array, y: Array, axis: int) -> Array:
    """Return the products before each element times s, with s[i] = g[i] + x[i+1] s[i+1]."""
    factors, products, upstream = (moveaxis(array, axis, -1) for array in (x, y, g))
    backwards = flip(factors, -1)
    s = flip(_recurrence(_shifted(backwards, 0), flip(upstream, -1)), -1)
    gradient: Array = _shifted(products, 1) * s
    return moveaxis(gradient, -1, axis)


@primitive(name="recurrence")
def _recurrence(xp: Namespace, a: Array, b: Array) -> Array:
    """Return y with y[i] = a[i] y[i-1] + b[i] along the last axis; y[-1] = 0.

    a and b have one shape. Each pass joins neighbouring steps (a, b) to one of twice the
    length, so n steps take log2(n) passes.
    """
    if a.shape != b.shape or not a.ndim:
        raise ShapeError(
            f"recurrence: expected two arrays of one shape with an axis, got {a.shape}, {b.shape}"
        )
    dtype = xp.result_type(a, b)
    a = xp.array(a, dtype=dtype)
    y: Any = xp.array(b, dtype=dtype)
    step = 1
    while step < y.shape[-1]:
        y[..., step:] += a[..., step:] * y[..., :-step]
        a[..., step:] = a[..., step:] * a[..., :-step]
        step *= 2
    return y


_recurrence.vjp_jointly(lambda g, a, y, needs_grad: _recurrence_rule(g, a, y))


def _recurrence_rule(g: Array, a: Array, y: Array) -> list[Array]:
    backwards = _recurrence(_shifted(flip(a, -1), 0), flip(g, -1))
    of_b: Array = flip(backwards, -1)
    return [of_b * _shifted(y, 0), of_b]
