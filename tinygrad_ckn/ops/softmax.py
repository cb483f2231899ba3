"""logsumexp, log_softmax and softmax, all shifted by the maximum: an offset common to all of x costs no accuracy."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn.backend import Array, Axis, Namespace, Shape, axes_of, axis_tuple, floating
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.elementwise import exp, where
from tinygrad_ckn.ops.reduce import kept
from tinygrad_ckn.primitive import primitive


def _kept_shape(op: str, shape: Shape, axis: Axis) -> Shape:
    """Return the shape of a reduction with keepdims=True."""
    axes = axes_of(op, axis, len(shape), scalars=True)
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _maximum(op: str, xp: Namespace, x: Any, axis: Axis) -> Any:
    """Return the maximum with keepdims=True, and 0 where it is -inf, or there is nothing to take it of."""
    if not x.size:
        return xp.zeros(_kept_shape(op, x.shape, axis), dtype=x.dtype)
    top = xp.max(x, axis=axis_tuple(axis), keepdims=True)
    return xp.where(top == -math.inf, 0, top)


@primitive()
def logsumexp(xp: Namespace, x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return log sum e**x over an axis, several, or all, without overflow; -inf where all of x is -inf, or x is empty.

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


def _logsumexp_rule(g: Any, x: Any, y: Any, axis: Axis) -> Any:
    # all of x is -inf
    nothing = kept(unwrap(y) == -math.inf, x.shape, axis)
    return where(nothing, 0, kept(g, x.shape, axis)) * softmax(where(nothing, 0, x), axis)


logsumexp.vjp(x=lambda g, x, y, axis: _logsumexp_rule(g, x, y, axis))


@primitive()
def log_softmax(xp: Namespace, x: Array, axis: Axis = -1) -> Any:
    """Return x - logsumexp(x) along an axis, or several, to full accuracy also where x is large.

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
def softmax(xp: Namespace, x: Array, axis: Axis = -1) -> Any:
    """Return e**x / sum e**x along an axis, or several.

    Examples
    --------
    >>> softmax(Tensor([0.0, 0.0]))
    Tensor((2,), float64, cpu) [0.5 0.5]
    """
    x = floating(xp, x)
    weights = xp.exp(x - _maximum("softmax", xp, x, axis))
    return weights / weights.sum(axis=axis_tuple(axis), keepdims=True)


softmax.vjp(x=lambda g, y, axis: y * (g - (g * y).sum(axis=axis_tuple(axis), keepdims=True)))
