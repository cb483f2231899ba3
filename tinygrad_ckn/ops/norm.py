"""The Euclidean norm, and its derivatives at the zero vector, where it has a kink but smooth functions of it do not.

Away from zero the gradient is x g/y, with y = |x| and g the gradient of y. At zero it
is taken as 0. Its own derivative there is q I, with q the limit of g/y, where that
exists: dg/dy if g is 0 and depends on x through y alone, so that the Hessian of |x|^2
is 2 I and that of |x|^3 is 0. Elsewhere, as for |x| itself, there is none, and it is
nan.
"""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn.backend import Array, Axis, Namespace, axis_tuple, backend_of, floating, xp_of
from tinygrad_ckn.backward import backpropagate
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.ops.elementwise import where
from tinygrad_ckn.ops.reduce import kept
from tinygrad_ckn.primitive import primitive


@primitive()
def norm(xp: Namespace, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the Euclidean norm over an axis, several, or all; its gradient at the zero vector is taken as 0.

    Second derivatives at the zero vector are those of smooth functions of the norm,
    such as its square; nan where there is none.

    Examples
    --------
    >>> norm(Tensor([[3.0, 4.0], [0.0, 0.0]]), axis=1)
    Tensor((2,), float64, cpu) [5. 0.]
    """
    x = floating(xp, x)
    return xp.sqrt((x * x).sum(axis=axis_tuple(axis), keepdims=keepdims))


@primitive()
def _kink(xp: Namespace, x: Array, axis: Axis) -> Any:
    """Return zeros that have no derivative: nan for each vector of which one is asked for."""
    return xp.zeros_like(x)


def _kink_rule(g: Any, axis: Axis) -> Any:
    cotangent = unwrap(g)
    asked = (cotangent != 0).any(axis=axis_tuple(axis), keepdims=True)
    xp = xp_of(cotangent)
    gradient = xp.broadcast_to(xp.where(asked, math.nan, 0), cotangent.shape).astype(
        cotangent.dtype
    )
    return Variable.wrap(gradient) if isinstance(g, Variable) else gradient


_kink.vjp(x=lambda g, axis: _kink_rule(g, axis))


def _limit(g: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Return the limit of g/y where y is 0, and where it is known.

    g is a function of y alone, element by element, if its derivative in y, J^T v, is
    J^T 1 * v for arbitrary v too, and it has none in x besides.
    """
    xp = xp_of(unwrap(y))
    known = unwrap(g) == 0
    # a constant
    if not g._requires_grad:
        return xp.zeros_like(unwrap(g)), known
    arbitrary = xp.cos(xp.arange(1.0, y._data.size + 1)).reshape(y.shape).astype(y.dtype)
    ends = [y._node, x._node or x]
    pulled = [
        backpropagate(
            [(g._node or g, Variable.wrap(v))],
            ends,
            create_graph=True,
            retain_graph=True,
            partial=True,
        )
        for v in (xp.ones_like(unwrap(y)), arbitrary)
    ]
    slope, other = (results.get(y._node) for results in pulled)
    if slope is None or any(
        end in results and unwrap(results[end]).any() for results in pulled for end in ends[1:]
    ):
        return xp.zeros_like(unwrap(g)), xp.zeros_like(known)
    expected = unwrap(slope) * arbitrary
    close = abs(unwrap(other) - expected) <= 1e-6 * (abs(expected) + abs(unwrap(other)))
    # not close where it is infinite: then nan is compared
    return slope, known & close


def _norm_rule(g: Any, x: Any, y: Any, axis: Axis) -> Any:
    zero = unwrap(y) == 0
    share = g / where(zero, 1, y)
    recorded = isinstance(g, Variable) and isinstance(x, Variable) and x._requires_grad
    looks = not backend_of(zero).asynchronous
    if not recorded or (looks and not zero.any()):
        return x * kept(share, x.shape, axis)
    smooth = ~zero
    if looks and y._node is not None:
        limit, known = _limit(g, x, y)
        share = where(zero & known, limit, share)
        smooth |= known
    return where(kept(smooth, x.shape, axis), x * kept(share, x.shape, axis), _kink(x, axis))


norm.vjp(x=_norm_rule)
