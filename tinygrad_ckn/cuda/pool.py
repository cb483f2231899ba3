"""Gaussian pooling and its adjoint on the GPU, by one kernel for banded matrices.

The bands are taken from the matrices of `ops.pool_matrices`, on the host, once for each
image size. The plain forwards, matrix products, are used for dtypes other than float32
and float64, and if one row of a tile needs more than the shared memory because an axis
is too long or subsampled too much.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinygrad_ckn.backend import CPU, Array, Namespace, place_of
from tinygrad_ckn.cuda.launch import (
    SHARED_BYTES,
    THREADS,
    Source,
    batch_slices,
    block_count,
    row_pitch,
    supported,
    threads_per_row,
)
from tinygrad_ckn.ops.pool import check_cotangent, gaussian_pool2d, gaussian_unpool2d
from tinygrad_ckn.ops.pool_matrices import Subsampling, check_subsampling, gaussian_matrices
from tinygrad_ckn.windows import image_shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


SOURCE = Source("pool", "banded<{T}>")
# rows of a tile per row of threads
_ROWS = 4


@dataclass(frozen=True, slots=True)
class Band:
    """A banded matrix on the device, with launch parameters on the host.

    Parameters
    ----------
    starts
        (rows,), int32: first column of each row's band.
    weights
        (taps, rows): row i of the matrix is weights[:, i] from column starts[i] on.
    taps
        Width of the band.
    wide
        Rows of the matrix that neighbouring threads take.
    span
        Maximum number of columns that `wide` consecutive rows cover.
    skew
        See `pool.cu`.
    """

    starts: Array
    weights: Array
    taps: int
    wide: int
    span: int
    skew: int


def band_of(xp: Namespace, matrix: NDArray[Any]) -> Band:
    """Return a matrix on the host as a band on the device.

    The first nonzero column of a row is never left of the previous row's.
    """
    rows, columns = matrix.shape
    host = CPU.xp
    nonzero = matrix != 0
    # (rows,)
    first = nonzero.argmax(axis=1)
    last = columns - nonzero[:, ::-1].argmax(axis=1)
    taps = int((last - first).max())
    # Start early enough for all taps to lie within the matrix.
    starts = host.minimum(first, columns - taps)
    weights = host.take_along_axis(matrix, starts[:, None] + host.arange(taps), axis=1).T
    wide = threads_per_row(rows)
    span = max(
        int(starts[min(i + wide, rows) - 1] - starts[i]) + taps for i in range(0, rows, wide)
    )
    skew = _skew(starts, wide, matrix.dtype.itemsize)
    return Band(
        xp.asarray(starts.astype("int32")), xp.asarray(weights.copy()), taps, wide, span, skew
    )


def _skew(starts: NDArray[np.intp], wide: int, itemsize: int) -> int:
    """Return the skew with the fewest bank conflicts between starts of neighbouring rows.

    31, no skew, is preferred.
    """
    host = CPU.xp
    # banks, and lanes that read from them in one pass
    banks = 128 // itemsize

    def conflicts(skew: int) -> int:
        largest = 0
        for i in range(0, len(starts), wide):
            for j in range(i, min(i + wide, len(starts)), banks):
                offsets = host.unique(starts[j : min(j + banks, i + wide)] - starts[i])
                counts = host.bincount((offsets + (offsets >> skew)) % banks)
                largest = max(largest, int(counts.max()))
        return largest

    return min((31, banks.bit_length() - 1), key=conflicts)


@functools.lru_cache(maxsize=64)
def _bands(
    xp: Namespace,
    size: tuple[int, int],
    subsampling: tuple[float, float],
    dtype: str,
    adjoint: bool,
    place: int,
) -> list[Band]:
    """Return the bands of rows and columns for images of a size, transposed for the adjoint.

    `place` is the number of the current device, for which the bands are cached.
    """
    matrices = gaussian_matrices(CPU.xp, size, subsampling, dtype)
    return [band_of(xp, matrix.T if adjoint else matrix) for matrix in matrices]


def _tile_rows(columns: Band, pitch: int, itemsize: int) -> int:
    """Return the rows of a tile, as many as fit the shared memory; 0: not even the minimum."""
    high = THREADS // columns.wide
    rows = high * _ROWS
    while rows > high and rows * pitch * itemsize > SHARED_BYTES:
        rows //= 2
    return rows if rows * pitch * itemsize <= SHARED_BYTES else 0


def pool_on_device(
    xp: Namespace,
    x: Array,
    image: tuple[int, int],
    subsampling: tuple[float, float],
    *,
    adjoint: bool = False,
) -> Array | None:
    """Return pooled maps of x (N, C, H, W), or the adjoint's maps of the size `image`.

    None if the shared memory is too small.
    """
    rows, columns = _bands(xp, image, subsampling, x.dtype.name, adjoint, place_of(x))
    n, c, h, w = x.shape
    ho, wo = (len(band.starts) for band in (rows, columns))
    wide = columns.wide
    pitch = row_pitch(columns.span + (columns.span >> columns.skew), wide)
    tile = _tile_rows(columns, pitch, x.dtype.itemsize)
    if not tile:
        return None
    y = xp.empty((n, c, ho, wo), dtype=x.dtype)
    x = xp.ascontiguousarray(x)
    op = "gaussian_unpool2d" if adjoint else "gaussian_pool2d"
    row_band = rows.starts, rows.weights, rows.taps
    column_band = columns.starts, columns.weights, columns.taps
    for part in batch_slices(op, n, c * max(h * w, ho * wo)):
        count = len(x[part]) * c * ho
        SOURCE.launch(
            xp,
            "banded<{T}>",
            block_count(count, tile) * block_count(wo, wide),
            *(x[part], y[part], *row_band, *column_band),
            *(count, h, w, ho, wo, tile, columns.span, pitch, columns.skew),
            threads=(wide, THREADS // wide),
            shared=tile * pitch * x.dtype.itemsize,
        )
    return y


@gaussian_pool2d.kernel("cuda")
def _gaussian_pool2d(xp: Namespace, x: Array, subsampling: Subsampling) -> Array:
    height, width = image_shape("gaussian_pool2d", "x", x)[2:]
    both = check_subsampling("gaussian_pool2d", subsampling)
    y = pool_on_device(xp, x, (height, width), both) if supported(x) else None
    return gaussian_pool2d.forward(xp, x, subsampling) if y is None else y


@gaussian_unpool2d.kernel("cuda")
def _gaussian_unpool2d(
    xp: Namespace, y: Array, size: tuple[int, int], subsampling: Subsampling
) -> Array:
    both = check_cotangent(y, size, subsampling)
    x = pool_on_device(xp, y, size, both, adjoint=True) if supported(y) else None
    return gaussian_unpool2d.forward(xp, y, size, subsampling) if x is None else x
