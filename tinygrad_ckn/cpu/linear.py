"""Products of features, a tall matrix, on the CPU: with few rows of weights, and with themselves.

n examples, D features, k classes. Both work on blocks of examples and leave it to the caller to take them one by one,
so that features may lie in a file.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU

_SMALL = 10**6  # multiplications up to which OpenBLAS takes operands as they lie
_FEWEST, _MOST = 8, 32  # rows in such a product: where it is faster, as measured
_STRIP = 384  # columns of the Gram matrix computed at a time, by as many rows

xp = CPU.xp


def scores(x: Any, weight: Any) -> Any:
    """Return x @ weight.T, (n, k), for x (n, D) and weight (k, D).

    A large product first copies its operands into an order of its own, which for few classes takes as long as the rest.
    So this is a batch of products that are small enough to go without.
    """
    n, d = x.shape
    step = min(_SMALL // max(1, weight.size), _MOST)
    if step < _FEWEST or not x.flags.c_contiguous:
        return x @ weight.T
    columns = xp.ascontiguousarray(weight.T)  # (D, k)
    y = xp.empty((n, len(weight)), x.dtype)
    whole = n // step * step
    xp.matmul(x[:whole].reshape(-1, step, d), columns, out=y[:whole].reshape(-1, step, len(weight)))
    xp.matmul(x[whole:], columns, out=y[whole:])
    return y


def add_gram(total: Any, x: Any) -> None:
    """Add x^T x to total (D, D), in the upper triangle and somewhat below it, in blocks on all threads."""
    strips = parallel.tiles(len(total), 1, limit=_STRIP)

    def add(pair: tuple[slice, slice]) -> None:
        rows, columns = pair
        total[rows, columns] += x[:, rows].T @ x[:, columns]

    parallel.for_each(add, [(a, b) for i, a in enumerate(strips) for b in strips[i:]])
