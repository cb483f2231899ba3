"""kappa, the function of the cosine u of two patches that makes a homogeneous dot-product kernel |x||y| kappa(u).

All have kappa(1) = 1 and non-negative power series. Sources: Mairal 2016 (arXiv 1605.06265) for the exponential;
Cho and Saul 2009 for the arc-cosine kernels of order 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinygrad_ckn.backend import Array, Namespace, floating, is_whole
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.graph import raw
from tinygrad_ckn.ops.arithmetic import power
from tinygrad_ckn.ops.elementwise import sqrt, where
from tinygrad_ckn.primitive import primitive


@primitive(broadcasts=True)
def kappa_exponential(xp: Namespace, u: Array, alpha: Array) -> Any:
    """Return exp(alpha (u - 1)); alpha = 1/sigma^2 may be a tensor that is trained.

    Examples
    --------
    >>> kappa_exponential(Tensor([1.0, 0.0]), 1.0)
    Tensor((2,), float64, cpu) [1.         0.36787944]
    """
    exponent = alpha * (floating(xp, u) - 1)
    return xp.exp(exponent, out=exponent) if exponent.ndim else xp.exp(exponent)  # one map less in memory


@primitive()
def kappa_polynomial(xp: Namespace, u: Array, degree: int) -> Any:
    """Return u**degree, for a whole degree of at least 1.

    Raises
    ------
    ConfigError
        If the degree is not a whole number of at least 1.

    Examples
    --------
    >>> kappa_polynomial(Tensor([1.0, -0.5]), 2)
    Tensor((2,), float64, cpu) [1.   0.25]
    """
    if not is_whole(degree, 1):
        raise ConfigError(f"kappa_polynomial: argument degree expected a whole number >= 1, got {degree!r}")
    return u if degree == 1 else u * u if degree == 2 else u**degree


@primitive()
def kappa_arccos0(xp: Namespace, u: Array) -> Any:
    """Return 1 - arccos(u)/pi; u is taken within [-1, 1].

    The derivative 1/(pi sqrt(1 - u^2)) is infinite at u = +-1 and is taken as 0 there, which is right where it matters:
    on the diagonal of a Gram matrix, u = 1 whatever the patch.

    Examples
    --------
    >>> kappa_arccos0(Tensor([1.0, 0.0, -1.0]))
    Tensor((3,), float64, cpu) [1.  0.5 0. ]
    """
    return 1 - xp.arccos(xp.clip(u, -1, 1)) / math.pi


@primitive()
def kappa_arccos1(xp: Namespace, u: Array) -> Any:
    """Return (u (pi - arccos u) + sqrt(1 - u^2)) / pi; u is taken within [-1, 1]. Its derivative is `kappa_arccos0`.

    That is 1 at u = 1 and beyond, so that the rounding of a cosine does not decide.

    Examples
    --------
    >>> kappa_arccos1(Tensor([1.0, 0.0, -1.0])).numpy().round(6).tolist()
    [1.0, 0.31831, 0.0]
    """
    u = xp.clip(u, -1, 1)
    return (u * (math.pi - xp.arccos(u)) + xp.sqrt((1 - u) * (1 + u))) / math.pi


def _arccos0_slope(u: Any) -> Any:
    inside = abs(raw(u)) < 1
    safe = where(inside, (1 - u) * (1 + u), 1)
    return where(inside, 1 / (math.pi * sqrt(safe)), 0)


kappa_exponential.vjp(u=lambda g, alpha, y: g * y * alpha, alpha=lambda g, u, y: g * y * (u - 1))
kappa_polynomial.vjp(u=lambda g, u, degree: g * (degree * power(u, degree - 1)) if degree > 1 else g)
kappa_arccos0.vjp(u=lambda g, u: g * _arccos0_slope(u))
kappa_arccos1.vjp(u=lambda g, u: g * kappa_arccos0(u))


@dataclass(frozen=True, slots=True)
class Kappa:
    """A kappa with its derivative, as the fused map of a CKN layer takes it (`ops.ckn_map`).

    It is a function of v = scale * u + shift, for the map has v as cheaply as u: exp(alpha (u - 1)) is then exp(v).

    Attributes
    ----------
    of
        kappa of Tensors or arrays of cosines u, as a composition of operations.
    value
        value(xp, v, out) writes kappa to out; out may be v itself.
    slope
        slope(xp, v, value, out) returns the derivative in v, given value = kappa: value itself, or out with it.
    scale, shift
        Of v.
    """

    of: Callable[[Any], Any]
    value: Callable[[Namespace, Any, Any], None]
    slope: Callable[[Namespace, Any, Any, Any], Any]
    scale: float = 1.0
    shift: float = 0.0


def exponential(alpha: float) -> Kappa:
    """Return `kappa_exponential` of a fixed alpha: exp(v), v = alpha u - alpha, which is its own derivative.

    Examples
    --------
    >>> exponential(2.0).of(np.array([1.0, 0.5])).round(4).tolist()
    [1.0, 0.3679]
    """

    def value(xp: Namespace, v: Any, out: Any) -> None:
        xp.exp(v, out=out)

    def slope(xp: Namespace, v: Any, value: Any, out: Any) -> Any:
        return value

    return Kappa(lambda u: kappa_exponential(u, alpha), value, slope, alpha, -alpha)


def polynomial(degree: int) -> Kappa:
    """Return `kappa_polynomial` of a degree, with its derivative degree u^(degree - 1).

    Examples
    --------
    >>> polynomial(2).of(np.array([1.0, 0.5])).tolist()
    [1.0, 0.25]
    """

    def value(xp: Namespace, v: Any, out: Any) -> None:
        if degree == 2:
            xp.multiply(v, v, out=out)
        else:
            xp.power(v, degree, out=out)

    def slope(xp: Namespace, v: Any, value: Any, out: Any) -> Any:
        if degree == 2:
            return xp.multiply(v, 2, out=out)
        return xp.multiply(xp.power(v, degree - 1, out=out), degree, out=out)

    return Kappa(lambda u: kappa_polynomial(u, degree), value, slope)


def arccos0() -> Kappa:
    """Return `kappa_arccos0` with its derivative, taken as 0 at u = +-1.

    Examples
    --------
    >>> arccos0().of(np.array([1.0, 0.0])).tolist()
    [1.0, 0.5]
    """

    def value(xp: Namespace, v: Any, out: Any) -> None:
        out[...] = kappa_arccos0.forward(xp, v)

    return Kappa(kappa_arccos0, value, lambda xp, v, value, out: _arccos0_slope(v))


def arccos1() -> Kappa:
    """Return `kappa_arccos1` with its derivative, `kappa_arccos0`.

    Examples
    --------
    >>> arccos1().of(np.array([1.0, -1.0])).tolist()
    [1.0, 0.0]
    """

    def value(xp: Namespace, v: Any, out: Any) -> None:
        out[...] = kappa_arccos1.forward(xp, v)

    return Kappa(kappa_arccos1, value, lambda xp, v, value, out: kappa_arccos0.forward(xp, v))
