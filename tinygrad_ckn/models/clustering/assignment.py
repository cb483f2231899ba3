"""Rows of x (n, d) as unit vectors: each is multiplied with its scale (n,) where it is used, so x is never copied."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import CPU, backend_of, xp_of
from tinygrad_ckn.cpu import kmeans as cpu
from tinygrad_ckn.cuda import kmeans as cuda
from tinygrad_ckn.cuda.launch import supported
from tinygrad_ckn.errors import DataError, DTypeError, ShapeError
from tinygrad_ckn.ops.ckn_map import least_square
from tinygrad_ckn.profiling import record_function

# 1 - cosine below which two directions count as one: rounding in float32
SAME = 1e-6
# norm up to which a sum of unit vectors is 0 but for rounding: no vectors, or such that cancel
NO_DIRECTION = 1e-6
# similarities held at a time where they are not cut into tiles
_BLOCK = 2**22


@record_function("k-means, norms")
def row_scales(x: Any) -> tuple[Any, int]:
    """Return what the rows of x are multiplied with to have norm 1, 0 for zero rows, and the number of the others.

    Raises
    ------
    ShapeError
        If x has not two axes.
    DTypeError
        If its dtype is not floating.
    DataError
        If a norm is not finite.
    """
    xp = xp_of(x)
    if len(x.shape) != 2:
        raise ShapeError(
            f"spherical_kmeans: argument x expected shape (n, d), got {tuple(x.shape)}; lay each point out as a row"
        )
    if x.dtype.kind != "f":
        raise DTypeError(
            f"spherical_kmeans: argument x expected a floating dtype, got {x.dtype}; use .astype('float32')"
        )
    squares = cpu.squares(x) if _tiled(x) else (x * x).sum(axis=1)
    norms = xp.sqrt(squares)
    odd = xp.nonzero(~((squares > least_square(x.dtype)) & (squares < xp.inf)))[
        0
    ]  # zero, tiny, huge or not finite
    if len(odd):
        norms[odd] = _careful_norms(x[odd])
    if not bool(xp.isfinite(norms).all()):
        raise DataError(
            "spherical_kmeans: argument x expected finite numbers, got NaN or infinity; look at the images"
        )
    # whose inverses do not overflow
    nonzero = norms > float(xp.finfo(x.dtype).tiny)
    return nonzero / xp.where(nonzero, norms, 1), int(nonzero.sum())


def _careful_norms(x: Any) -> Any:
    """Return the norms of rows of which the squares underflow or overflow."""
    xp = xp_of(x)
    largest = xp.abs(x).max(axis=1)
    safe = xp.where((largest > 0) & xp.isfinite(largest), largest, 1)
    return xp.sqrt(xp.square(x / safe[:, None]).sum(axis=1)) * safe


def _tiled(x: Any) -> bool:
    return backend_of(x) is CPU and x.dtype in ("float32", "float64")


@record_function("k-means, assignment")
def assign(x: Any, scales: Any, centroids: Any, with_sums: bool = True) -> tuple[Any, Any, Any]:
    """Return for each point its nearest centroid and their cosine, and the sums of the clusters (k, d)."""
    if _tiled(x):
        return cpu.assign(x, scales, centroids, with_sums)
    xp = xp_of(x)
    if backend_of(x).device == "cuda" and supported(x, scales, centroids):
        return cuda.assign(xp, x, scales, centroids, with_sums)
    nearest = xp.empty(len(x), dtype="int64")
    cosines = xp.empty(len(x), dtype=x.dtype)
    sums = xp.zeros(centroids.shape, dtype=x.dtype)
    numbers = xp.arange(len(centroids))[:, None]
    step = max(1, _BLOCK // len(centroids))
    for i in range(0, len(x), step):
        points = x[i : i + step] * scales[i : i + step, None]
        similarity = points @ centroids.T
        nearest[i : i + step] = similarity.argmax(axis=1)
        cosines[i : i + step] = similarity.max(axis=1)
        if with_sums:
            sums += (numbers == nearest[i : i + step]).astype(x.dtype) @ points
    return nearest, cosines, sums


def row_norms(vectors: Any) -> Any:
    """Return the norms (k,) of a few vectors (k, d)."""
    return xp_of(vectors).sqrt((vectors * vectors).sum(axis=1))
