"""Assigning points to centroids on the sphere.

Rows of x (n, d) are multiplied by their scale (n,) on the fly, so x is never copied.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from tinygrad_ckn.backend import CPU, NDArray, backend_of, xp_of
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.cpu import kmeans as cpu
from tinygrad_ckn.cuda import kmeans as cuda
from tinygrad_ckn.cuda.launch import supported
from tinygrad_ckn.errors import DataError, DTypeError, ShapeError
from tinygrad_ckn.ops.ckn_map import zero_norm_threshold
from tinygrad_ckn.profiling import record_function

# Two directions are equal if 1 - cosine is below this, which float32 may round to.
SAME = 1e-6
# A sum of unit vectors has no direction if its norm is at most this: no vectors, or ones
# that cancel.
NO_DIRECTION = 1e-6
# nearest (n,), cosines (n,), sums (k, d)
Assignment: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
# Similarities held at a time by the code that works on any backend.
_BLOCK = 2**22


@record_function("k-means, norms")
def row_scales(x: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Return the scale (n,) that gives each row norm 1, and the number of nonzero rows.

    The scale of a zero row is 0.

    Raises
    ------
    ShapeError
        If x does not have two axes.
    DTypeError
        If its dtype is not floating.
    DataError
        If a norm is not finite.
    """
    xp = xp_of(x)
    if len(x.shape) != 2:
        raise ShapeError(
            f"spherical_kmeans: argument x expected shape (n, d), got {tuple(x.shape)}; "
            "pass each point as a row"
        )
    if x.dtype.kind != "f":
        raise DTypeError(
            f"spherical_kmeans: argument x expected a floating dtype, got {x.dtype}; "
            "use .astype('float32')"
        )
    squares = cpu.squares(x) if _has_cpu_kernel(x) else (x * x).sum(axis=1)
    norms = xp.sqrt(squares)
    # Zero, tiny, huge or not finite.
    extreme = xp.nonzero(~((squares > zero_norm_threshold(x.dtype)) & (squares < xp.inf)))[0]
    if len(extreme):
        norms[extreme] = _safe_norms(x[extreme])
    if not bool(xp.isfinite(norms).all()):
        raise DataError(
            "spherical_kmeans: argument x expected finite numbers, got NaN or infinity; "
            "check the images"
        )
    # Norms whose inverses do not overflow.
    nonzero = norms > float(xp.finfo(x.dtype).tiny)
    return nonzero / xp.where(nonzero, norms, 1), int(nonzero.sum())


def _safe_norms(x: NDArray[Any]) -> NDArray[Any]:
    """Return the norms of rows whose squares underflow or overflow."""
    xp = xp_of(x)
    largest = xp.abs(x).max(axis=1)
    safe = xp.where((largest > 0) & xp.isfinite(largest), largest, 1)
    norms: NDArray[Any] = xp.sqrt(xp.square(x / safe[:, None]).sum(axis=1)) * safe
    return norms


def _has_cpu_kernel(x: NDArray[Any]) -> bool:
    return backend_of(x) is CPU and x.dtype in ("float32", "float64")


@record_function("k-means, assignment")
def assign(
    x: NDArray[Any], scales: NDArray[Any], centroids: NDArray[Any], with_sums: bool = True
) -> Assignment:
    """Assign each point to the nearest centroid.

    Returns
    -------
    nearest, cosines
        (n,): the index of the nearest centroid, and its cosine with the point.
    sums
        (k, d): the sum of the points of each cluster; undefined without `with_sums`.
    """
    if _has_cpu_kernel(x):
        return cpu.assign(x, scales, centroids, with_sums)
    xp = xp_of(x)
    if backend_of(x).device == "cuda" and supported(x, scales, centroids):
        raw: Any = cuda.assign(xp, x, scales, centroids, with_sums)
        return raw
    nearest = xp.empty(len(x), dtype="int64")
    cosines = xp.empty(len(x), dtype=x.dtype)
    sums = xp.zeros(centroids.shape, dtype=x.dtype)
    numbers = xp.arange(len(centroids))[:, None]
    for rows in slices(len(x), max(1, _BLOCK // len(centroids))):
        points = x[rows] * scales[rows, None]
        similarity = points @ centroids.T
        nearest[rows] = similarity.argmax(axis=1)
        cosines[rows] = similarity.max(axis=1)
        if with_sums:
            sums += (numbers == nearest[rows]).astype(x.dtype) @ points
    return nearest, cosines, sums


def row_norms(vectors: NDArray[Any]) -> NDArray[Any]:
    """Return the norms (k,) of a few vectors (k, d)."""
    norms: NDArray[Any] = xp_of(vectors).sqrt((vectors * vectors).sum(axis=1))
    return norms
