"""Kernels whose kappa is a polynomial or a geometric series."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tinygrad_ckn import ops
from tinygrad_ckn.backend import is_whole
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.kernels.base import Kernel
from tinygrad_ckn.ops import kappa as kappas
from tinygrad_ckn.ops.kappa import Kappa
from tinygrad_ckn.windows import is_finite


@dataclass(frozen=True)
class Linear(Kernel):
    """kappa(u) = u: the inner product.

    Examples
    --------
    >>> Linear()([[1.0, 2.0]], [[3.0, 4.0]]).round(12)
    array([[11.]])
    """

    def kappa(self, u: Any) -> Any:
        """Return u."""
        return u

    def fused(self) -> Kappa:
        """Return kappa with its derivative."""
        return kappas.linear()


@dataclass(frozen=True)
class Polynomial(Kernel):
    """kappa(u) = u^degree.

    Examples
    --------
    >>> Polynomial(degree=2)(np.array([[1.0, 1.0]]), np.array([[0.0, 3.0]])).round(4)
    array([[2.1213]])
    """

    degree: int = 2

    def __post_init__(self) -> None:
        if not is_whole(self.degree, 1):
            raise ConfigError(
                f"Polynomial: argument degree expected an integer >= 1, got {self.degree!r}"
            )

    def kappa(self, u: Any) -> Any:
        """Return u^degree."""
        return ops.kappa_polynomial(u, self.degree)

    def fused(self) -> Kappa:
        """Return kappa with its derivative."""
        return kappas.polynomial(self.degree)


@dataclass(frozen=True)
class InnerPolynomial(Kernel):
    """kappa(u) = ((u + c) / (1 + c))^degree, c >= 0: all monomials up to a degree.

    Examples
    --------
    >>> InnerPolynomial(c=1.0, degree=2)([[1.0, 0.0]], [[0.0, 2.0]])
    array([[0.5]])
    """

    c: float = 1.0
    degree: int = 2

    def __post_init__(self) -> None:
        if not is_finite(self.c) or self.c < 0:
            raise ConfigError(f"InnerPolynomial: argument c expected a number >= 0, got {self.c!r}")
        if not is_whole(self.degree, 1):
            raise ConfigError(
                f"InnerPolynomial: argument degree expected an integer >= 1, got {self.degree!r}"
            )

    def kappa(self, u: Any) -> Any:
        """Return ((u + c) / (1 + c))^degree."""
        return self.fused().of(u)

    def fused(self) -> Kappa:
        """Return kappa with its derivative."""
        return kappas.inner_polynomial(self.c, self.degree)


@dataclass(frozen=True)
class InversePolynomial(Kernel):
    """kappa(u) = 1 / (2 - u): powers of u of all degrees n, with weights 2^-(n + 1).

    Examples
    --------
    >>> InversePolynomial()([[1.0, 0.0]], [[0.0, 3.0]])
    array([[1.5]])
    """

    def kappa(self, u: Any) -> Any:
        """Return 1 / (2 - u)."""
        return self.fused().of(u)

    def fused(self) -> Kappa:
        """Return kappa with its derivative."""
        return kappas.inverse_polynomial()


@dataclass(frozen=True)
class PowerSeries(Kernel):
    """kappa(u) = sum of a_n u^n, divided by the sum of the a_n so that kappa(1) = 1.

    Parameters
    ----------
    coefficients
        a_0, a_1, ...: numbers >= 0, one of them > 0.

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
        given = tuple(self.coefficients) if isinstance(self.coefficients, Iterable) else ()
        if not all(is_finite(a) and a >= 0 for a in given) or not any(given):
            raise ConfigError(
                "PowerSeries: argument coefficients expected finite numbers >= 0, one of them > 0, "
                f"got {self.coefficients!r}"
            )
        object.__setattr__(self, "coefficients", tuple(map(float, given)))

    def kappa(self, u: Any) -> Any:
        """Return the sum of a_n u^n over the sum of a_n."""
        return self.fused().of(u)

    def fused(self) -> Kappa:
        """Return kappa with its derivative."""
        total = math.fsum(self.coefficients)
        return kappas.power_series(tuple(a / total for a in self.coefficients))
