"""A pass of spherical k-means on the CPU: cosines, nearest centroids and their sums, a tile of points at a time.

n points, d dimensions, k centroids. What decides the speed, as measured:

- Cosines are laid out (k, points): a maximum over centroids is then k maxima of whole rows, and the number of the
  nearest centroid is where the maximum is met. `argmax` along rows of k takes longer than the product itself.
- The sums are the product of a sparse matrix, a row for each cluster and one number in each column, with the points:
  4 to 30 times faster than with the dense one, and than sorting for `add.reduceat`.
- Points are scaled as they go, so that no normalised copy of them is made or read.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU

_TILE_BYTES = 3_200_000  # of cosines; threads that change hands more often wait for each other longer than for memory
_LEAST = (
    2000  # points in a tile, so that adding up sums (k, d) costs little; no power of 2, whose rows share cache sets
)

xp = CPU.xp


def norms(x: Any) -> Any:
    """Return the norms (n,) of the rows of x (n, d)."""
    squares = parallel.empty((len(x),), x.dtype)

    def fill(rows: slice) -> None:
        xp.einsum("ij,ij->i", x[rows], x[rows], out=squares[rows])

    parallel.for_each(fill, parallel.tiles(len(x), x.shape[1] * x.itemsize, least=_LEAST))
    return xp.sqrt(squares, out=squares)


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
    columns = xp.asfortranarray(centroids)  # which the product packs fastest
    backwards = xp.arange(k - 1, -1, -1, dtype=xp.min_scalar_type(k))[:, None]  # (k, 1): the first has most
    nearest = parallel.empty((len(x),), "int32")
    cosines = parallel.empty((len(x),), x.dtype)

    def add(rows: slice, sums: Any) -> None:
        points = x[rows]
        n = len(points)
        similarity = xp.matmul(columns, points.T, out=parallel.scratch("similarity", (k, n), x.dtype))
        best = similarity.max(axis=0, out=cosines[rows])
        met = xp.equal(similarity, best, out=parallel.scratch("met", (k, n), "bool"))
        numbers = xp.multiply(met.view("uint8"), backwards, out=parallel.scratch("numbers", (k, n), backwards.dtype))
        xp.subtract(k - 1, numbers.max(axis=0), out=nearest[rows], dtype="int32")
        best *= scales[rows]
        if with_sums:
            members = csc_array((scales[rows], nearest[rows], xp.arange(n + 1, dtype="int32")), shape=(k, n))
            sums += members @ points

    cuts = parallel.tiles(len(x), k * x.itemsize, limit=_TILE_BYTES, least=_LEAST)
    return nearest, cosines, parallel.sum_of(add, cuts, lambda: xp.zeros((k, d), x.dtype))
