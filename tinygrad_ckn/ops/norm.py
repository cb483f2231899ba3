"""The Euclidean norm, and its derivatives at the zero vector.

The norm has a kink there, but smooth functions of it do not. Away from zero the
gradient is x g/y, with y = |x| and g the gradient of y. At zero it is taken as 0. The
derivative of that gradient at zero is q I, with q the limit of g/y where it exists: it
is dg/dy if g is 0 and depends on x through y alone, so that the Hessian of |x|^2 is 2 I
and that of |x|^3 is 0. Otherwise, as for |x| itself, it does not exist and is NaN.
"""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn.backend import Array, Axis, Namespace, backend_of, floating, xp_of
from tinygrad_ckn.backward import backpropagate
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.integers import axis_tuple
from tinygrad_ckn.ops.elementwise import where
from tinygrad_ckn.ops.reduce import restore_axes
from tinygrad_ckn.primitive import primitive


@primitive()
def norm(xp: Namespace, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the Euclidean norm along an axis, several, or all.

    Its gradient at the zero vector is taken as 0. Second derivatives there are those of
    smooth functions of the norm, such as its square, and NaN where none exists.

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
    >>> norm(Tensor([[3.0, 4.0], [0.0, 0.0]]), axis=1)
    Tensor((2,), float64, cpu) [5. 0.]
    """
    x = floating(xp, x)
    return xp.sqrt((x * x).sum(axis=axis_tuple(axis), keepdims=keepdims))


norm.vjp(x=lambda g, x, y, axis: _norm_rule(g, x, y, axis))


def _norm_rule(g: Array, x: Array, y: Any, axis: Axis) -> Array:
    zero = unwrap(y) == 0
    ratio = g / where(zero, 1, y)
    recorded = isinstance(g, Variable) and isinstance(x, Variable) and x._requires_grad
    synchronous = not backend_of(zero).asynchronous
    if not recorded or (synchronous and not zero.any()):
        return x * restore_axes(ratio, x.shape, axis)
    smooth = ~zero
    if synchronous and y._node is not None:
        limit, known = _limit(g, x, y)
        ratio = where(zero & known, limit, ratio)
        smooth |= known
    gradient = x * restore_axes(ratio, x.shape, axis)
    return where(restore_axes(smooth, x.shape, axis), gradient, kink(x, axis))


def _limit(g: Any, x: Any, y: Any) -> tuple[Array, Array]:
    """Return the limit of g/y where y is 0, and whether it is known.

    g is a function of y alone, element by element, if its derivative with respect to y,
    J^T v, is J^T 1 * v for arbitrary v too, and its other derivatives with respect to x
    are 0.
    """
    xp = xp_of(unwrap(y))
    known = unwrap(g) == 0
    if not g._requires_grad:
        # A constant.
        return xp.zeros_like(unwrap(g)), known
    arbitrary = xp.cos(xp.arange(1.0, y._data.size + 1)).reshape(y.shape).astype(y.dtype)
    ends = [y._node, x._vertex]
    derivatives = [
        backpropagate(
            [(g._vertex, Variable.wrap(v))],
            ends,
            create_graph=True,
            retain_graph=True,
            partial=True,
        )
        for v in (xp.ones_like(unwrap(y)), arbitrary)
    ]
    slope, other = (results.get(y._node) for results in derivatives)
    if slope is None or any(
        end in results and unwrap(results[end]).any() for results in derivatives for end in ends[1:]
    ):
        return xp.zeros_like(unwrap(g)), xp.zeros_like(known)
    expected = unwrap(slope) * arbitrary
    # False where the slope is infinite, since NaN is compared then.
    close = abs(unwrap(other) - expected) <= 1e-6 * (abs(expected) + abs(unwrap(other)))
    return slope, known & close


@primitive()
def kink(xp: Namespace, x: Array, axis: Axis) -> Array:
    """Return zeros whose gradient is NaN for each vector that a gradient reaches."""
    return xp.zeros_like(x)


kink.vjp(x=lambda g, axis: _kink_rule(g, axis))


def _kink_rule(g: Array, axis: Axis) -> Array:
    cotangent = unwrap(g)
    reached = (cotangent != 0).any(axis=axis_tuple(axis), keepdims=True)
    xp = xp_of(cotangent)
    nan_or_zero = xp.where(reached, math.nan, 0)
    gradient = xp.broadcast_to(nan_or_zero, cotangent.shape).astype(cotangent.dtype)
    return Variable.wrap(gradient) if isinstance(g, Variable) else gradient
