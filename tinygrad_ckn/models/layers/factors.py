"""Nystrom factors (kappa(Z Z^T) + eps I)^(-1/2): computing, caching and applying them.

G groups, p filters in a group, Z the filters as rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from tinygrad_ckn import ops
from tinygrad_ckn.backend import Array, backend_of, xp_of
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.nn import Parameter
from tinygrad_ckn.tensor import Tensor

EpsConvention: TypeAlias = Literal["inside", "outside"]
# Two filters coincide where 1 - kappa is below this.
_COINCIDE = 1e-5


class FactorCache:
    """Nystrom factors, valid as long as the parameters they depend on are unchanged."""

    def __init__(self) -> None:
        # The array and version of each parameter, and the factors. They are one
        # attribute so that another thread never sees half of an update.
        self._entry: tuple[list[tuple[Array, int]], list[Array] | None] = [], None

    def get(self, parameters: Sequence[Parameter]) -> list[Array] | None:
        """Return the cached factors if they belong to these parameters, else None."""
        key, factors = self._entry
        same = len(parameters) == len(key) and all(
            p.data is array and p.version == version
            for p, (array, version) in zip(parameters, key, strict=True)
        )
        return factors if same else None

    def put(self, parameters: Sequence[Parameter], factors: Sequence[Array]) -> None:
        """Cache the factors of these parameters."""
        key = [(p.data, p.version) for p in parameters]
        self._entry = key, [unwrap(factor) for factor in factors]


def nystrom_factors(
    grams: Array, *, eps: float, eps_convention: EpsConvention, dtype: str
) -> list[Array]:
    """Return the factor (p, p) of each matrix kappa(Z Z^T) in a stack (G, p, p).

    Factors are cast to `dtype`. On the CPU those of coinciding filters keep the dtype of
    the stack, because such a factor subtracts large numbers from each other.
    """
    asynchronous = backend_of(unwrap(grams)).asynchronous
    roots = ops.inverse_sqrt(grams, eps=eps, convention=eps_convention)
    return [
        roots[i] if not asynchronous and _coincide(gram) else roots[i].astype(dtype)
        for i, gram in enumerate(unwrap(grams))
    ]


def _coincide(gram: Array) -> bool:
    """Return whether two different filters coincide, given kappa(Z Z^T) (p, p)."""
    xp = xp_of(gram)
    return bool((gram - 2 * xp.eye(len(gram))).max() > 1 - _COINCIDE)


def apply_factor(factor: Array, maps: Tensor) -> Tensor:
    """Multiply maps (N, p, H, W) by a factor (p, p), in the factor's dtype.

    The result has the dtype of the maps.
    """
    n, p, height, width = maps.shape
    columns = maps.reshape((n, p, height * width)).astype(factor.dtype)
    return ops.matmul(factor, columns).astype(maps.dtype).reshape((n, p, height, width))
