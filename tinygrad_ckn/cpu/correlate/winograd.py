"""correlate2d with 3 x 3 filters by Winograd's minimal filtering.

Tiles are rows of images; the transforms are those of `cpu/winograd_filter.py`. b
images, C input channels, O output channels; the transforms take arrays with channels
last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.cpu.correlate import unfold
from tinygrad_ckn.cpu.correlate.recompute import (
    Positions,
    max_magnitude,
    recompute_windows,
    window_maxima,
    without_outliers,
)
from tinygrad_ckn.cpu.correlate.regions import (
    GradientSums,
    Region,
    adjoint_arguments,
    crop_with_zeros,
    overlap,
    regions,
)
from tinygrad_ckn.cpu.winograd_filter import Winograd
from tinygrad_ckn.windows import Correlation

# maximum bytes of a region's transforms
_TILE_BYTES = 2**21
# zeros between channels, in elements
_GAP = 16
# A window is computed directly if the largest magnitude in its Winograd tile exceeds
# the window's own by this factor.
UNEVEN_RATIO = 2**4


def choose_m(shapes: Correlation) -> int:
    """Return the m of F(m x m, 3 x 3), 4 or 2, that takes fewer multiplications."""

    def products(m: int) -> int:
        return -(-shapes.out[0] // m) * -(-shapes.out[1] // m) * (m + 2) ** 2

    return min((4, 2), key=products)


def _regions(shapes: Correlation, m: int, itemsize: int) -> list[Region]:
    """Cut the output into images and rows; rows come in whole tiles."""
    high, wide = (-(-length // m) for length in shapes.out)
    # of one row of tiles
    row_bytes = wide * (m + 2) ** 2 * (shapes.channels + shapes.filters) * itemsize
    return [
        (images, slice(rows.start * m, rows.stop * m))
        for images, rows in regions(shapes.n, high, row_bytes, _TILE_BYTES)
    ]


def _crop(
    x: NDArray[Any], top: int, left: int, size: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return windows of images (b, C, H, W) at (top, left), in scratch memory.

    Channels are separated by a few zeros: at distances of a power of two they would
    compete for the same places in the cache.

    Returns
    -------
    crop
        (b, C, *size).
    flat
        (b, 1, n): the same memory with the zeros.
    """
    b, c = x.shape[:2]
    length = size[0] * size[1]
    whole = parallel.scratch("winograd crop", (b, c, length + _GAP), x.dtype)
    whole[..., length:] = 0
    crop = crop_with_zeros(x, top, left, whole[..., :length].reshape(b, c, *size))
    return crop, whole.reshape(b, 1, -1)


def _channels_last(x: NDArray[Any], name: str) -> NDArray[Any]:
    """Return images (b, C, H, W) as (b, H, W, C), in scratch memory."""
    b, c, *size = x.shape
    last = parallel.scratch(name, (b, *size, c), x.dtype)
    np.copyto(last, x.transpose(0, 2, 3, 1))
    return last


def _padded(
    x: NDArray[Any], at: Region, winograd: Winograd, shapes: Correlation
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the padded images (b, C, Hp, Wp) behind a region, as `_crop` does."""
    images, rows = at
    (top, _), (left, _) = shapes.windows.padding
    return _crop(x[images], rows.start - top, -left, winograd.padded_size)


def _area(rows: slice, winograd: Winograd, shapes: Correlation) -> int:
    """Return how many pixels of the result of `_padded` lie within the image."""
    (top, _), (left, _) = shapes.windows.padding
    height, width = winograd.padded_size
    return overlap(rows.start - top, height, shapes.size[0]) * overlap(-left, width, shapes.size[1])


def _over_channels(images: NDArray[Any]) -> NDArray[Any]:
    """Return the largest magnitude over the channels of (b, C, H, W): (b, H, W)."""
    largest: NDArray[Any] = np.maximum(images.max(axis=1), -images.min(axis=1))
    return largest


def _uneven(images: NDArray[Any], flat: NDArray[Any], winograd: Winograd) -> Positions | None:
    """Return the outputs whose window is much darker than its Winograd tile, or None.

    The error of every other output is at most UNEVEN_RATIO times the rounding error of its
    own window. `images` and `flat` come from `_padded`.
    """
    height, width = winograd.size
    m = winograd.m
    # Transforms of larger numbers may overflow.
    limit = float(np.finfo(images.dtype).max) ** 0.75
    largest = max_magnitude(flat).max()
    # Every window contains one of these pixels.
    sample = images[:, :, 1 : height + 2 : 3, 1 : width + 2 : 3]
    if largest <= min(limit, UNEVEN_RATIO * _over_channels(sample).min()):
        return None
    magnitude = _over_channels(images)
    windows = window_maxima(magnitude, 3, 1)[:, :height, :width]
    tiles = window_maxima(magnitude, m + 2, m).repeat(m, axis=1).repeat(m, axis=2)
    tiles = tiles[:, :height, :width]
    uneven = np.nonzero(~((tiles <= UNEVEN_RATIO * windows) & (tiles <= limit)) & (tiles != 0))
    return uneven if len(uneven[0]) else None


def forward(x: NDArray[Any], w: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Return the correlation (N, O, Ho, Wo) of images with filters."""
    m = choose_m(shapes)
    filters = Winograd.of(w, shapes.out, m)
    y = parallel.empty((shapes.n, shapes.filters, *shapes.out), x.dtype)

    def tile(at: Region) -> None:
        images, rows = at
        out = y[images, :, rows]
        winograd = filters.with_output_size(out.shape[2:])
        maps = parallel.scratch(
            "winograd maps", (len(out), *out.shape[2:], shapes.filters), x.dtype
        )
        padded, flat = _padded(x, at, winograd, shapes)
        uneven = _uneven(padded, flat, winograd)
        winograd.correlate(_channels_last(padded, "winograd padded"), maps)
        np.copyto(out, maps.transpose(0, 3, 1, 2))
        if uneven is not None:
            n, i, j = uneven
            recompute_windows(x, w, shapes, (n + images.start, i + rows.start, j), y)

    parallel.for_each(tile, _regions(shapes, m, x.itemsize))
    return y


def input_adjoint(g: NDArray[Any], w: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Return the gradient (N, C, H, W) of the images."""
    return forward(*adjoint_arguments(g, w, shapes))


def weight_adjoint(x: NDArray[Any], g: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Return the gradient (O, C, 3, 3) of the filters."""
    m = choose_m(shapes)
    without_filters = Winograd(m, (shapes.channels, shapes.filters), x.dtype, shapes.out, ())

    def add(at: Region, total: GradientSums) -> None:
        images, rows = at
        part = g[images, :, rows]
        winograd = without_filters.with_output_size(part.shape[2:])
        height, width = winograd.size
        maps, flat = _crop(part, 0, 0, winograd.size)
        good = without_outliers(maps, 1, height * width, flat=flat)
        maps = _channels_last(maps, "winograd maps")
        padded, flat = _padded(x, at, winograd, shapes)
        core = [slice(2, height), slice(2, width)]
        good &= without_outliers(padded, 1, _area(rows, winograd, shapes), core, flat)
        if not good.all():
            at = images, slice(rows.start, rows.start + part.shape[2])
            total.add_direct(unfold.weight_adjoint_of(x, g, shapes, at))
            return
        v = winograd.transform_images(_channels_last(padded, "winograd padded"))
        total.transformed += np.matmul(v.swapaxes(1, 2), winograd.transform_gradient(maps))

    total = parallel.sum_of(
        add,
        _regions(shapes, m, x.itemsize),
        lambda: GradientSums(np.zeros(((m + 2) ** 2, *without_filters.shape), x.dtype)),
    )
    return total.value(without_filters.filters_gradient(total.transformed))
