"""A pass of spherical k-means on the GPU: cosines by cuBLAS, a block of points at a time, and the rest by `kmeans.cu`.

n points, d dimensions, k centroids. Sums are made without atomics: in segments of the
points, each in order, and the segments in order, so a pass gives the same on any
device, each time.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import Namespace
from tinygrad_ckn.cuda.launch import MAX_ELEMENTS, Source, block_count
from tinygrad_ckn.errors import ShapeError

SOURCE = Source("kmeans", "nearest<{T}>", "cluster_sums<{T}>")
# numbers held at a time
_SIMILARITIES = 2**24
# points that a block adds up, at least; segments, at most
_SEGMENT, _SEGMENTS = 2048, 64
# columns of a block of sums, and its threads
_STRIPE = 128


def assign(
    xp: Namespace, x: Any, scales: Any, centroids: Any, with_sums: bool
) -> tuple[Any, Any, Any]:
    """Return for each row of x the nearest centroid and their cosine, and the sum (k, d) of each cluster.

    Of centroids that are equally near, the first is taken.

    Parameters
    ----------
    x
        (n, d), float32 or float64.
    scales
        (n,): what rows are multiplied with, which makes them unit vectors.
    centroids
        (k, d), of norm 1, of the dtype of x.
    with_sums
        Whether the sums are wanted; else they are 0.

    Raises
    ------
    ShapeError
        If there are more than 2^31 points.
    """
    (n, d), k = x.shape, len(centroids)
    if n > MAX_ELEMENTS:
        raise ShapeError(
            f"spherical_kmeans: argument x expected at most {MAX_ELEMENTS} points on the GPU, got {n}; take fewer"
        )
    x, scales, columns = (xp.ascontiguousarray(array) for array in (x, scales, centroids.T))
    nearest = xp.empty((n,), dtype="int32")
    cosines = xp.empty((n,), dtype=x.dtype)
    step = max(1, min(n, _SIMILARITIES // k))
    similarities = xp.empty((step, k), dtype=x.dtype)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        count = len(x[rows])
        xp.matmul(x[rows], columns, out=similarities[:count])
        arrays = similarities, scales[rows], nearest[rows], cosines[rows]
        SOURCE.launch(xp, "nearest<{T}>", block_count(count, 8), *arrays, count, k, threads=(32, 8))
    if not (with_sums and n):
        return nearest, cosines, xp.zeros((k, d), dtype=x.dtype)
    segment = max(_SEGMENT, -(-n // _SEGMENTS))
    sums = xp.empty((block_count(n, segment), k, d), dtype=x.dtype)
    blocks = len(sums) * k * block_count(d, _STRIPE)
    sizes = n, d, k, segment
    SOURCE.launch(
        xp, "cluster_sums<{T}>", blocks, x, scales, nearest, sums, *sizes, threads=(_STRIPE, 1)
    )
    return nearest, cosines, sums.sum(axis=0)
