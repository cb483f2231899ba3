"""A pass of spherical k-means on the CPU: cosines, nearest centroids and their sums, a tile of points at a time.

n points, d dimensions, k centroids. What decides the speed, as measured:

- In few dimensions, with few centroids, finding the nearest counts beside the product. Cosines are laid out (k,
  points): a maximum over centroids is then k maxima of whole rows, and the number of the nearest is where the maximum
  is met. `argmax` along rows of k takes longer than the product itself.
- Otherwise the product takes longest, and is fastest laid out (points, k), from points as they lie in memory.
- Either product is taken in pieces that BLAS does not copy first (`gemm.py` says why). A small one is slow where its
  right operand alone is transposed, but not where both are: so points are never laid out anew.
- The sums are the product of a sparse matrix, a row for each cluster and one number in each column, with the points:
  4 to 30 times faster than with the dense one, and than sorting for `add.reduceat`.
- Points are scaled as they go, so that no normalised copy of them is made or read.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU
from tinygrad_ckn.cpu.gemm import SMALL, product

_MANY_DIMENSIONS, _MANY_CENTROIDS = (
    64,
    128,
)  # from which the layout that is best for the product is best for all
# of cosines; threads that change hands more often wait for each other longer than for memory
_TILE_BYTES = 3_200_000
# points in a tile, so that adding up sums (k, d) costs little; no power of 2, whose
# rows share cache sets
_LEAST = 2000
_GROUPS = (
    # of tiles: more than elsewhere, for their sums are small, and threads then end together
    32
)
# points in a piece, at most
_PIECE = 256
# points; where fewer would fit, products are as fast whole
_LEAST_PIECE = 8
# bytes of cosines looked at while they are in cache
_IN_CACHE = 2**20
# dimensions summed at a time: sums of sums round less than one long sum
_STRETCH = 192

xp = CPU.xp


def squares(x: Any) -> Any:
    """Return the squared norms (n,) of the rows of x (n, d)."""
    found = parallel.empty((len(x),), x.dtype)

    def fill(rows: slice) -> None:
        with xp.errstate(all="ignore"):
            xp.vecdot(x[rows], x[rows], out=found[rows])

    parallel.for_each(fill, parallel.tiles(len(x), x.shape[1] * x.itemsize, minimum=_LEAST))
    return found


def _products(centroids: Any, points: Any, out: Any) -> Any:
    """Write centroids (k, d), in Fortran's order, times the transpose of points (n, d) to out (k, n), and return it."""
    (k, d), n = centroids.shape, len(points)
    step = min(n, _PIECE, SMALL // (k * d))
    if step < _LEAST_PIECE:
        return xp.matmul(centroids, points.T, out=out)
    whole = n - n % step
    # (n / step, d, step)
    others = points[:whole].reshape(whole // step, step, d).swapaxes(1, 2)
    # (n / step, k, step)
    parts = out[:, :whole].reshape(k, whole // step, step).swapaxes(0, 1)
    xp.matmul(centroids, others, out=parts)
    if whole < n:
        xp.matmul(centroids, points[whole:].T, out=out[:, whole:])
    return out


def _nearest(columns: Any, points: Any, nearest: Any, cosines: Any) -> None:
    """Write the number of the nearest of the centroids (k, d), in Fortran's order, and the product with it."""
    (k, _), n = columns.shape, len(points)
    similarity = _products(columns, points, parallel.scratch("similarity", (k, n), points.dtype))
    xp.max(similarity, axis=0, out=cosines)
    met = xp.equal(similarity, cosines, out=parallel.scratch("met", (k, n), "bool"))
    backwards = xp.arange(k - 1, -1, -1, dtype=xp.min_scalar_type(k))[
        :, None
    ]  # (k, 1): the first has most
    numbers = xp.multiply(
        met.view("uint8"), backwards, out=parallel.scratch("numbers", (k, n), backwards.dtype)
    )
    xp.subtract(k - 1, numbers.max(axis=0), out=nearest, dtype=nearest.dtype)


def _nearest_in_rows(columns: Any, points: Any, nearest: Any, cosines: Any) -> None:
    """Do as `_nearest`, with the centroids as columns (d, k): for many dimensions or centroids."""
    d, k = columns.shape
    stretches = parallel.tiles(d, 1, limit=_STRETCH)
    for rows in parallel.tiles(len(points), k * points.itemsize, limit=_IN_CACHE):
        n = rows.stop - rows.start
        similarity = parallel.scratch("similarity", (n, k), points.dtype)
        for i, stretch in enumerate(stretches):
            part = parallel.scratch("part of similarity", (n, k), points.dtype) if i else similarity
            product(points[rows, stretch], columns[stretch], part)
            if i:
                similarity += part
        best = similarity.argmax(axis=1)
        nearest[rows] = best
        best += xp.arange(0, n * k, k)
        similarity.reshape(-1).take(
            best, out=cosines[rows], mode="clip"
        )  # other modes make a copy first


def assign(x: Any, scales: Any, centroids: Any, with_sums: bool) -> tuple[Any, Any, Any]:
    """Return for each row of x the nearest centroid and their cosine, and the sum (k, d) of each cluster.

    Of centroids that are equally near, the first is taken.

    Parameters
    ----------
    x
        (n, d), float32 or float64.
    scales
        (n,): what rows are multiplied with, which makes them unit vectors.
    centroids
        (k, d), of norm 1.
    with_sums
        Whether the sums are wanted; else they are 0.
    """
    from scipy.sparse import csc_array

    k, d = centroids.shape
    many = d >= _MANY_DIMENSIONS or k >= _MANY_CENTROIDS
    find, columns = (
        (_nearest_in_rows, xp.ascontiguousarray(centroids.T))
        if many
        else (_nearest, xp.asfortranarray(centroids))
    )
    nearest = parallel.empty((len(x),), "int32")
    cosines = parallel.empty((len(x),), x.dtype)

    def add(rows: slice, sums: Any) -> None:
        points = x[rows]
        n = len(points)
        find(columns, points, nearest[rows], cosines[rows])
        cosines[rows] *= scales[rows]
        if with_sums:
            members = csc_array(
                (scales[rows], nearest[rows], xp.arange(n + 1, dtype="int32")), shape=(k, n)
            )
            sums += members @ points

    cuts = parallel.tiles(len(x), k * x.itemsize, limit=_TILE_BYTES, minimum=_LEAST)
    return (
        nearest,
        cosines,
        parallel.sum_of(add, cuts, lambda: xp.zeros((k, d), x.dtype), groups=_GROUPS),
    )
