"""The arc-cosine kernels of Cho and Saul 2009: infinitely many random units."""

from __future__ import annotations

from dataclasses import dataclass

from tinygrad_ckn import ops
from tinygrad_ckn.backend import Array
from tinygrad_ckn.models.kernels.base import Kernel, register
from tinygrad_ckn.ops.kappa import DeviceFunction, Kappa


@register("arccos0")
@dataclass(frozen=True)
class ArcCosine0(Kernel):
    """kappa(u) = 1 - arccos(u)/pi: infinitely many random step units.

    Examples
    --------
    >>> ArcCosine0()(np.array([[1.0, 0.0]]), np.array([[0.0, 3.0]]))
    array([[1.5]])
    """

    def kappa(self, u: Array) -> Array:
        """Return 1 - arccos(u)/pi."""
        return ops.kappa_arccos0(u)

    def fused(self) -> Kappa:
        """Return kappa with its derivative, and its function on the GPU."""
        return Kappa.from_function(self.kappa, DeviceFunction("Arccos0"))


@register("arccos1")
@dataclass(frozen=True)
class ArcCosine1(Kernel):
    """kappa(u) = (u (pi - arccos u) + sqrt(1 - u^2))/pi: random ReLU units.

    Examples
    --------
    >>> ArcCosine1()(np.array([[1.0, 0.0]]), np.array([[0.0, 3.0]])).round(4)
    array([[0.9549]])
    """

    def kappa(self, u: Array) -> Array:
        """Return (u (pi - arccos u) + sqrt(1 - u^2))/pi."""
        return ops.kappa_arccos1(u)

    def fused(self) -> Kappa:
        """Return kappa with its derivative, and its function on the GPU."""
        return Kappa.from_function(self.kappa, DeviceFunction("Arccos1"))
