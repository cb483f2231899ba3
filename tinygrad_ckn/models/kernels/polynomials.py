"""Kernels whose kappa is a polynomial or a geometric series."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tinygrad_ckn import checks, ops
from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.kernels.base import Kernel, register
from tinygrad_ckn.ops.kappa import DeviceFunction, Kappa
from tinygrad_ckn.windows import is_finite


@register("linear")
@dataclass(frozen=True)
class Linear(Kernel):
    """kappa(u) = u: the inner product.

    Examples
    --------
    >>> Linear()([[1.0, 2.0]], [[3.0, 4.0]]).round(12)
    array([[11.]])
    """

    def kappa(self, u: Array) -> Array:
        """Return u."""
        return u

    def fused(self) -> Kappa:
        """Return kappa with its derivative, and its function on the GPU."""
        return Kappa.from_function(self.kappa, DeviceFunction("Polynomial", 1))


@register("polynomial")
@dataclass(frozen=True)
class Polynomial(Kernel):
    """kappa(u) = u^degree.

    Parameters
    ----------
    degree : int, default 2
        >= 1.

    Raises
    ------
    ConfigError
        If degree is not an integer >= 1.

    Examples
    --------
    >>> Polynomial(degree=2)(np.array([[1.0, 1.0]]), np.array([[0.0, 3.0]])).round(4)
    array([[2.1213]])
    """

    degree: int = 2

    def __post_init__(self) -> None:
        checks.integers("Polynomial", degree=self.degree)

    def kappa(self, u: Array) -> Array:
        """Return u^degree."""
        return ops.kappa_polynomial(u, self.degree)

    def fused(self) -> Kappa:
        """Return kappa with its derivative degree u^(degree - 1), written by hand."""
        device = DeviceFunction("Polynomial", self.degree)
        return Kappa(self.kappa, self._value, self._value_and_slope, device=device)

    def _value(self, xp: Namespace, v: Array, out: Array) -> None:
        if self.degree == 2:
            xp.multiply(v, v, out=out)
        else:
            xp.power(v, self.degree, out=out)

    def _value_and_slope(self, xp: Namespace, v: Array, values: Array, slopes: Array) -> Array:
        self._value(xp, v, values)
        if self.degree == 2:
            return xp.multiply(v, 2, out=slopes)
        return xp.multiply(xp.power(v, self.degree - 1, out=slopes), self.degree, out=slopes)


@register("inner_polynomial")
@dataclass(frozen=True)
class InnerPolynomial(Kernel):
    """kappa(u) = ((u + c) / (1 + c))^degree: all monomials up to a degree.

    Parameters
    ----------
    c : float, default 1
        >= 0.
    degree : int, default 2
        >= 1.

    Raises
    ------
    ConfigError
        If a parameter is not of this kind.

    Examples
    --------
    >>> InnerPolynomial(c=1.0, degree=2)([[1.0, 0.0]], [[0.0, 2.0]])
    array([[0.5]])
    """

    c: float = 1.0
    degree: int = 2

    def __post_init__(self) -> None:
        checks.number(
            "InnerPolynomial", "c", self.c, "a finite number >= 0", lambda c: 0 <= c < math.inf
        )
        checks.integers("InnerPolynomial", degree=self.degree)

    def kappa(self, u: Array) -> Array:
        """Return ((u + c) / (1 + c))^degree."""
        return ops.kappa_polynomial((u + self.c) / (1 + self.c), self.degree)

    def fused(self) -> Kappa:
        """Return kappa with its derivative, and its function on the GPU."""
        scale = 1 / (1 + self.c)
        device = DeviceFunction("Polynomial", self.degree, scale, self.c * scale)
        return Kappa.from_function(self.kappa, device)


@register("inverse_polynomial")
@dataclass(frozen=True)
class InversePolynomial(Kernel):
    """kappa(u) = 1 / (2 - u): powers u^n of all degrees, with weights 2^-(n + 1).

    Examples
    --------
    >>> InversePolynomial()([[1.0, 0.0]], [[0.0, 3.0]])
    array([[1.5]])
    """

    def kappa(self, u: Array) -> Array:
        """Return 1 / (2 - u)."""
        return 1 / (2 - u)

    def fused(self) -> Kappa:
        """Return kappa with its derivative, and its function on the GPU."""
        return Kappa.from_function(self.kappa, DeviceFunction("InversePolynomial"))


@register("power_series")
@dataclass(frozen=True)
class PowerSeries(Kernel):
    """kappa(u) = sum of a_n u^n, divided by the sum of the a_n so that kappa(1) = 1.

    Parameters
    ----------
    coefficients : sequence of float
        a_0, a_1, ...: finite numbers >= 0, at least one of them > 0.

    Raises
    ------
    ConfigError
        If the coefficients are not of this kind.

    Examples
    --------
    >>> PowerSeries([1, 0, 3]).kappa(np.array([1.0, 0.0]))
    array([1.  , 0.25])
    """

    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        numbers = tuple(self.coefficients) if isinstance(self.coefficients, Iterable) else ()
        if not all(is_finite(a) and a >= 0 for a in numbers) or not any(numbers):
            raise ConfigError(
                "PowerSeries: argument coefficients expected finite numbers >= 0, at least one of "
                f"them > 0, got {self.coefficients!r}"
            )
        object.__setattr__(self, "coefficients", tuple(map(float, numbers)))

    def kappa(self, u: Array) -> Array:
        """Return the sum of a_n u^n over the sum of a_n."""
        total = math.fsum(self.coefficients)
        return ops.kappa_power_series(u, tuple(a / total for a in self.coefficients))
