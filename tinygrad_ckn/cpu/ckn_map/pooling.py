"""Gaussian pooling within the fused map: two products with banded matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.cpu.ckn_map.banded import bands, from_left
from tinygrad_ckn.cpu.gemm import product


class Pooling:
    """Pooling R x C^T with R (h, Ho) and C (w, Wo), and its adjoint.

    Examples
    --------
    >>> pooling = Pooling(np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]]))
    >>> weights = pooling.weights(np.ones((1, 2, 2)))
    >>> out = np.empty((1, 1, 1, 1))
    >>> pooling.pool(weights, np.arange(4.0).reshape(1, 2, 2, 1), out)
    >>> out.item()
    1.75
    """

    def __init__(self, rows: NDArray[Any], columns: NDArray[Any]) -> None:
        self.size = len(rows), len(columns)
        self.matrices = rows, columns
        self.rows = bands(rows)
        self.columns = bands(columns)
        self.rows_adjoint = bands(rows.T)
        self.columns_adjoint = bands(columns.T)

    def weights(self, norms: NDArray[Any]) -> list[NDArray[Any]]:
        """Return C |x| per row of the map, in scratch memory, for norms (b, Ho, Wo)."""
        weights = []
        for i, (_, columns, block) in enumerate(self.columns):
            shape = (*norms.shape[:2], *block.shape)
            out = parallel.scratch(f"map columns {i}", shape, block.dtype)
            weights.append(np.multiply(block, norms[:, :, None, columns], out=out))
        return weights

    def pool(
        self, weights: Sequence[NDArray[Any]], values: NDArray[Any], out: NDArray[Any]
    ) -> None:
        """Write R (|x| values) C^T to out (b, h, w, o); values (b, Ho, Wo, o)."""
        b, height, _, o = values.shape
        half = self._half(values)
        for (rows, columns, _), weight in zip(self.columns, weights, strict=True):
            product(weight, values[:, :, columns], half[:, :, rows])
        pooled = parallel.scratch("map pooled", (b, *self.size, o), values.dtype)
        from_left(self.rows, half.reshape(b, height, -1), pooled.reshape(b, self.size[0], -1))
        np.copyto(out, pooled)

    def unpool(self, g: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Write R^T g C to out (b, Ho, Wo, o) and return out; g (b, h, w, o)."""
        b, height = out.shape[:2]
        half = self._half(out)
        from_left(self.rows_adjoint, g.reshape(b, self.size[0], -1), half.reshape(b, height, -1))
        return from_left(self.columns_adjoint, half, out)

    def outputs_of(self, mask: NDArray[Any]) -> NDArray[Any]:
        """Return the mask (b, h, w) of outputs that depend on masked positions."""
        rows, columns = self.matrices
        outputs: NDArray[Any] = rows @ (mask.astype(rows.dtype) @ columns.T) > 0
        return outputs

    def positions_of(self, mask: NDArray[Any]) -> NDArray[Any]:
        """Return the mask (b, Ho, Wo, ...) of positions that masked outputs depend on."""
        rows, columns = self.matrices
        positions = np.einsum("hi,bhw...,wj->bij...", rows, mask.astype(rows.dtype), columns)
        return positions > 0

    def _half(self, x: NDArray[Any]) -> NDArray[Any]:
        return parallel.scratch("map half", (*x.shape[:2], self.size[1], x.shape[3]), x.dtype)
