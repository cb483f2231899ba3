"""Maximum pooling and its adjoints on the threads of the pool, a few images at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import Namespace, NDArray
from tinygrad_ckn.ops.max_pool import (
    gather_at_maxima,
    gathered,
    max_pool2d,
    maxima,
    scatter_to_maxima,
    scattered,
)
from tinygrad_ckn.ops.pool import pooling_windows
from tinygrad_ckn.windows import Pair, Windows, image_shape

# Bytes of the images of a tile, whose taps, masks and results must fit a cache with them.
_TILE = parallel.CACHE_BYTES // 4


def _each(
    compute: Callable[..., Any],
    windows: Windows,
    arrays: list[NDArray[Any]],
    size: tuple[int, ...],
) -> NDArray[Any]:
    """Return images (N, C, *size): those of compute(np, *arrays, windows), tile by tile."""
    n, c = arrays[0].shape[:2]
    planes = [array.reshape(n * c, 1, *array.shape[2:]) for array in arrays]
    out = parallel.empty((n * c, 1, *size), arrays[0].dtype)
    bytes_each = arrays[0].itemsize * max(math.prod(array.shape[2:]) for array in planes)

    def fill(tile: slice) -> None:
        out[tile] = compute(np, *(array[tile] for array in planes), windows)

    parallel.for_each(fill, parallel.tiles(n * c, bytes_each, _TILE))
    return out.reshape(n, c, *size)


@max_pool2d.kernel("cpu")
def _max_pool2d(
    xp: Namespace,
    x: NDArray[Any],
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
) -> NDArray[Any]:
    """Compute `max_pool2d`."""
    size = image_shape("max_pool2d", "x", x)[2:]
    windows = pooling_windows("max_pool2d", kernel_size, stride, padding)
    return _each(maxima, windows, [x], windows.output_size(size))


@scatter_to_maxima.kernel("cpu")
def _scatter_to_maxima(
    xp: Namespace,
    values: NDArray[Any],
    x: NDArray[Any],
    tops: NDArray[Any],
    kernel_size: Pair,
    stride: Pair | None,
    padding: Pair,
) -> NDArray[Any]:
    """Compute `scatter_to_maxima`."""
    windows = pooling_windows("max_pool2d", kernel_size, stride, padding)
    return _each(scattered, windows, [values, x, tops], x.shape[2:])


@gather_at_maxima.kernel("cpu")
def _gather_at_maxima(
    xp: Namespace,
    values: NDArray[Any],
    x: NDArray[Any],
    tops: NDArray[Any],
    kernel_size: Pair,
    stride: Pair | None,
    padding: Pair,
) -> NDArray[Any]:
    """Compute `gather_at_maxima`."""
    windows = pooling_windows("max_pool2d", kernel_size, stride, padding)
    return _each(gathered, windows, [values, x, tops], tops.shape[2:])
