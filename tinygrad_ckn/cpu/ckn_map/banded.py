"""Products with banded matrices: pooling and box filters along one axis.

A matrix is cut into blocks of rows, each with the columns of its band. So the cost of a
product is that of the band, in few calls of BLAS.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tinygrad_ckn.chunks import slices
from tinygrad_ckn.cpu.gemm import product

# Rows per block.
_ROWS = 32

# Rows, columns, and the block of the matrix; all other elements are 0.
Bands: TypeAlias = list[tuple[slice, slice, NDArray[Any]]]


def bands(matrix: NDArray[Any]) -> Bands:
    """Cut a matrix into blocks of rows."""
    blocks = []
    for rows in slices(len(matrix), _ROWS):
        used = np.flatnonzero(matrix[rows].any(axis=0))
        columns = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0)
        blocks.append((rows, columns, np.ascontiguousarray(matrix[rows, columns])))
    return blocks


def box(rows: int, kernel: int, columns: int, dtype: DTypeLike) -> NDArray[Any]:
    """Return the matrix (rows, columns) that sums windows of `kernel` elements."""
    offsets = np.arange(columns) - np.arange(rows)[:, None]
    return ((offsets >= 0) & (offsets < kernel)).astype(dtype)


def from_left(matrix: Bands, x: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    """Write the product of a matrix (m, k) and x (..., k, n) to out, and return out."""
    for rows, columns, block in matrix:
        product(block, x[..., columns, :], out[..., rows, :])
    return out


def from_right(x: NDArray[Any], matrix: Bands, out: NDArray[Any]) -> NDArray[Any]:
    """Write the product of x (..., n, k) and a transposed matrix (m, k) to out."""
    for rows, columns, block in matrix:
        np.matmul(x[..., columns], block.T, out=out[..., rows])
    return out
