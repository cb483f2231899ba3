"""Functions kappa of cosines u = <x, y> / (|x| |y|), as differentiable primitives.

Each has kappa(1) = 1 and a power series with non-negative coefficients, except that
`kappa_power_series` takes any coefficients. Sources: Mairal 2016 (arXiv 1605.06265) for
the exponential; Cho and Saul 2009 for the arc-cosine kernels of order 0 and 1;
Rasmussen and Williams 2006, equation (4.16), for the Matern kernels.
"""

from __future__ import annotations

import math

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace, floating
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.arithmetic import power
from tinygrad_ckn.ops.elementwise import sqrt, where
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.windows import is_finite


@primitive(broadcasts=True)
def kappa_exponential(xp: Namespace, u: Array, alpha: Array | float) -> Array:
    """Return exp(alpha (u - 1)); alpha = 1/sigma^2 may be a trained Tensor.

    Examples
    --------
    >>> kappa_exponential(Tensor([1.0, 0.0]), 1.0)
    Tensor((2,), float64, cpu) [1.         0.36787944]
    """
    exponent = alpha * (floating(xp, u) - 1)
    # In place, to save an array; 0-d results are scalars and cannot be written into.
    return xp.exp(exponent, out=exponent) if exponent.ndim else xp.exp(exponent)


kappa_exponential.vjp(u=lambda g, alpha, y: g * y * alpha, alpha=lambda g, u, y: g * y * (u - 1))


@primitive()
def kappa_polynomial(xp: Namespace, u: Array, degree: int) -> Array:
    """Return u**degree.

    Raises
    ------
    ConfigError
        If degree is not an integer >= 1.

    Examples
    --------
    >>> kappa_polynomial(Tensor([1.0, -0.5]), 2)
    Tensor((2,), float64, cpu) [1.   0.25]
    """
    checks.integers("kappa_polynomial", degree=degree)
    return u if degree == 1 else u * u if degree == 2 else u**degree


kappa_polynomial.vjp(
    u=lambda g, u, degree: g * (degree * power(u, degree - 1)) if degree > 1 else g
)


@primitive()
def kappa_arccos0(xp: Namespace, u: Array) -> Array:
    """Return 1 - arccos(u)/pi, with u clipped to [-1, 1].

    The derivative 1/(pi sqrt(1 - u^2)) is infinite at u = +-1 and is defined as 0
    there. On the diagonal of a Gram matrix 0 is right: u = 1 whatever the patch.

    Examples
    --------
    >>> kappa_arccos0(Tensor([1.0, 0.0, -1.0]))
    Tensor((3,), float64, cpu) [1.  0.5 0. ]
    """
    return 1 - xp.arccos(xp.clip(u, -1, 1)) / math.pi


kappa_arccos0.vjp(u=lambda g, u: g * _arccos0_slope(u))


def _arccos0_slope(u: Array) -> Array:
    """Return the derivative of `kappa_arccos0`: 0 where |u| >= 1."""
    inside = abs(unwrap(u)) < 1
    safe = where(inside, (1 - u) * (1 + u), 1)
    return where(inside, 1 / (math.pi * sqrt(safe)), 0)


@primitive()
def kappa_arccos1(xp: Namespace, u: Array) -> Array:
    """Return (u (pi - arccos u) + sqrt(1 - u^2)) / pi, with u clipped to [-1, 1].

    Its derivative is `kappa_arccos0`: 1 at u = 1 and beyond, so it does not matter
    that cosines are rounded.

    Examples
    --------
    >>> kappa_arccos1(Tensor([1.0, 0.0, -1.0])).numpy().round(6).tolist()
    [1.0, 0.31831, 0.0]
    """
    u = xp.clip(u, -1, 1)
    return (u * (math.pi - xp.arccos(u)) + xp.sqrt((1 - u) * (1 + u))) / math.pi


kappa_arccos1.vjp(u=lambda g, u: g * kappa_arccos0(u))


@primitive()
def kappa_matern(xp: Namespace, u: Array, rate: float, order: int) -> Array:
    """Return the Matern kernel of nu = order + 1/2 on the unit sphere.

    With the distance d = sqrt(2 - 2u), s = rate d and rate = sqrt(2 nu) / length scale:
    exp(-s) times 1, 1 + s or 1 + s + s^2/3 for order 0, 1, 2; u > 1, a rounding error,
    counts as 1. The derivative in u is rate^2 / (2 order - 1) times the function of the
    order below. For order 0 it is rate exp(-s) / d, which is infinite at u = 1 and
    defined as 0 there, as for `kappa_arccos0`.

    Raises
    ------
    ConfigError
        If rate is not a finite number > 0, or order is not 0, 1 or 2.

    Examples
    --------
    >>> kappa_matern(Tensor([1.0, 0.5]), 1.0, 0)
    Tensor((2,), float64, cpu) [1.         0.36787944]
    """
    checks.positive("kappa_matern", rate=rate)
    checks.one_of("kappa_matern", (0, 1, 2), hint="for nu = 1/2, 3/2 or 5/2", order=order)
    u = floating(xp, u)
    s = rate * xp.sqrt(xp.maximum(2 - 2 * u, 0))
    decay = xp.exp(-s)
    return decay * _horner(xp, s, _MATERN[order]) if order else decay


kappa_matern.vjp(u=lambda g, u, rate, order: g * _matern_slope(u, rate, order))


# Coefficients of the polynomial in s, by order.
_MATERN = ((1.0,), (1.0, 1.0), (1.0, 1.0, 1 / 3))


def _matern_slope(u: Array, rate: float, order: int) -> Array:
    """Return the derivative of `kappa_matern`; for order 0 it is 0 where u >= 1."""
    if order:
        return rate**2 / (2 * order - 1) * kappa_matern(u, rate, order - 1)
    inside = unwrap(u) < 1
    distance = sqrt(where(inside, 2 - 2 * u, 1))
    return where(inside, rate * kappa_matern(u, rate, 0) / distance, 0)


@primitive()
def kappa_power_series(xp: Namespace, u: Array, coefficients: tuple[float, ...]) -> Array:
    """Return coefficients[0] + coefficients[1] u + coefficients[2] u^2 + ...

    Raises
    ------
    ConfigError
        If coefficients is not a tuple of at least one finite number.

    Examples
    --------
    >>> kappa_power_series(Tensor([1.0, 2.0]), (0.5, 0.0, 0.5))
    Tensor((2,), float64, cpu) [1.  2.5]
    """
    numbers = isinstance(coefficients, tuple) and all(map(is_finite, coefficients))
    if not numbers or not coefficients:
        raise ConfigError(
            "kappa_power_series: argument coefficients expected a tuple of at least one "
            f"finite number, got {coefficients!r}"
        )
    return _horner(xp, floating(xp, u), coefficients)


kappa_power_series.vjp(
    u=lambda g, u, coefficients: g * kappa_power_series(u, _derivative(coefficients))
)


def _horner(xp: Namespace, u: Array, coefficients: tuple[float, ...]) -> Array:
    """Evaluate a polynomial, lowest power first, in new memory."""
    y = xp.full_like(u, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        y *= u
        y += coefficient
    return y


def _derivative(coefficients: tuple[float, ...]) -> tuple[float, ...]:
    """Return the coefficients of a polynomial's derivative."""
    return tuple(k * coefficient for k, coefficient in enumerate(coefficients) if k) or (0.0,)
