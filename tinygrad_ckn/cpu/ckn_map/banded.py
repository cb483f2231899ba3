"""Products with banded matrices: of pooling and of box filters along an axis.

Cut into blocks of rows, each with the columns that its band needs, a product costs as
much as the band is wide, and takes few calls of BLAS.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU
from tinygrad_ckn.cpu.gemm import product

xp = CPU.xp

# of a block
_ROWS = 32

# rows, columns, and the block that is not zero
Bands = list[tuple[slice, slice, Any]]


def bands(matrix: Any) -> Bands:
    """Cut a matrix into blocks of rows."""
    found = []
    for rows in parallel.tiles(len(matrix), 1, limit=_ROWS):
        used = xp.flatnonzero(matrix[rows].any(axis=0))
        columns = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0)
        found.append((rows, columns, xp.ascontiguousarray(matrix[rows, columns])))
    return found


def box(n: int, kernel: int, full: int, dtype: Any) -> Any:
    """Return the matrix (n, full) that sums windows of the kernel's length."""
    places = xp.arange(full) - xp.arange(n)[:, None]
    return ((places >= 0) & (places < kernel)).astype(dtype)


def from_left(matrix: Bands, x: Any, out: Any) -> Any:
    """Write the product of a matrix (m, k) with x (..., k, n) to out (..., m, n), and return it."""
    for rows, columns, block in matrix:
        product(block, x[..., columns, :], out[..., rows, :])
    return out


def from_right(x: Any, matrix: Bands, out: Any) -> Any:
    """Write the product of x (..., n, k) with the transpose of a matrix (m, k) to out (..., n, m), and return it."""
    for rows, columns, block in matrix:
        xp.matmul(x[..., columns], block.T, out=out[..., rows])
    return out
