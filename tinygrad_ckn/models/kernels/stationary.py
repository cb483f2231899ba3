"""Kernels that are functions of the distance sqrt(2 - 2u) of two points of the sphere."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

from tinygrad_ckn import ops
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.models.kernels.base import Kernel
from tinygrad_ckn.ops import kappa as kappas
from tinygrad_ckn.ops.kappa import Kappa
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.windows import is_finite

_LARGEST = math.log(sys.float_info.max)


@dataclass(frozen=True)
class Exponential(Kernel):
    """kappa(u) = exp((u - 1) / sigma^2): for unit vectors exp(-|x - y|^2 / (2 sigma^2)), the Gaussian kernel.

    Parameters
    ----------
    sigma
        > 0.
    trained
        Whether alpha = 1/sigma^2 is a parameter of the layer that has the kernel,
        beginning at this sigma; it is trained by its logarithm `log_alpha`, so it stays
        positive.

    Raises
    ------
    ConfigError
        If sigma is not positive, or trained no bool.

    Examples
    --------
    >>> Exponential(sigma=0.5)(np.array([[2.0, 0.0]]), np.array([[0.0, 3.0]])).round(4)
    array([[0.1099]])
    """

    sigma: float = 0.6
    trained: bool = False

    def __post_init__(self) -> None:
        if not is_finite(self.sigma) or self.sigma <= 0:
            raise ConfigError(
                f"Exponential: argument sigma expected a number > 0, got {self.sigma!r}"
            )
        if not isinstance(self.trained, bool):
            raise ConfigError(
                f"Exponential: argument trained expected True or False, got {self.trained!r}"
            )

    @classmethod
    @plain_arguments
    def of_alpha(cls, alpha: float, trained: bool = False) -> Exponential:
        """Return the kernel exp(alpha (u - 1)), alpha > 0.

        Raises
        ------
        ConfigError
            If alpha is not positive.

        Examples
        --------
        >>> Exponential.of_alpha(4.0).sigma
        0.5
        """
        if not is_finite(alpha) or alpha <= 0:
            raise ConfigError(
                f"Exponential.of_alpha: argument alpha expected a number > 0, got {alpha!r}"
            )
        return cls(1 / math.sqrt(alpha), trained)

    def initial_parameters(self) -> dict[str, float]:
        """Return log(alpha) where it is trained."""
        return {"log_alpha": -2 * math.log(self.sigma)} if self.trained else {}

    def kappa(self, u: Any, log_alpha: Any = None) -> Any:
        """Return exp(alpha (u - 1)); alpha is 1/sigma^2 where log_alpha, a Tensor or a number, is left out."""
        alpha = ops.exp(log_alpha) if isinstance(log_alpha, Variable) else self._alpha(log_alpha)
        return ops.kappa_exponential(u, alpha)

    def fused(self, log_alpha: Any = None) -> Kappa | None:
        """Return kappa with its derivative in u; None where log_alpha needs a gradient."""
        if getattr(log_alpha, "requires_grad", False):
            return None
        return kappas.exponential(self._alpha(unwrap(log_alpha)))

    def _alpha(self, log_alpha: float | None) -> float:
        """Return alpha as a Python number, which leaves the dtype of cosines as it is."""
        if log_alpha is None:
            return 1 / self.sigma**2
        return math.exp(log_alpha) if log_alpha < _LARGEST else math.inf


@dataclass(frozen=True)
class Matern(Kernel):
    """The Matern kernel of nu = 1/2, 3/2 or 5/2 at the distance d = sqrt(2 - 2u), which unit vectors of cosine u have.

    With s = sqrt(2 nu) d / length_scale, kappa is exp(-s) times 1, 1 + s or 1 + s +
    s^2/3. As a mixture of Gaussian kernels it is positive definite on spheres of every
    dimension, and its power series in u has non-negative coefficients, since that of
    each exp(-2t (1 - u)) has (Schoenberg 1942). Its derivative of order nu + 1/2 in u
    is infinite at u = 1, and is taken as 0 there, as that of `ArcCosine0`; for nu = 1/2
    this is the first one.

    Parameters
    ----------
    nu
        0.5, 1.5 or 2.5.
    length_scale
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
        if self.nu not in (0.5, 1.5, 2.5):
            raise ConfigError(f"Matern: argument nu expected 0.5, 1.5 or 2.5, got {self.nu!r}")
        if not is_finite(self.length_scale) or self.length_scale <= 0:
            raise ConfigError(
                f"Matern: argument length_scale expected a number > 0, got {self.length_scale!r}"
            )

    def kappa(self, u: Any) -> Any:
        """Return exp(-s) times 1, 1 + s or 1 + s + s^2/3."""
        return self.fused().of(u)

    def fused(self) -> Kappa:
        """Return kappa with its derivative."""
        return kappas.matern(math.sqrt(2 * self.nu) / self.length_scale, int(self.nu))
