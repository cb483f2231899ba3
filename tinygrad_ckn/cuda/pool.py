"""Gaussian pooling and its adjoint on the GPU, both as the same kernel with a band of weights for each axis.

The bands are cut out of the matrices of `ops.pool`, on the host, once for each size.
Where an axis is so long or so far subsampled that what a row of a tile covers does not
fit shared memory, and for other dtypes than float32 and float64, the plain forwards,
products with the matrices, take over.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from tinygrad_ckn.backend import CPU, Namespace, place_of
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

SOURCE = Source("pool", "banded<{T}>")
# of a tile, for each row of threads
_ROWS = 4


@dataclass(frozen=True, slots=True)
class Band:
    """A banded matrix: row i holds weights[:, i] from column starts[i] on; and on the host what launches go by."""

    # (rows,), int32
    starts: Any
    # (taps, rows)
    weights: Any
    taps: int
    # rows of the matrix that neighbouring threads take
    wide: int
    # columns of it that so many rows cover, at most
    span: int
    # see `pool.cu`
    skew: int


def band_of(xp: Namespace, matrix: Any) -> Band:
    """Return a matrix on the host, of which no row starts before the one above, as a band on the device."""
    rows, columns = matrix.shape
    host = CPU.xp
    used = matrix != 0
    # (rows,)
    first, last = used.argmax(axis=1), columns - used[:, ::-1].argmax(axis=1)
    taps = int((last - first).max())
    # no tap lies outside
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


def _skew(starts: Any, wide: int, itemsize: int) -> int:
    """Return the skew with which fewest starts of neighbouring rows meet in a bank; none, 31, where that is as good."""
    host, banks = (
        CPU.xp,
        128 // itemsize,
    )  # that lanes of one pass, as many as there are banks, may read from

    def most(skew: int) -> int:
        found = 0
        for i in range(0, len(starts), wide):
            for j in range(i, min(i + wide, len(starts)), banks):
                offsets = host.unique(starts[j : min(j + banks, i + wide)] - starts[i])
                found = max(found, int(host.bincount((offsets + (offsets >> skew)) % banks).max()))
        return found

    return min((31, banks.bit_length() - 1), key=most)


@functools.lru_cache(maxsize=64)
def _bands(
    xp: Namespace,
    size: tuple[int, int],
    subsampling: tuple[float, float],
    dtype: str,
    adjoint: bool,
    place: int,
) -> list[Band]:
    """Return the bands of rows and columns for images of a size, of the adjoint those of the transposed matrices.

    `place` is the device that they are for, and in use: bands are kept.
    """
    matrices = gaussian_matrices(CPU.xp, size, subsampling, dtype)
    return [band_of(xp, matrix.T if adjoint else matrix) for matrix in matrices]


def pool_on_device(
    xp: Namespace,
    x: Any,
    image: tuple[int, int],
    subsampling: tuple[float, float],
    *,
    adjoint: bool = False,
) -> Any:
    """Return pooled maps of x (N, C, H, W), or with `adjoint` maps of the size `image` of pooled ones.

    None where shared memory does not do.
    """
    rows, columns = _bands(xp, image, subsampling, x.dtype.name, adjoint, place_of(x))
    n, c, h, w = x.shape
    ho, wo = (len(band.starts) for band in (rows, columns))
    wide, high = columns.wide, THREADS // columns.wide
    distance, tile = row_pitch(columns.span + (columns.span >> columns.skew), wide), high * _ROWS
    while tile > high and tile * distance * x.dtype.itemsize > SHARED_BYTES:
        tile //= 2
    shared = tile * distance * x.dtype.itemsize
    if shared > SHARED_BYTES:
        return None
    y = xp.empty((n, c, ho, wo), dtype=x.dtype)
    x = xp.ascontiguousarray(x)
    op = "gaussian_unpool2d" if adjoint else "gaussian_pool2d"
    for part in batch_slices(op, n, c * max(h * w, ho * wo)):
        count = len(x[part]) * c * ho
        SOURCE.launch(
            xp,
            "banded<{T}>",
            block_count(count, tile) * block_count(wo, wide),
            *(
                x[part],
                y[part],
                rows.starts,
                rows.weights,
                rows.taps,
                columns.starts,
                columns.weights,
                columns.taps,
            ),
            *(count, h, w, ho, wo, tile, columns.span, distance, columns.skew),
            threads=(wide, high),
            shared=shared,
        )
    return y


@gaussian_pool2d.kernel("cuda")
def _gaussian_pool2d(xp: Namespace, x: Any, subsampling: Subsampling) -> Any:
    height, width = image_shape("gaussian_pool2d", "x", x)[2:]
    both = check_subsampling("gaussian_pool2d", subsampling)
    y = pool_on_device(xp, x, (height, width), both) if supported(x) else None
    return gaussian_pool2d.forward(xp, x, subsampling) if y is None else y


@gaussian_unpool2d.kernel("cuda")
def _gaussian_unpool2d(
    xp: Namespace, y: Any, size: tuple[int, int], subsampling: Subsampling
) -> Any:
    both = check_cotangent(y, size, subsampling)
    x = pool_on_device(xp, y, size, both, adjoint=True) if supported(y) else None
    return gaussian_unpool2d.forward(xp, y, size, subsampling) if x is None else x
