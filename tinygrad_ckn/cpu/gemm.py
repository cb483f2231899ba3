"""Matrix products, in pieces of the size that BLAS is fastest at, on the threads of the pool.

OpenBLAS copies the operands of a product into buffers of its own layout before it
multiplies, but not those of a small one (up to 100^3 multiplications, where the
processor has AVX-512): there the copy costs more than it gains. It does for many of our
matrices too, which are narrow, (36, 36) times (36, 10,000) say: in small pieces they
take half the time, and others a tenth less.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU, Namespace
from tinygrad_ckn.ops.matmul import _contract, matmul

xp = CPU.xp

# multiplications up to which OpenBLAS does not copy
SMALL = 1_000_000
# columns (and rows, at most) of a piece
_PIECE = 128
# columns of a piece of few rows
_WIDE_PIECE = 512
# multiplications up to which BLAS takes one thread by itself
_SERIAL = 2**18
# elements of a matrix up to which BLAS multiplies a vector with it in one thread
_VECTOR = 2**13
# multiplications that a thread takes at a time
_SHARE = 2**24


@functools.lru_cache(maxsize=1024)
def _piece(m: int, k: int, n: int) -> tuple[int, int]:
    """Return rows and columns of the pieces of a product (m, k) (k, n); as a whole it is (m, n)."""
    columns = min(n, _WIDE_PIECE if m < _PIECE // 2 else _PIECE)
    rows = (
        m
        if m * k * columns <= SMALL
        else min(_PIECE, 1 << (SMALL // (k * columns)).bit_length() >> 1)
    )
    # the products of long rows are as fast whole
    return (rows, columns) if rows >= 8 else (m, n)


def product(a: Any, b: Any, out: Any) -> Any:
    """Write the product of a (..., m, k) and b (..., k, n) to out (..., m, n), and return it; in this thread."""
    (m, k), n = a.shape[-2:], b.shape[-1]
    if m * k * n <= SMALL:
        return xp.matmul(a, b, out=out)
    rows, columns = _piece(m, k, n)
    if (rows, columns) == (m, n):
        return xp.matmul(a, b, out=out)
    if b.strides[-1] != b.itemsize:
        # a small product with b transposed is slow
        b = xp.ascontiguousarray(b)
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


def _multiply(a: Any, b: Any, out: Any, rows: int, columns: int) -> None:
    """Multiply in pieces of a size that divides the product's: one more axis for each way of cutting."""
    (m, k), n = a.shape[-2:], b.shape[-1]
    if columns < n:
        a = a[..., None, :, :]
        b = b.reshape(*b.shape[:-1], n // columns, columns).swapaxes(-3, -2)
        out = out.reshape(*out.shape[:-1], n // columns, columns).swapaxes(-3, -2)
    if rows < m:
        a = a.reshape(*a.shape[:-2], m // rows, rows, k)
        b = b[..., None, :, :]
        out = out.reshape(*out.shape[:-2], m // rows, rows, columns)
    xp.matmul(a, b, out=out)


def _with_one_blas_thread(function: Callable[..., Any], *operands: Any, **options: Any) -> Any:
    """Call a function with BLAS at one thread where it would take several, whose number would be seen in the bits."""
    if max(operand.size for operand in operands) <= _VECTOR:
        return function(*operands, **options)
    with parallel.one_blas_thread():
        return function(*operands, **options)


@_contract.kernel("cpu")
def _einsum(xp: Namespace, *operands: Any, subscripts: str) -> Any:
    return _with_one_blas_thread(functools.partial(xp.einsum, subscripts), *operands, optimize=True)


@matmul.kernel("cpu")
def threaded_matmul(xp: Namespace, a: Any, b: Any) -> Any:
    """Return the product as `numpy.matmul`, large ones on several threads, by blocks of rows or by the batch."""
    if a.ndim == b.ndim == 2 and a.size * b.shape[1] <= _SERIAL:
        return _with_one_blas_thread(xp.matmul, a, b)
    if (
        a.ndim < 2
        or b.ndim < 2
        or a.shape[-1] != b.shape[-2]
        or a.dtype != b.dtype
        or a.dtype.kind != "f"
    ):
        # vectors, integers, and what NumPy refuses
        return _with_one_blas_thread(xp.matmul, a, b)
    (m, k), n = a.shape[-2:], b.shape[-1]
    batch = xp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if math.prod(batch) * m * k * n <= _SERIAL:
        return _with_one_blas_thread(xp.matmul, a, b)
    y = parallel.empty((*batch, m, n), a.dtype)
    if not batch:
        cuts = parallel.tiles(m, k * n, limit=_SHARE, minimum=64)
        parallel.for_each(lambda rows: product(a[rows], b, y[rows]), cuts)
        return y
    a, b = (xp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (a, b))
    cuts = parallel.tiles(batch[0], math.prod(batch[1:]) * m * k * n, limit=_SHARE)
    parallel.for_each(lambda part: product(a[part], b[part], y[part]), cuts)
    return y
