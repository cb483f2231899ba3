"""What the classifier asks of features (n, D): their moments, and sums over blocks of examples.

Blocks are taken one by one, so that features may lie in a file; on the CPU all threads take some.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU, backend_of, to_numpy, xp_of
from tinygrad_ckn.cpu import linear as cpu
from tinygrad_ckn.errors import DataError

_BLOCK = 4096  # examples taken at a time, at most
_BLOCK_BYTES = 2**22  # of features on the CPU: in cache for the second product, yet threads seldom change hands
_LEAST = 256  # examples in a block, where they are wide


def blocks_of(features: Any, n: int) -> list[slice]:
    """Cut n examples into blocks."""
    size = features.shape[1] * features.itemsize
    limit = min(_BLOCK * size, _BLOCK_BYTES) if backend_of(features) is CPU else _BLOCK * size
    return parallel.tiles(n, size, limit=limit, least=min(_BLOCK, _LEAST))


def sum_over(features: Any, add: Callable[[slice, Any], None], blocks: list[slice], start: Callable[[], Any]) -> Any:
    """Return the sum of what add(block, total) adds for each block, on all threads where memory is the host's."""
    if backend_of(features) is CPU:
        return parallel.sum_of(add, blocks, start)
    total = start()
    for block in blocks:
        add(block, total)
    return total


def scores_of(x: Any, weight: Any) -> Any:
    """Return x @ weight.T, (n, k), for x (n, D) and weight (k, D)."""
    return cpu.scores(x, weight) if backend_of(x) is CPU else x @ weight.T


class Moments:
    """Number, mean (D,) and scatter matrix (D, D) of examples, in float64 on the host; the upper triangle counts."""

    def __init__(self, features: Any, chosen: Any = None, origin: Any = None) -> None:
        """Look at all examples, or at those of which the numbers are given, scattered about a point or their mean."""
        self.n = len(features) if chosen is None else len(chosen)
        blocks = blocks_of(features, self.n)

        def block(rows: slice) -> Any:
            return features[rows if chosen is None else chosen[rows]]

        def add(rows: slice, total: Any) -> None:
            total += to_numpy(block(rows).sum(axis=0, dtype="float64"))

        self.mean = sum_over(features, add, blocks, lambda: CPU.xp.zeros(features.shape[1])) / self.n
        if not bool(CPU.xp.isfinite(self.mean).all()):
            raise DataError(
                "fit_linear: argument features expected finite numbers, got NaN or infinity; look at the images"
            )
        centre = xp_of(features).asarray(self.mean if origin is None else origin, dtype=features.dtype)
        self.scatter = CPU.xp.zeros((features.shape[1],) * 2)
        for i in range(0, self.n, _BLOCK):
            centred = block(slice(i, min(i + _BLOCK, self.n))) - centre
            if backend_of(features) is CPU:
                cpu.add_gram(self.scatter, centred)
            else:
                self.scatter += to_numpy(centred.T @ centred)

    def without(self, features: Any, aside: Any) -> Moments:
        """Return the moments of all examples but those of which the numbers are given."""
        xp = CPU.xp
        others, rest = Moments(features, aside, self.mean), object.__new__(Moments)
        rest.n = self.n - others.n
        rest.mean = (self.n * self.mean - others.n * others.mean) / rest.n
        shift = rest.mean - self.mean
        rest.scatter = self.scatter - others.scatter - rest.n * xp.outer(shift, shift)
        return rest
