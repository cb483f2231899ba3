"""kappa, the function of the cosine u of two patches that makes a homogeneous dot-product kernel |x||y| kappa(u).

`primitives` are the functions with their derivatives; `fused` has them as the fused map
of a layer takes them, and `combined` sums and products of these.
"""

from tinygrad_ckn.ops.kappa.combined import product, weighted_sum
from tinygrad_ckn.ops.kappa.fused import (
    Kappa,
    arccos0,
    arccos1,
    exponential,
    inner_polynomial,
    inverse_polynomial,
    linear,
    matern,
    polynomial,
    power_series,
)
from tinygrad_ckn.ops.kappa.primitives import (
    kappa_arccos0,
    kappa_arccos1,
    kappa_exponential,
    kappa_matern,
    kappa_polynomial,
    kappa_power_series,
)

__all__ = [
    "Kappa",
    "arccos0",
    "arccos1",
    "exponential",
    "inner_polynomial",
    "inverse_polynomial",
    "kappa_arccos0",
    "kappa_arccos1",
    "kappa_exponential",
    "kappa_matern",
    "kappa_polynomial",
    "kappa_power_series",
    "linear",
    "matern",
    "polynomial",
    "power_series",
    "product",
    "weighted_sum",
]
