"""Sums and products of kappas with their derivatives, for the fused map of a layer."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any

from tinygrad_ckn.backend import Namespace
from tinygrad_ckn.ops.kappa.fused import Kappa, pickles


@pickles
def weighted_sum(members: Sequence[Kappa], weights: Sequence[float]) -> Kappa:
    """Return the sum of kappas times weights, which add up to 1.

    Examples
    --------
    >>> from tinygrad_ckn.ops.kappa import linear, polynomial
    >>> weighted_sum([linear(), polynomial(2)], [0.5, 0.5]).of(np.array([1.0, 0.5])).tolist()
    [1.0, 0.375]
    """
    terms = tuple(zip(members, weights, strict=True))

    def of(u: Any) -> Any:
        return reduce(operator.add, [weight * member.of(u) for member, weight in terms])

    def value(xp: Namespace, v: Any, out: Any) -> None:
        total = xp.zeros_like(v)
        for member, weight in terms:
            total += weight * _value(xp, member, v)[1]
        xp.copyto(out, total)

    def slope(xp: Namespace, v: Any, value: Any, out: Any) -> Any:
        out[...] = 0
        for member, weight in terms:
            out += weight * _value_and_slope(xp, member, v)[1]
        return out

    return Kappa(of, value, slope)


@pickles
def product(members: Sequence[Kappa]) -> Kappa:
    """Return the product of kappas.

    Examples
    --------
    >>> from tinygrad_ckn.ops.kappa import linear, polynomial
    >>> product([linear(), polynomial(2)]).of(np.array([1.0, 0.5])).tolist()
    [1.0, 0.125]
    """

    def of(u: Any) -> Any:
        return reduce(operator.mul, [member.of(u) for member in members])

    def value(xp: Namespace, v: Any, out: Any) -> None:
        total = xp.ones_like(v)
        for member in members:
            total *= _value(xp, member, v)[1]
        xp.copyto(out, total)

    def slope(xp: Namespace, v: Any, value: Any, out: Any) -> Any:
        so_far = xp.ones_like(v)
        out[...] = 0
        for member in members:
            factor, its_slope = _value_and_slope(xp, member, v)
            out *= factor
            out += so_far * its_slope
            so_far *= factor
        return out

    return Kappa(of, value, slope)


def _value(xp: Namespace, member: Kappa, u: Any) -> tuple[Any, Any]:
    """Return v of a member at cosines u, and its kappa, both in new memory."""
    v = member.scale * u + member.shift
    values = xp.empty_like(v)
    member.value(xp, v, values)
    return v, values


def _value_and_slope(xp: Namespace, member: Kappa, u: Any) -> tuple[Any, Any]:
    """Return kappa of a member at cosines u, and its derivative in u."""
    v, values = _value(xp, member, u)
    return values, member.scale * member.slope(xp, v, values, xp.empty_like(v))
