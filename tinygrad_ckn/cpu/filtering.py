"""correlate2d with 3 x 3 filters by Winograd's minimal filtering (`winograd.py`), rows of images at a time.

b images, C channels in, O out, r output rows; inside, arrays are channels last.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU
from tinygrad_ckn.cpu.regions import Region, excerpt, flipped, regions
from tinygrad_ckn.cpu.winograd import Winograd
from tinygrad_ckn.ops._windows import Correlation

xp = CPU.xp

_TILE_BYTES = 2**21  # of a tile's transforms
_APART = 16  # elements


def smaller(shapes: Correlation) -> int:
    """Return the m of F(m x m, 3 x 3), 4 or 2, that multiplies less for such an output."""

    def products(m: int) -> int:
        return -(-shapes.out[0] // m) * -(-shapes.out[1] // m) * (m + 2) ** 2

    return min((4, 2), key=products)


def _tiles(shapes: Correlation, m: int, itemsize: int) -> list[Region]:
    """Cut the output into images and rows, whole tiles of them."""
    high, wide = (-(-length // m) for length in shapes.out)
    row_bytes = wide * (m + 2) ** 2 * (shapes.channels + shapes.filters) * itemsize  # of a row of tiles
    return [
        (images, slice(rows.start * m, rows.stop * m))
        for images, rows in regions(shapes.n, high, row_bytes, _TILE_BYTES)
    ]


def _last(x: Any, top: int, left: int, name: str, size: tuple[int, int]) -> Any:
    """Return images (b, C, H, W) from row `top` and column `left` on, channels last: (b, *size, C), in scratch.

    By way of a copy whose channels lie no power of two apart, for then they would share one place in the cache.
    """
    (b, c), length = x.shape[:2], size[0] * size[1]
    first = parallel.scratch("filtering first", (b, c, length + _APART), x.dtype)[..., :length]
    excerpt(x, top, left, first.reshape(b, c, *size))
    last = parallel.scratch(name, (b, length, c), x.dtype)
    xp.copyto(last, first.swapaxes(1, 2))
    return last.reshape(b, *size, c)


def _padded(x: Any, at: Region, way: Winograd, shapes: Correlation) -> Any:
    """Return what a tile needs of the images, in scratch: (b, Hp, Wp, C)."""
    images, rows = at
    (top, _), (left, _) = shapes.windows.padding
    return _last(x[images], rows.start - top, -left, "filtering padded", way.padded)


def forward(x: Any, w: Any, shapes: Correlation) -> Any:
    """Return the correlation (N, O, Ho, Wo) of images with filters."""
    m = smaller(shapes)
    whole = Winograd.of(w, shapes.out, m)
    y = parallel.empty((shapes.n, shapes.filters, *shapes.out), x.dtype)

    def tile(at: Region) -> None:
        images, rows = at
        out = y[images, :, rows]
        way = whole.resized(out.shape[2:])
        last = parallel.scratch("filtering maps", (len(out), *out.shape[2:], shapes.filters), x.dtype)
        way.correlate(_padded(x, at, way, shapes), last)
        xp.copyto(out, last.transpose(0, 3, 1, 2))

    parallel.for_each(tile, _tiles(shapes, m, x.itemsize))
    return y


def input_adjoint(g: Any, w: Any, shapes: Correlation) -> Any:
    """Return the gradient (N, C, H, W) of the images."""
    return forward(*flipped(g, w, shapes))


def weight_adjoint(x: Any, g: Any, shapes: Correlation) -> Any:
    """Return the gradient (O, C, 3, 3) of the filters."""
    m = smaller(shapes)
    whole = Winograd(m, (shapes.channels, shapes.filters), x.dtype, shapes.out, ())  # of no filters yet

    def add(at: Region, total: Any) -> None:
        images, rows = at
        part = g[images, :, rows]
        way = whole.resized(part.shape[2:])
        last = _last(part, 0, 0, "filtering maps", way.size)
        v = way.transformed(_padded(x, at, way, shapes))
        total += xp.matmul(v.swapaxes(1, 2), way.pulled(last))

    total = parallel.sum_of(add, _tiles(shapes, m, x.itemsize), lambda: xp.zeros(((m + 2) ** 2, *whole.shape), x.dtype))
    return xp.ascontiguousarray(whole.weights(total))
