"""correlate2d with 3 x 3 filters by Winograd's minimal filtering (`winograd.py`), rows of images at a time.

b images, C channels in, O out, r output rows; inside, arrays are channels last.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU
from tinygrad_ckn.cpu.correlate import unfold
from tinygrad_ckn.cpu.correlate.recompute import (
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

xp = CPU.xp

# of a tile's transforms
_TILE_BYTES = 2**21
# elements
_APART = 16
UNEVEN_RATIO = (
    2**4
)  # largest magnitude of a tile of Winograd's over that of a window in it: beyond, the window is done anew


def choose_m(shapes: Correlation) -> int:
    """Return the m of F(m x m, 3 x 3), 4 or 2, that multiplies less for such an output."""

    def products(m: int) -> int:
        return -(-shapes.out[0] // m) * -(-shapes.out[1] // m) * (m + 2) ** 2

    return min((4, 2), key=products)


def _tiles(shapes: Correlation, m: int, itemsize: int) -> list[Region]:
    """Cut the output into images and rows, whole tiles of them."""
    high, wide = (-(-length // m) for length in shapes.out)
    row_bytes = (
        wide * (m + 2) ** 2 * (shapes.channels + shapes.filters) * itemsize
    )  # of a row of tiles
    return [
        (images, slice(rows.start * m, rows.stop * m))
        for images, rows in regions(shapes.n, high, row_bytes, _TILE_BYTES)
    ]


def _first(x: Any, top: int, left: int, size: tuple[int, int]) -> tuple[Any, Any]:
    """Return images (b, C, H, W) from row `top` and column `left` on, in scratch: (b, C, *size), and (b, 1, n) flat.

    Channels lie no power of two apart, for then they would share one place in the
    cache; between them are zeros.
    """
    (b, c), length = x.shape[:2], size[0] * size[1]
    whole = parallel.scratch("filtering first", (b, c, length + _APART), x.dtype)
    whole[..., length:] = 0
    return crop_with_zeros(x, top, left, whole[..., :length].reshape(b, c, *size)), whole.reshape(
        b, 1, -1
    )


def _last(first: Any, name: str) -> Any:
    """Return images (b, C, H, W) channels last, in scratch: (b, H, W, C)."""
    b, c, *size = first.shape
    last = parallel.scratch(name, (b, *size, c), first.dtype)
    xp.copyto(last, first.transpose(0, 2, 3, 1))
    return last


def _padded(x: Any, at: Region, way: Winograd, shapes: Correlation) -> tuple[Any, Any]:
    """Return what a tile needs of the images, in scratch: (b, C, Hp, Wp), and flat."""
    images, rows = at
    (top, _), (left, _) = shapes.windows.padding
    return _first(x[images], rows.start - top, -left, way.padded_size)


def _inside(rows: slice, way: Winograd, shapes: Correlation) -> int:
    """Return how many elements of what `_padded` gives are of the image."""
    (top, _), (left, _) = shapes.windows.padding
    return overlap(rows.start - top, way.padded_size[0], shapes.size[0]) * overlap(
        -left, way.padded_size[1], shapes.size[1]
    )


def _windows(images: Any) -> Any:
    """Return the largest magnitude of windows 3 x 3 of images (b, C, H, W): (b, H-2, W-2)."""
    return window_maxima(xp.maximum(images.max(axis=1), -images.min(axis=1)), 3, 1)


def _uneven(images: Any, flat: Any, way: Winograd) -> tuple[Any, Any, Any] | None:
    """Return images, rows and columns of the outputs of which the window is much darker than its tile of Winograd's.

    So any other output has an error of UNEVEN times the rounding of its own window at
    most. None: there are none.
    """
    (height, width), m, limit = (
        way.size,
        way.m,
        float(xp.finfo(images.dtype).max) ** 0.75,
    )  # transforms may overflow
    most = max_magnitude(flat).max()
    some = images[
        :, :, 1 : height + 2 : 3, 1 : width + 2 : 3
    ]  # every window has one of these pixels
    if most <= min(limit, UNEVEN_RATIO * xp.maximum(some.max(axis=1), -some.min(axis=1)).min()):
        return None
    windows = _windows(images)[:, :height, :width]
    # (b, Hp, Wp)
    size = xp.maximum(images.max(axis=1), -images.min(axis=1))
    tiles = window_maxima(size, m + 2, m).repeat(m, axis=1).repeat(m, axis=2)[:, :height, :width]
    found = xp.nonzero(~((tiles <= UNEVEN_RATIO * windows) & (tiles <= limit)) & (tiles != 0))
    return found if len(found[0]) else None


def forward(x: Any, w: Any, shapes: Correlation) -> Any:
    """Return the correlation (N, O, Ho, Wo) of images with filters."""
    m = choose_m(shapes)
    whole = Winograd.of(w, shapes.out, m)
    y = parallel.empty((shapes.n, shapes.filters, *shapes.out), x.dtype)

    def tile(at: Region) -> None:
        images, rows = at
        out = y[images, :, rows]
        way = whole.with_output_size(out.shape[2:])
        last = parallel.scratch(
            "filtering maps", (len(out), *out.shape[2:], shapes.filters), x.dtype
        )
        first, flat = _padded(x, at, way, shapes)
        uneven = _uneven(first, flat, way)
        way.correlate(_last(first, "filtering padded"), last)
        xp.copyto(out, last.transpose(0, 3, 1, 2))
        if uneven is not None:
            n, i, j = uneven
            recompute_windows(x, w, shapes, (n + images.start, i + rows.start, j), y)

    parallel.for_each(tile, _tiles(shapes, m, x.itemsize))
    return y


def input_adjoint(g: Any, w: Any, shapes: Correlation) -> Any:
    """Return the gradient (N, C, H, W) of the images."""
    return forward(*adjoint_arguments(g, w, shapes))


def weight_adjoint(x: Any, g: Any, shapes: Correlation) -> Any:
    """Return the gradient (O, C, 3, 3) of the filters."""
    m = choose_m(shapes)
    whole = Winograd(
        m, (shapes.channels, shapes.filters), x.dtype, shapes.out, ()
    )  # of no filters yet

    def add(at: Region, total: GradientSums) -> None:
        images, rows = at
        part = g[images, :, rows]
        way = whole.with_output_size(part.shape[2:])
        maps, flat = _first(part, 0, 0, way.size)
        good = without_outliers(maps, 1, way.size[0] * way.size[1], flat=flat)
        maps = _last(maps, "filtering maps")
        first, flat = _padded(x, at, way, shapes)
        good &= without_outliers(
            first, 1, _inside(rows, way, shapes), [slice(2, length) for length in way.size], flat
        )
        if not good.all():
            at = images, slice(rows.start, rows.start + part.shape[2])
            total.add_direct(unfold.weight_adjoint_of(x, g, shapes, at))
            return
        v = way.transform_images(_last(first, "filtering padded"))
        total.transformed += xp.matmul(v.swapaxes(1, 2), way.transform_gradient(maps))

    tiles = _tiles(shapes, m, x.itemsize)
    total = parallel.sum_of(
        add, tiles, lambda: GradientSums(xp.zeros(((m + 2) ** 2, *whole.shape), x.dtype))
    )
    return total.value(whole.filters_gradient(total.transformed))
