"""The arc-cosine kernels of Cho and Saul 2009: of infinitely many random units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinygrad_ckn import ops
from tinygrad_ckn.models.kernels.base import Kernel
from tinygrad_ckn.ops import kappa as kappas
from tinygrad_ckn.ops.kappa import Kappa


@dataclass(frozen=True)
class ArcCosine0(Kernel):
    """kappa(u) = 1 - arccos(u)/pi: infinitely many random step units.

    Examples
    --------
    >>> ArcCosine0()(np.array([[1.0, 0.0]]), np.array([[0.0, 3.0]]))
    array([[1.5]])
    """

    def kappa(self, u: Any) -> Any:
        """Return 1 - arccos(u)/pi."""
        return ops.kappa_arccos0(u)

    def fused(self) -> Kappa:
        """Return kappa with its derivative."""
        return kappas.arccos0()


@dataclass(frozen=True)
class ArcCosine1(Kernel):
    """kappa(u) = (u (pi - arccos u) + sqrt(1 - u^2))/pi: infinitely many random ReLU units.

    Examples
    --------
    >>> ArcCosine1()(np.array([[1.0, 0.0]]), np.array([[0.0, 3.0]])).round(4)
    array([[0.9549]])
    """

    def kappa(self, u: Any) -> Any:
        """Return (u (pi - arccos u) + sqrt(1 - u^2))/pi."""
        return ops.kappa_arccos1(u)

    def fused(self) -> Kappa:
        """Return kappa with its derivative."""
        return kappas.arccos1()
