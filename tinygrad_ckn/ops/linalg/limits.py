"""Quotients that tend to 0/0 where eigenvalues or singular values meet.

Derivatives of decompositions contain quotients such as (g_i - g_j) / (w_i - w_j), with g
the gradient of the values w. Where w_i = w_j, the quotient has a limit if the function of
w is symmetric and smooth, and the derivative of g in w says which. Otherwise no
derivative exists, and the quotient is NaN.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tinygrad_ckn.backend import Array, Namespace, xp_of
from tinygrad_ckn.backward import backpropagate
from tinygrad_ckn.graph import Node, Variable, Vertex, unwrap
from tinygrad_ckn.ops.elementwise import where
from tinygrad_ckn.ops.norm import kink

# Values closer than this number of roundings of the largest, times n, count as equal.
_ROUNDINGS = 4
# Noise of a gradient, in the same unit times its slope.
_NOISE = 64
# Relative difference up to which two derivatives count as the same.
_SAME = 1e-4


class Slopes(NamedTuple):
    """The derivative of a gradient g (..., n) in the sorted values that it belongs to.

    `derivative` (..., n, n) has dg_i / dw_j. Where `alike` (n, n) is False, g_i and g_j
    depend differently on something else, so that it is not all that there is; where
    `vanishes` (n,) is False, g_i does not stay 0 if w_i does.
    """

    derivative: Array
    alike: Array
    vanishes: Array


def _largest(values: Array) -> Array:
    """Return the largest absolute value (..., 1, 1)."""
    sizes: Any = abs(values)
    largest: Array = sizes.max(axis=-1, keepdims=True)[..., None]
    return largest


def _eps(values: Array) -> float:
    return float(xp_of(values).finfo(values.dtype).eps)


def _equal(values: Array) -> Array:
    """Return the difference (..., 1, 1) up to which values count as equal."""
    return _ROUNDINGS * values.shape[-1] * _eps(values) * _largest(values)


def _near(values: Array) -> Array:
    """Return the difference (..., 1, 1) below which quotients lose digits."""
    return _eps(values) ** (1 / 3) * _largest(values)


def without_derivative(values: Array, a: Array) -> Array:
    """Return values computed from a that have no derivative: a gradient in them becomes NaN."""
    if not isinstance(a, Variable):
        return values
    if not (a._requires_grad and values.size and unwrap(a).size):
        return Variable.wrap(values)
    along: Any = a.sum(axis=(-2, -1), keepdims=True)
    return values + kink(along * xp_of(values).zeros_like(values), ())


def quotient(numerator: Array, denominator: Array, limited: Array | None, limit: Any) -> Array:
    """Return numerator / denominator, and a limit, whose derivative is NaN, where `limited`."""
    if limited is None or not limited.any():
        return numerator / denominator
    ratio = numerator / where(limited, 1, denominator)
    return where(limited, kink(numerator, ()) + limit, ratio)


def quotient_of_vectors(numerator: Array, denominator: Array, values: Array) -> Array:
    """Return numerator / denominator; where that is 0, NaN unless the numerator is 0 as well."""
    if not values.size:
        return numerator
    raw: Any = unwrap(numerator)
    xp = xp_of(raw)
    bound = _equal(values) if raw.ndim > values.ndim else _equal(values)[..., 0]
    nothing = xp.where(raw == 0, 0, math.nan).astype(raw.dtype)
    return quotient(numerator, denominator, abs(unwrap(denominator)) <= bound, nothing)


def quotient_of_pairs(g: Array, w: Array, slopes: Slopes | None, sign: int) -> Array:
    """Return (g_i + sign g_j) / (w_i + sign w_j), and 0 where i = j; (..., n, n).

    With H the derivative of g in w, it tends to (H_ii + H_jj)/2 + sign (H_ij + H_ji)/2.
    Of quotient and limit the one with the smaller error is taken: rounding makes that
    of the quotient large.
    """
    numerator, denominator = (_rows(x) + sign * _columns(x) for x in (g, w))
    limited, limit = None, None
    if slopes is not None:
        limited, limit = _limits(slopes, numerator, denominator, g, w, sign)
    raw: Any = unwrap(w)
    identity = xp_of(raw).eye(raw.shape[-1], dtype=raw.dtype)
    numerator = (1 - identity) * numerator
    denominator = (1 - identity) * denominator + identity
    return quotient(numerator, denominator, limited, limit)


def _limits(
    slopes: Slopes, numerator: Array, denominator: Array, g: Array, w: Array, sign: int
) -> tuple[Array, Array]:
    """Return where `quotient_of_pairs` takes limits, and the limits: NaN if there is none."""
    above, below, sizes, values = (unwrap(x) for x in (numerator, denominator, abs(g), w))
    xp: Namespace = xp_of(values)
    h = slopes.derivative
    own = xp.diagonal(h, axis1=-2, axis2=-1)
    limit = 0.5 * (_rows(own) + _columns(own) + sign * (h + h.swapaxes(-1, -2)))
    gap, size = abs(below), _rows(sizes) + _columns(sizes)
    # how much the slope changes between the two, which the limit leaves out
    change = abs(_rows(own) - _columns(own)) * gap
    noise = _NOISE * _equal(values) * (abs(_rows(own)) + abs(_columns(own)))
    alike = slopes.alike
    if sign > 0:
        alike = _rows(slopes.vanishes) & _columns(slopes.vanishes)
    tolerance = _eps(values) ** 0.5 * size + change + noise
    smooth = alike & (abs(above - limit * below) <= tolerance)
    equal = gap <= _equal(values)
    near = gap <= _near(values) if sign < 0 else equal
    accurate = change <= 8 * _eps(values) * size
    pairs = ~xp.eye(values.shape[-1], dtype=bool)
    return pairs & near & smooth & accurate | equal & ~smooth, xp.where(smooth, limit, math.nan)


def quotient_of_each(g: Array, s: Array, slopes: Slopes | None) -> Array:
    """Return g_i / s_i (..., n), which tends to H_ii if g is 0 where s is, and else is NaN."""
    if slopes is None:
        return g / s
    raw: Any = unwrap(s)
    xp = xp_of(raw)
    own = xp.diagonal(slopes.derivative, axis1=-2, axis2=-1)
    bound = _equal(raw)[..., 0]
    zero = slopes.vanishes & (abs(unwrap(g)) <= _NOISE * bound * abs(own))
    return quotient(g, s, raw <= bound, xp.where(zero, own, math.nan))


def _rows(x: Any) -> Any:
    return x[..., :, None]


def _columns(x: Any) -> Any:
    return x[..., None, :]


def slopes_of(g: Any, y: Any, *, zero: bool = False) -> Slopes | None:
    """Return the derivative of a gradient g in the sorted values y that it belongs to.

    None where it is not needed: if no values meet and, with `zero`, none is 0; or if g
    has no graph. One backward for each value that meets another finds it.
    """
    w = unwrap(y)
    if not isinstance(g, Variable) or y._node is None or not w.size:
        return None
    xp: Namespace = xp_of(w)
    n = w.shape[-1]
    meets = abs(w[..., 1:] - w[..., :-1]) <= _near(w)[..., 0]
    is_zero = (abs(w) <= _equal(w)[..., 0]) & zero
    if not (meets.any() or is_zero.any()):
        return None
    gradients = _Derivatives(g, y)
    involved = is_zero.copy()
    involved[..., 1:] |= meets
    involved[..., :-1] |= meets
    nothing = xp.zeros_like(w)
    rows, split, vanishes = [], [0], []
    for i in range(n):
        probe = nothing.copy()
        probe[..., i] = 1
        needed = involved[..., i].any()
        rows.append(gradients.in_values(probe) if needed else nothing)
        vanishes.append(gradients.agree(is_zero[..., i], i))
        if i:
            split.append(split[-1] + (not gradients.agree(meets[..., i - 1], i, i - 1)))
    chain = xp.asarray(split)
    return Slopes(xp.stack(rows, axis=-2), chain[:, None] == chain, xp.asarray(vanishes))


class _Derivatives:
    """Derivatives of a gradient g in its values y, and in the leaves it depends on besides."""

    def __init__(self, g: Any, y: Any) -> None:
        self._g = g
        self._values: Node = y._node
        self._leaves = _leaves(g._vertex, y._node) if g._requires_grad else []

    def _backward(self, probe: Array) -> dict[Vertex, Any]:
        ends = [self._values, *self._leaves]
        return backpropagate([(self._g._vertex, probe)], ends, retain_graph=True, partial=True)

    def in_values(self, probe: Array) -> Array:
        """Return the gradient in the values of <g, probe>."""
        found = self._backward(probe).get(self._values) if self._g._requires_grad else None
        return xp_of(probe).zeros_like(probe) if found is None else found

    def agree(self, where_: Array, i: int, j: int | None = None) -> bool:
        """Return whether g_i - g_j, or g_i, does not depend on leaves; in parts of the batch."""
        if not self._leaves or not where_.any():
            return True
        xp = xp_of(where_)
        difference, total = (xp.zeros_like(unwrap(self._g)) for _ in range(2))
        difference[..., i] = where_
        # arbitrary numbers, so that nothing cancels
        total[...] = where_[..., None] * xp.cos(xp.arange(1.0, total.shape[-1] + 1))
        if j is not None:
            difference[..., j] = -1.0 * where_
        found, sizes = self._backward(difference), self._backward(total)
        return all(
            bool((abs(found[leaf]) <= _SAME * abs(sizes[leaf]).max()).all())
            for leaf in self._leaves
            if leaf in found and found[leaf].size
        )


def _leaves(start: Vertex, end: Node) -> list[Vertex]:
    """Return the leaves that a graph reaches by ways that do not lead through a node."""
    seen: dict[Vertex, None] = {start: None}
    stack = [start]
    while stack:
        vertex = stack.pop()
        if isinstance(vertex, Node):
            for parent in vertex.parents:
                if parent is not None and parent is not end and parent not in seen:
                    seen[parent] = None
                    stack.append(parent)
    return [vertex for vertex in seen if not isinstance(vertex, Node)]
