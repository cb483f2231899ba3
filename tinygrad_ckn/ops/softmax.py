"""logsumexp, log_softmax and softmax.

All subtract the maximum first, so that an offset common to all of x costs no accuracy.
"""

from __future__ import annotations

import math

from tinygrad_ckn.backend import Array, Axis, Namespace, Shape, floating
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.integers import axes_of, axis_tuple
from tinygrad_ckn.ops.elementwise import exp, where
from tinygrad_ckn.ops.reduce import restore_axes
from tinygrad_ckn.primitive import primitive


@primitive()
def logsumexp(xp: Namespace, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return log(sum e**x) along an axis, several, or all, without overflow.

    It is -inf where all of x is -inf, or x is empty.

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
        If an axis is out of range or named twice.

    Examples
    --------
    >>> logsumexp(Tensor([1000.0, 1000.0])).item()
    1000.6931471805599
    """
    x = floating(xp, x)
    top = _maximum("logsumexp", xp, x, axis)
    top = xp.where(top == math.inf, 0, top)
    total = xp.exp(x - top).sum(axis=axis_tuple(axis), keepdims=True)
    empty = total == 0
    y = xp.where(empty, -math.inf, top + xp.log(xp.where(empty, 1, total)))
    if keepdims:
        return y
    axes = axes_of("logsumexp", axis, x.ndim, scalars=True)
    return y.reshape(tuple(n for i, n in enumerate(x.shape) if i not in axes))


logsumexp.vjp(x=lambda g, x, y, axis: _logsumexp_rule(g, x, y, axis))


def _logsumexp_rule(g: Array, x: Array, y: Array, axis: Axis) -> Array:
    # Where all of x is -inf, and softmax is not defined.
    empty = restore_axes(unwrap(y) == -math.inf, x.shape, axis)
    return where(empty, 0, restore_axes(g, x.shape, axis)) * softmax(where(empty, 0, x), axis)


@primitive()
def log_softmax(xp: Namespace, x: Array, axis: Axis = -1) -> Array:
    """Return x - logsumexp(x) along an axis or several, accurate for large x too.

    Parameters
    ----------
    x
        Any shape; integers become float64.
    axis
        Axis (default the last), tuple of axes, or None for all.

    Raises
    ------
    ShapeError
        If an axis is out of range or named twice.

    Examples
    --------
    >>> log_softmax(Tensor([0.0, 0.0]))
    Tensor((2,), float64, cpu) [-0.69314718 -0.69314718]
    """
    x = floating(xp, x)
    shifted = x - _maximum("log_softmax", xp, x, axis)
    if not x.size:
        return shifted
    return shifted - xp.log(xp.exp(shifted).sum(axis=axis_tuple(axis), keepdims=True))


log_softmax.vjp(x=lambda g, y, axis: g - exp(y) * g.sum(axis=axis_tuple(axis), keepdims=True))


@primitive()
def softmax(xp: Namespace, x: Array, axis: Axis = -1) -> Array:
    """Return e**x / sum e**x along an axis or several.

    Parameters
    ----------
    x
        Any shape; integers become float64.
    axis
        Axis (default the last), tuple of axes, or None for all.

    Raises
    ------
    ShapeError
        If an axis is out of range or named twice.

    Examples
    --------
    >>> softmax(Tensor([0.0, 0.0]))
    Tensor((2,), float64, cpu) [0.5 0.5]
    """
    x = floating(xp, x)
    weights = xp.exp(x - _maximum("softmax", xp, x, axis))
    return weights / weights.sum(axis=axis_tuple(axis), keepdims=True)


softmax.vjp(x=lambda g, y, axis: y * (g - (g * y).sum(axis=axis_tuple(axis), keepdims=True)))


def _maximum(op: str, xp: Namespace, x: Array, axis: Axis) -> Array:
    """Return the maximum with keepdims=True; 0 where it is -inf or x is empty."""
    if not x.size:
        return xp.zeros(_reduced_shape(op, x.shape, axis), dtype=x.dtype)
    top = xp.max(x, axis=axis_tuple(axis), keepdims=True)
    return xp.where(top == -math.inf, 0, top)


def _reduced_shape(op: str, shape: Shape, axis: Axis) -> Shape:
    """Return the shape of a reduction with keepdims=True."""
    axes = axes_of(op, axis, len(shape), scalars=True)
    return tuple(1 if i in axes else n for i, n in enumerate(shape))
