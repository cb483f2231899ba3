"""Products of features, a tall matrix, on the CPU: with few rows of weights, and with themselves.

n examples, D features, k classes. Both work on blocks of examples and leave it to the
caller to take them one by one, so that features may lie in a file.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU
from tinygrad_ckn.cpu.gemm import product

# columns of the Gram matrix computed at a time, by as many rows
_STRIP = 384

xp = CPU.xp


def scores(x: Any, weight: Any) -> Any:
    """Return x @ weight.T, (n, k), for x (n, D) and weight (k, D)."""
    return product(x, xp.ascontiguousarray(weight.T), xp.empty((len(x), len(weight)), x.dtype))


def add_gram(total: Any, x: Any) -> None:
    """Add x^T x to total (D, D), in the upper triangle and somewhat below it, in blocks on all threads."""
    strips = parallel.tiles(len(total), 1, limit=_STRIP)

    def add(pair: tuple[slice, slice]) -> None:
        rows, columns = pair
        total[rows, columns] += x[:, rows].T @ x[:, columns]

    parallel.for_each(add, [(a, b) for i, a in enumerate(strips) for b in strips[i:]])
