"""Average and Gaussian pooling as matrices: both are linear and separable, y = R x C^T.

H x W image, Ho x Wo output; R (Ho, H) and C (Wo, W) are banded.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from tinygrad_ckn.backend import CPU, Array, DType, Namespace, NDArray, backend_of
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.plain import plain_array
from tinygrad_ckn.windows import Windows, is_finite

Subsampling: TypeAlias = float | Sequence[float]


def separable(xp: Namespace, x: Array, rows: Array, columns: Array) -> Array:
    """Return R x C^T for each image and channel; the matrices have no negative elements."""

    def product(x: Array) -> Array:
        return xp.matmul(rows, xp.matmul(x, columns.T))

    y = product(x)
    # Whether y is finite is not read from a GPU, since that would block.
    if not backend_of(x).asynchronous and bool(xp.isfinite(y).all()):
        return y
    return map_nonfinite(xp, product, x)


def map_nonfinite(xp: Namespace, linear: Callable[[Array], Array], x: Array) -> Array:
    """Return a linear map of x in which NaN and infinity reach only what weights them.

    A product with a matrix would spread them everywhere, because 0 * NaN is NaN. So the
    finite values are mapped, and then the positions of each other value. The map has no
    negative weights.
    """
    y = linear(xp.where(xp.isfinite(x), x, 0))
    for value, positions in (
        (math.inf, x == math.inf),
        (-math.inf, x == -math.inf),
        (math.nan, xp.isnan(x)),
    ):
        y = xp.where(linear(positions.astype(x.dtype)) > 0, y + value, y)
    return y


def check_subsampling(op: str, subsampling: Subsampling) -> tuple[float, float]:
    """Return a subsampling as (vertical, horizontal).

    Raises
    ------
    ShapeError
        If it is not a finite number >= 1 or two of them.
    """
    subsampling = plain_array(subsampling)
    both = tuple(subsampling) if isinstance(subsampling, Sequence) else (subsampling, subsampling)
    if len(both) != 2 or not all(is_finite(s) and s >= 1 for s in both):
        raise ShapeError(
            f"{op}: argument subsampling expected a number >= 1 or two of them, got {subsampling!r}"
        )
    return float(both[0]), float(both[1])


def gaussian_size(size: tuple[int, int], subsampling: tuple[float, float]) -> tuple[int, int]:
    """Return (Ho, Wo) of Gaussian pooling for images of `size` (H, W)."""
    return _gaussian_length(size[0], subsampling[0]), _gaussian_length(size[1], subsampling[1])


def _gaussian_length(length: int, subsampling: float) -> int:
    """Return the number of centers i * subsampling that lie on an axis."""
    return math.floor((length - 1) / subsampling + 1e-9) + 1


def gaussian_matrices(
    xp: Namespace,
    size: tuple[int, int],
    subsampling: tuple[float, float],
    dtype: DType | str,
    place: int = -1,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the matrices R (Ho, H) and C (Wo, W) of Gaussian pooling, cached.

    `place` is the device they are for, as from `backend.place_of`; -1 is the host.
    """
    rows, columns = (_gaussian_matrix(xp, size[a], subsampling[a], dtype, place) for a in (0, 1))
    return rows, columns


@functools.lru_cache(maxsize=64)
def _gaussian_matrix(
    xp: Namespace, length: int, subsampling: float, dtype: DType | str, place: int
) -> NDArray[Any]:
    """Return the (Ho, H) matrix of one axis.

    Row i holds exp(-(z - i s)^2 / s^2) for |z - i s| <= s, divided by their sum over all
    integers z, those outside the image included. `place`, the current device, is part
    of the cache's key.
    """
    centers = [i * subsampling for i in range(_gaussian_length(length, subsampling))]
    reach = math.ceil(subsampling) + 1
    rows = []
    for center in centers:
        nearest = round(center)
        weights = {
            z: math.exp(-(((z - center) / subsampling) ** 2))
            if subsampling > 1
            else float(z == nearest)
            for z in range(nearest - reach, nearest + reach + 1)
            if math.fabs(z - center) <= subsampling + 1e-9
        }
        total = math.fsum(weights.values())
        rows.append([weights.get(z, 0.0) / total for z in range(length)])
    return xp.asarray(rows, dtype=dtype)


def average_matrices(
    xp: Namespace, size: tuple[int, int], subsampling: tuple[float, float], dtype: DType | str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the matrices R (Ho, H) and C (Wo, W) of means of disjoint windows."""
    rows, columns = (
        _box_matrix(n, int(s), int(s), 0, dtype) for n, s in zip(size, subsampling, strict=True)
    )
    return xp.asarray(rows), xp.asarray(columns)


def box_matrices(size: tuple[int, int], windows: Windows, dtype: DType | str) -> list[NDArray[Any]]:
    """Return the matrices R and C of the means of windows, on the host, cached."""
    return [
        _box_matrix(size[a], windows.kernel[a], windows.stride[a], windows.padding[a][0], dtype)
        for a in (0, 1)
    ]


@functools.lru_cache(maxsize=64)
def _box_matrix(
    length: int, kernel: int, stride: int, padding: int, dtype: DType | str
) -> NDArray[Any]:
    """Return the (Ho, H) matrix of one axis, on the host: 1/kernel within each window."""
    starts = range(-padding, length + padding - kernel + 1, stride)
    return CPU.xp.asarray(
        [[float(i <= z < i + kernel) / kernel for z in range(length)] for i in starts], dtype=dtype
    )
