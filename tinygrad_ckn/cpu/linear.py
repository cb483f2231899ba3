"""Products of a tall feature matrix on the CPU: with a few weight rows, and with itself.

n examples, D features, k classes. Both functions work on one block of examples and the
caller loops over the blocks, so features may lie in a file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.cpu.gemm import product

# rows and columns of the Gram matrix computed at a time
_STRIP = 384


def scores(x: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """Return x @ weight.T, (n, k), for x (n, D) and weight (k, D)."""
    return product(x, np.ascontiguousarray(weight.T), np.empty((len(x), len(weight)), x.dtype))


def add_gram(total: NDArray[Any], x: NDArray[Any]) -> None:
    """Add x^T x to total (D, D), on all threads.

    Only blocks that meet the upper triangle are written.
    """
    strips = parallel.tiles(len(total), 1, limit=_STRIP)

    def add(block: tuple[slice, slice]) -> None:
        rows, columns = block
        total[rows, columns] += x[:, rows].T @ x[:, columns]

    parallel.for_each(add, [(a, b) for i, a in enumerate(strips) for b in strips[i:]])
