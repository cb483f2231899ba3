"""One pass of spherical k-means on the GPU: cosines by cuBLAS, the rest by `kmeans.cu`.

n points, d dimensions, k centroids. Sums use no atomics: points are added in order
within segments, and then the segments in order, so a pass is reproducible on all
devices.
"""

from __future__ import annotations

from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.cuda.launch import MAX_ELEMENTS, Source, block_count
from tinygrad_ckn.errors import ShapeError

SOURCE = Source("kmeans", "nearest<{T}>", "cluster_sums<{T}>")
# elements of the similarity matrix held at a time
_SIMILARITIES = 2**24
# minimum number of points in a segment
_SEGMENT = 2048
# maximum number of segments
_SEGMENTS = 64
# columns, and threads, of a block of `cluster_sums`
_STRIPE = 128


def assign(
    xp: Namespace, x: Array, scales: Array, centroids: Array, with_sums: bool
) -> tuple[Array, Array, Array]:
    """Assign each row of x to its nearest centroid.

    Ties go to the first centroid.

    Parameters
    ----------
    xp
        CuPy.
    x
        (n, d), float32 or float64.
    scales
        (n,): factors that make the rows of x unit vectors.
    centroids
        (k, d), rows of norm 1, in the dtype of x.
    with_sums
        Compute the sums; otherwise they are 0.

    Returns
    -------
    nearest
        (n,), int32: index of the nearest centroid of each row.
    cosines
        (n,): cosine of each row with that centroid.
    sums
        (k, d): sum of the unit vectors in each cluster.

    Raises
    ------
    ShapeError
        If x has more than 2^31 - 256 rows.
    """
    n, d = x.shape
    k = len(centroids)
    if n > MAX_ELEMENTS:
        raise ShapeError(
            f"spherical_kmeans: argument x expected at most {MAX_ELEMENTS} points on the GPU, "
            f"got {n}; take fewer"
        )
    x, scales, columns = (xp.ascontiguousarray(array) for array in (x, scales, centroids.T))
    nearest = xp.empty((n,), dtype="int32")
    cosines = xp.empty((n,), dtype=x.dtype)
    step = max(1, min(n, _SIMILARITIES // k))
    similarities = xp.empty((step, k), dtype=x.dtype)
    for rows in slices(n, step):
        count = rows.stop - rows.start
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
