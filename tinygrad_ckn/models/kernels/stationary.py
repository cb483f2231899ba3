"""Kernels that depend on the distance sqrt(2 - 2u) of two points of the sphere."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any

from tinygrad_ckn import checks, ops
from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.models.kernels.base import Kernel, register
from tinygrad_ckn.ops.kappa import DeviceFunction, Kappa
from tinygrad_ckn.plain import plain_arguments

# Largest logarithm of alpha whose exponential is finite.
_MAX_LOG = math.log(sys.float_info.max)


@register("exponential")
@dataclass(frozen=True)
class Exponential(Kernel):
    """kappa(u) = exp((u - 1) / sigma^2): the Gaussian kernel of unit vectors.

    For unit vectors it equals exp(-|x - y|^2 / (2 sigma^2)).

    Parameters
    ----------
    sigma : float, default 0.6
        Bandwidth, > 0.
    trained : bool, default False
        Whether alpha = 1/sigma^2 is a parameter of the layer, initially of this sigma.
        The layer trains its logarithm `log_alpha`, so alpha stays positive.

    Raises
    ------
    ConfigError
        If sigma is not a finite number > 0, or trained is not a bool.

    Examples
    --------
    >>> Exponential(sigma=0.5)(np.array([[2.0, 0.0]]), np.array([[0.0, 3.0]])).round(4)
    array([[0.1099]])
    """

    sigma: float = 0.6
    trained: bool = False

    def __post_init__(self) -> None:
        checks.positive("Exponential", sigma=self.sigma)
        checks.one_of("Exponential", (True, False), trained=self.trained)

    @classmethod
    @plain_arguments
    def of_alpha(cls, alpha: float, trained: bool = False) -> Exponential:
        """Return the kernel exp(alpha (u - 1)), alpha > 0.

        Raises
        ------
        ConfigError
            If alpha is not a finite number > 0.

        Examples
        --------
        >>> Exponential.of_alpha(4.0).sigma
        0.5
        """
        checks.positive("Exponential.of_alpha", alpha=alpha)
        return cls(1 / math.sqrt(alpha), trained)

    def initial_parameters(self) -> dict[str, float]:
        """Return log(alpha) if it is trained."""
        return {"log_alpha": -2 * math.log(self.sigma)} if self.trained else {}

    def kappa(self, u: Array, log_alpha: Array | float | None = None) -> Array:
        """Return exp(alpha (u - 1)), alpha = exp(log_alpha); default: 1/sigma^2."""
        if isinstance(log_alpha, Variable):
            return ops.kappa_exponential(u, ops.exp(log_alpha))
        return ops.kappa_exponential(u, self._alpha(log_alpha))

    def fused(self, log_alpha: Array | float | None = None) -> Kappa | None:
        """Return kappa as exp(v), v = alpha u - alpha, which is its own derivative.

        None if log_alpha requires a gradient.
        """
        if getattr(log_alpha, "requires_grad", False):
            return None
        alpha = self._alpha(unwrap(log_alpha))
        device = DeviceFunction("Exponential", scale=alpha, shift=-alpha)
        function = partial(ops.kappa_exponential, alpha=alpha)
        return Kappa(function, self._value, self._value_and_slope, alpha, -alpha, device)

    def _alpha(self, log_alpha: Any) -> float:
        """Return alpha as a Python number, which keeps the dtype of the cosines."""
        if log_alpha is None:
            return 1 / self.sigma**2
        return math.exp(log_alpha) if log_alpha < _MAX_LOG else math.inf

    @staticmethod
    def _value(xp: Namespace, v: Array, out: Array) -> None:
        xp.exp(v, out=out)

    @staticmethod
    def _value_and_slope(xp: Namespace, v: Array, values: Array, slopes: Array) -> Array:
        return xp.exp(v, out=values)


@register("matern")
@dataclass(frozen=True)
class Matern(Kernel):
    """The Matern kernel of nu = 1/2, 3/2 or 5/2 on the unit sphere.

    Unit vectors of cosine u have the distance d = sqrt(2 - 2u). With
    s = sqrt(2 nu) d / length_scale, kappa is exp(-s) times 1, 1 + s or 1 + s + s^2/3.
    As a mixture of Gaussian kernels it is positive definite on spheres of every
    dimension, and its power series in u has non-negative coefficients, since that of
    each exp(-2t (1 - u)) has (Schoenberg 1942). Its derivative of order nu + 1/2 in u
    is infinite at u = 1 and defined as 0 there, as for `ArcCosine0`; for nu = 1/2 that
    is the first derivative.

    Parameters
    ----------
    nu : float, default 1.5
        0.5, 1.5 or 2.5.
    length_scale : float, default 1
        > 0; points of the sphere are at most 2 apart.

    Raises
    ------
    ConfigError
        If a parameter is not of this kind.

    Examples
    --------
    >>> Matern(nu=1.5, length_scale=2.0)([[1.0, 0.0]], [[0.0, 1.0]]).round(4)
    array([[0.6537]])
    """

    nu: float = 1.5
    length_scale: float = 1.0

    def __post_init__(self) -> None:
        checks.one_of("Matern", (0.5, 1.5, 2.5), nu=self.nu)
        checks.positive("Matern", length_scale=self.length_scale)

    def kappa(self, u: Array) -> Array:
        """Return exp(-s) times 1, 1 + s or 1 + s + s^2/3."""
        return ops.kappa_matern(u, self._rate, int(self.nu))

    def fused(self) -> Kappa:
        """Return kappa with its derivative, and its function of s^2 on the GPU."""
        square = 2 * self._rate**2
        device = DeviceFunction("Matern", int(self.nu), -square, square)
        return Kappa.from_function(self.kappa, device)

    @property
    def _rate(self) -> float:
        return math.sqrt(2 * self.nu) / self.length_scale
