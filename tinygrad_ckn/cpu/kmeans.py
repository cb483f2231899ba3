"""One pass of spherical k-means on the CPU, a tile of points at a time.

n points, d dimensions, k centroids. Measurements behind the choices:

- With few dimensions and few centroids, the search for the nearest centroid costs as
  much as the product. Cosines are then laid out (k, points): the maximum over centroids
  is k elementwise maxima of whole rows, and comparing with it locates the nearest.
  `argmax` along rows of length k takes longer than the product itself.
- Otherwise the product dominates. It is fastest laid out (points, k), with the points
  in their own memory order.
- Both products are cut into pieces that BLAS does not copy (see `gemm.py`). A small
  product is slow if only its right operand is transposed, but not if both are, so
  points are never copied into another layout.
- The sums are the product of a sparse matrix, one row per cluster and one number per
  column, with the points: 4 to 30 times faster than a dense product or than sorting for
  `add.reduceat`.
- Points are scaled on the fly, so no normalised copy of them exists.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.cpu.gemm import SMALL, product

# From either of these on, the layout that suits the product suits the whole pass.
_MANY_DIMENSIONS = 64
_MANY_CENTROIDS = 128
# bytes of cosines in a tile: with smaller ones, threads lose time waiting for each other
_TILE_BYTES = 3_200_000
# Minimum number of points in a tile, so that adding sums (k, d) costs little. A power
# of 2 would make rows share cache sets.
_MIN_TILE = 2000
# Partial sums: more than elsewhere, since they are small and threads then end together.
_GROUPS = 32
# maximum number of points in a piece
_PIECE = 256
# Below this number of points a product is as fast in one piece.
_MIN_PIECE = 8
# bytes of cosines searched while they are in cache
_CACHED_BYTES = 2**20
# Dimensions summed at a time: sums of partial sums round less than one long sum.
_STRETCH = 192


def squares(x: NDArray[Any]) -> NDArray[Any]:
    """Return the squared norms (n,) of the rows of x (n, d)."""
    y = parallel.empty((len(x),), x.dtype)

    def fill(rows: slice) -> None:
        with np.errstate(all="ignore"):
            np.vecdot(x[rows], x[rows], out=y[rows])

    parallel.for_each(fill, parallel.tiles(len(x), x.shape[1] * x.itemsize, minimum=_MIN_TILE))
    return y


def _products(centroids: NDArray[Any], points: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    """Write centroids (k, d), in Fortran order, times points (n, d)^T to out (k, n)."""
    k, d = centroids.shape
    n = len(points)
    step = min(n, _PIECE, SMALL // (k * d))
    if step < _MIN_PIECE:
        return np.matmul(centroids, points.T, out=out)
    whole = n - n % step
    # (n / step, d, step)
    pieces = points[:whole].reshape(whole // step, step, d).swapaxes(1, 2)
    # (n / step, k, step)
    parts = out[:, :whole].reshape(k, whole // step, step).swapaxes(0, 1)
    np.matmul(centroids, pieces, out=parts)
    if whole < n:
        np.matmul(centroids, points[whole:].T, out=out[:, whole:])
    return out


def _nearest(
    centroids: NDArray[Any], points: NDArray[Any], nearest: NDArray[Any], cosines: NDArray[Any]
) -> None:
    """Write the index of the nearest centroid and its product with each point.

    Centroids are (k, d) in Fortran order.
    """
    k, _ = centroids.shape
    n = len(points)
    similarity = _products(centroids, points, parallel.scratch("similarity", (k, n), points.dtype))
    np.max(similarity, axis=0, out=cosines)
    attained = np.equal(similarity, cosines, out=parallel.scratch("attained", (k, n), "bool"))
    # (k, 1), descending, so that the maximum belongs to the first centroid that attains it
    ranks = np.arange(k - 1, -1, -1, dtype=np.min_scalar_type(k))[:, None]
    attained_ranks = np.multiply(
        attained.view("uint8"), ranks, out=parallel.scratch("ranks", (k, n), ranks.dtype)
    )
    np.subtract(k - 1, attained_ranks.max(axis=0), out=nearest, dtype=nearest.dtype)


def _nearest_in_rows(
    columns: NDArray[Any], points: NDArray[Any], nearest: NDArray[Any], cosines: NDArray[Any]
) -> None:
    """Compute `_nearest` from centroids as columns (d, k).

    It is the faster one for many dimensions or centroids.
    """
    d, k = columns.shape
    stretches = parallel.tiles(d, 1, limit=_STRETCH)
    for rows in parallel.tiles(len(points), k * points.itemsize, limit=_CACHED_BYTES):
        n = rows.stop - rows.start
        similarity = parallel.scratch("similarity", (n, k), points.dtype)
        for i, stretch in enumerate(stretches):
            part = parallel.scratch("part of similarity", (n, k), points.dtype) if i else similarity
            product(points[rows, stretch], columns[stretch], part)
            if i:
                similarity += part
        best = similarity.argmax(axis=1)
        nearest[rows] = best
        best += np.arange(0, n * k, k)
        # The other modes make a copy first.
        similarity.reshape(-1).take(best, out=cosines[rows], mode="clip")


def assign(
    x: NDArray[Any], scales: NDArray[Any], centroids: NDArray[Any], with_sums: bool
) -> tuple[NDArray[np.int32], NDArray[Any], NDArray[Any]]:
    """Assign each row of x to its nearest centroid.

    Ties go to the first centroid.

    Parameters
    ----------
    x
        (n, d), float32 or float64.
    scales
        (n,): factors that make the rows of x unit vectors.
    centroids
        (k, d), rows of norm 1.
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
    """
    from scipy.sparse import csc_array

    k, d = centroids.shape
    in_rows = d >= _MANY_DIMENSIONS or k >= _MANY_CENTROIDS
    find = _nearest_in_rows if in_rows else _nearest
    columns = np.ascontiguousarray(centroids.T) if in_rows else np.asfortranarray(centroids)
    nearest: NDArray[np.int32] = parallel.empty((len(x),), "int32")
    cosines = parallel.empty((len(x),), x.dtype)

    def add(rows: slice, sums: NDArray[Any]) -> None:
        points = x[rows]
        n = len(points)
        find(columns, points, nearest[rows], cosines[rows])
        cosines[rows] *= scales[rows]
        if with_sums:
            starts = np.arange(n + 1, dtype="int32")
            sums += csc_array((scales[rows], nearest[rows], starts), shape=(k, n)) @ points

    tiles = parallel.tiles(len(x), k * x.itemsize, limit=_TILE_BYTES, minimum=_MIN_TILE)
    sums = parallel.sum_of(add, tiles, lambda: np.zeros((k, d), x.dtype), groups=_GROUPS)
    return nearest, cosines, sums
