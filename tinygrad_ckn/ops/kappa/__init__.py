"""Functions kappa of the cosine of two patches, for dot-product kernels |x| |y| kappa(u).

`primitives` has the functions as differentiable operations; `fused` has the form in
which the fused map of a layer evaluates any of them.
"""

from tinygrad_ckn.ops.kappa.fused import DeviceFunction, Kappa
from tinygrad_ckn.ops.kappa.primitives import (
    kappa_arccos0,
    kappa_arccos1,
    kappa_exponential,
    kappa_matern,
    kappa_polynomial,
    kappa_power_series,
)

__all__ = [
    "DeviceFunction",
    "Kappa",
    "kappa_arccos0",
    "kappa_arccos1",
    "kappa_exponential",
    "kappa_matern",
    "kappa_polynomial",
    "kappa_power_series",
]


def __dir__() -> list[str]:
    return sorted(__all__)
