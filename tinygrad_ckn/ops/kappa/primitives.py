"""The functions kappa of cosines u = <x, y> / (|x| |y|), as differentiable primitives.

All have kappa(1) = 1 and non-negative power series; `kappa_power_series` where its
coefficients say so. Sources: Mairal 2016 (arXiv 1605.06265) for the exponential; Cho
and Saul 2009 for the arc-cosine kernels of order 0 and 1; Rasmussen and Williams 2006,
equation (4.16), for the Matern kernels.
"""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn.backend import Array, Namespace, floating, is_whole
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.arithmetic import power
from tinygrad_ckn.ops.elementwise import sqrt, where
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.windows import is_finite


@primitive(broadcasts=True)
def kappa_exponential(xp: Namespace, u: Array, alpha: Array) -> Any:
    """Return exp(alpha (u - 1)); alpha = 1/sigma^2 may be a tensor that is trained.

    Examples
    --------
    >>> kappa_exponential(Tensor([1.0, 0.0]), 1.0)
    Tensor((2,), float64, cpu) [1.         0.36787944]
    """
    exponent = alpha * (floating(xp, u) - 1)
    return (
        xp.exp(exponent, out=exponent) if exponent.ndim else xp.exp(exponent)
    )  # one map less in memory


@primitive()
def kappa_polynomial(xp: Namespace, u: Array, degree: int) -> Any:
    """Return u**degree, for a whole degree of at least 1.

    Raises
    ------
    ConfigError
        If the degree is not an integer of at least 1.

    Examples
    --------
    >>> kappa_polynomial(Tensor([1.0, -0.5]), 2)
    Tensor((2,), float64, cpu) [1.   0.25]
    """
    if not is_whole(degree, 1):
        raise ConfigError(
            f"kappa_polynomial: argument degree expected an integer >= 1, got {degree!r}"
        )
    return u if degree == 1 else u * u if degree == 2 else u**degree


@primitive()
def kappa_arccos0(xp: Namespace, u: Array) -> Any:
    """Return 1 - arccos(u)/pi; u is taken within [-1, 1].

    The derivative 1/(pi sqrt(1 - u^2)) is infinite at u = +-1 and is taken as 0 there,
    which is right where it matters: on the diagonal of a Gram matrix, u = 1 whatever
    the patch.

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


@primitive()
def kappa_matern(xp: Namespace, u: Array, rate: float, order: int) -> Any:
    """Return the Matern kernel of nu = order + 1/2 at the distance d = sqrt(2 - 2u) of two points of the sphere.

    With s = rate d, rate = sqrt(2 nu) / length scale: exp(-s) times 1, 1 + s or 1 + s +
    s^2/3, for order 0, 1, 2; u > 1, which rounding makes, counts as 1. The derivative
    in u is rate^2 / (2 order - 1) times the function of one order less; of order 0 it
    is rate exp(-s) / d, infinite at u = 1, where it is taken as 0, as for
    `kappa_arccos0`.

    Raises
    ------
    ConfigError
        If the rate is not a number > 0, or the order not 0, 1 or 2.

    Examples
    --------
    >>> kappa_matern(Tensor([1.0, 0.5]), 1.0, 0)
    Tensor((2,), float64, cpu) [1.         0.36787944]
    """
    if not is_finite(rate) or rate <= 0:
        raise ConfigError(f"kappa_matern: argument rate expected a number > 0, got {rate!r}")
    if order not in (0, 1, 2):
        raise ConfigError(
            f"kappa_matern: argument order expected 0, 1 or 2, for nu = 1/2, 3/2 or 5/2, got {order!r}"
        )
    u = floating(xp, u)
    return matern_of(xp, rate * xp.sqrt(xp.maximum(2 - 2 * u, 0)), order)


@primitive()
def kappa_power_series(xp: Namespace, u: Array, coefficients: tuple[float, ...]) -> Any:
    """Return coefficients[0] + coefficients[1] u + coefficients[2] u^2 + ..., by Horner's rule.

    Raises
    ------
    ConfigError
        If there is no coefficient, or one is not a finite number.

    Examples
    --------
    >>> kappa_power_series(Tensor([1.0, 2.0]), (0.5, 0.0, 0.5))
    Tensor((2,), float64, cpu) [1.  2.5]
    """
    if (
        not isinstance(coefficients, tuple)
        or not coefficients
        or not all(map(is_finite, coefficients))
    ):
        raise ConfigError(
            "kappa_power_series: argument coefficients expected a tuple of one finite number at least, "
            f"got {coefficients!r}"
        )
    return horner(xp, floating(xp, u), coefficients)


def horner(xp: Namespace, u: Any, coefficients: tuple[float, ...]) -> Any:
    """Return the polynomial of these coefficients, lowest power first, in new memory."""
    y = xp.full_like(u, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        y *= u
        y += coefficient
    return y


def derivative_of(coefficients: tuple[float, ...]) -> tuple[float, ...]:
    """Return the coefficients of the derivative of a polynomial."""
    return tuple(k * coefficient for k, coefficient in enumerate(coefficients) if k) or (0.0,)


def matern_of(xp: Namespace, s: Any, order: int) -> Any:
    """Return the Matern kernel of nu = order + 1/2 at scaled distances s = rate d >= 0, in new memory."""
    decay = xp.exp(-s)
    return decay * horner(xp, s, _MATERN[order]) if order else decay


_MATERN = ((1.0,), (1.0, 1.0), (1.0, 1.0, 1 / 3))


def arccos0_slope(u: Any) -> Any:
    """Return the derivative of `kappa_arccos0`, 0 at u = +-1 and beyond."""
    inside = abs(unwrap(u)) < 1
    safe = where(inside, (1 - u) * (1 + u), 1)
    return where(inside, 1 / (math.pi * sqrt(safe)), 0)


def _matern_slope(u: Any, rate: float, order: int) -> Any:
    if order:
        return rate**2 / (2 * order - 1) * kappa_matern(u, rate, order - 1)
    inside = unwrap(u) < 1
    distance = sqrt(where(inside, 2 - 2 * u, 1))
    return where(inside, rate * kappa_matern(u, rate, 0) / distance, 0)


kappa_exponential.vjp(u=lambda g, alpha, y: g * y * alpha, alpha=lambda g, u, y: g * y * (u - 1))
kappa_polynomial.vjp(
    u=lambda g, u, degree: g * (degree * power(u, degree - 1)) if degree > 1 else g
)
kappa_arccos0.vjp(u=lambda g, u: g * arccos0_slope(u))
kappa_arccos1.vjp(u=lambda g, u: g * kappa_arccos0(u))
kappa_matern.vjp(u=lambda g, u, rate, order: g * _matern_slope(u, rate, order))
kappa_power_series.vjp(
    u=lambda g, u, coefficients: g * kappa_power_series(u, derivative_of(coefficients))
)
