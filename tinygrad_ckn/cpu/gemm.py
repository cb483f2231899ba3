"""Matrix products in pieces that suit BLAS, on the threads of the pool.

OpenBLAS copies the operands of a product into buffers of its own layout before it
multiplies, except for small products (up to 100^3 multiplications, on processors with
AVX-512), where the copy would cost more than it gains. The same holds for many of the
narrow matrices here, such as (36, 36) times (36, 10,000): in small pieces they take
half the time, and other shapes a tenth less.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import Namespace
from tinygrad_ckn.ops.matmul import _contract, matmul

# multiplications up to which OpenBLAS does not copy its operands
SMALL = 1_000_000
# columns (and maximum number of rows) of a piece
_PIECE = 128
# columns of a piece with few rows
_WIDE_PIECE = 512
# multiplications up to which BLAS uses a single thread by itself
_SERIAL = 2**18
# matrix elements up to which BLAS multiplies by a vector in a single thread
_VECTOR = 2**13
# multiplications in one thread's share
_SHARE = 2**24


@functools.lru_cache(maxsize=1024)
def _piece(m: int, k: int, n: int) -> tuple[int, int]:
    """Return (rows, columns) of the pieces of (m, k) @ (k, n); (m, n): one piece."""
    columns = min(n, _WIDE_PIECE if m < _PIECE // 2 else _PIECE)
    rows = (
        m
        if m * k * columns <= SMALL
        else min(_PIECE, 1 << (SMALL // (k * columns)).bit_length() >> 1)
    )
    # Long rows are just as fast in one piece.
    return (rows, columns) if rows >= 8 else (m, n)


def product(a: NDArray[Any], b: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    """Write a (..., m, k) @ b (..., k, n) to out (..., m, n) and return it.

    It runs in the calling thread.
    """
    m, k = a.shape[-2:]
    n = b.shape[-1]
    if m * k * n <= SMALL:
        return np.matmul(a, b, out=out)
    rows, columns = _piece(m, k, n)
    if (rows, columns) == (m, n):
        return np.matmul(a, b, out=out)
    if b.strides[-1] != b.itemsize:
        # Small products with a transposed b are slow.
        b = np.ascontiguousarray(b)
    if n % columns:
        whole = n - n % columns
        product(a, b[..., whole:], out[..., whole:])
        product(a, b[..., :whole], out[..., :whole])
    elif m % rows:
        whole = m - m % rows
        product(a[..., whole:, :], b, out[..., whole:, :])
        product(a[..., :whole, :], b, out[..., :whole, :])
    else:
        _multiply(a, b, out, rows, columns)
    return out


def _multiply(a: NDArray[Any], b: NDArray[Any], out: NDArray[Any], rows: int, columns: int) -> None:
    """Multiply in pieces of rows x columns, which divide m x n, as a stack of matrices.

    Each way of cutting adds a leading axis to the operands.
    """
    m, k = a.shape[-2:]
    n = b.shape[-1]
    if columns < n:
        a = a[..., None, :, :]
        b = b.reshape(*b.shape[:-1], n // columns, columns).swapaxes(-3, -2)
        out = out.reshape(*out.shape[:-1], n // columns, columns).swapaxes(-3, -2)
    if rows < m:
        a = a.reshape(*a.shape[:-2], m // rows, rows, k)
        b = b[..., None, :, :]
        out = out.reshape(*out.shape[:-2], m // rows, rows, columns)
    np.matmul(a, b, out=out)


def _with_one_blas_thread(
    function: Callable[..., NDArray[Any]], *operands: NDArray[Any], **options: Any
) -> NDArray[Any]:
    """Call a function with single-threaded BLAS if the operands are large.

    BLAS would use several threads, and their number would change the rounding.
    """
    if max(operand.size for operand in operands) <= _VECTOR:
        return function(*operands, **options)
    with parallel.one_blas_thread():
        return function(*operands, **options)


@_contract.kernel("cpu")
def _einsum(xp: Namespace, *operands: NDArray[Any], subscripts: str) -> NDArray[Any]:
    return _with_one_blas_thread(functools.partial(np.einsum, subscripts), *operands, optimize=True)


@matmul.kernel("cpu")
def threaded_matmul(xp: Namespace, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Compute `numpy.matmul`; threads share the rows or the batch of large products."""
    if a.ndim == b.ndim == 2 and a.size * b.shape[1] <= _SERIAL:
        return _with_one_blas_thread(np.matmul, a, b)
    if (
        a.ndim < 2
        or b.ndim < 2
        or a.shape[-1] != b.shape[-2]
        or a.dtype != b.dtype
        or a.dtype.kind != "f"
    ):
        # Vectors, integers, mixed dtypes and invalid shapes are left to NumPy.
        return _with_one_blas_thread(np.matmul, a, b)
    m, k = a.shape[-2:]
    n = b.shape[-1]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if math.prod(batch) * m * k * n <= _SERIAL:
        return _with_one_blas_thread(np.matmul, a, b)
    y = parallel.empty((*batch, m, n), a.dtype)
    if not batch:
        row_blocks = parallel.tiles(m, k * n, limit=_SHARE, minimum=64)
        parallel.for_each(lambda rows: product(a[rows], b, y[rows]), row_blocks)
        return y
    a, b = (np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (a, b))
    parts = parallel.tiles(batch[0], math.prod(batch[1:]) * m * k * n, limit=_SHARE)
    parallel.for_each(lambda part: product(a[part], b[part], y[part]), parts)
    return y
