"""correlate2d by shifting and adding: each tap of the filters times the shifted image.

Nothing is unfolded. A tile of an image is stored as runs (`regions.runs`), and each
shifted image is a slice of a run with a single stride, which BLAS takes without a copy;
for depthwise filters the product is elementwise. Products beyond the end of an output
row are computed but not copied out.

C input channels, O output channels, G groups, g of them in a tile, r output rows, Wq
columns of a run, L = r*Wq.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.cpu.correlate import unfold
from tinygrad_ckn.cpu.correlate.recompute import all_finite
from tinygrad_ckn.cpu.correlate.regions import (
    adjoint_arguments,
    even_slices,
    offset,
    run_size,
    runs,
)
from tinygrad_ckn.windows import Correlation

# bytes of a tile's arrays, all of which each tap reads
_TILE_BYTES = 2**21

# (image, groups, output rows)
Tile: TypeAlias = tuple[int, slice, slice]


def _tiles(shapes: Correlation, itemsize: int) -> list[Tile]:
    ho = shapes.out[0]
    o, per_group, *_ = shapes.w_shape
    sh, sw = shapes.windows.stride
    row_elements = run_size(slice(0, 1), shapes)[1] * (
        per_group * sh * sw + 2 * (o // shapes.groups)
    )
    # of a single group
    row_bytes = row_elements * itemsize
    row_blocks = even_slices(ho, row_bytes, _TILE_BYTES, minimum=4 * shapes.windows.span[0])
    group_bytes = min(ho, row_blocks[0].stop) * row_bytes
    groups = even_slices(shapes.groups, group_bytes, _TILE_BYTES)
    return [(i, part, rows) for i in range(shapes.n) for part in groups for rows in row_blocks]


def _runs(x: NDArray[Any], at: Tile, shapes: Correlation) -> NDArray[Any]:
    """Return the runs of a tile: (g, C/G, sh, sw, Hq*Wq + reach of the last tap)."""
    image, groups, rows = at
    grouped = x[image].reshape(shapes.groups, shapes.w_shape[1], *shapes.size)
    return runs(grouped[groups], rows, shapes, extra_zeros=shapes.windows.span[1] - 1)


def _taps(shapes: Correlation) -> list[tuple[int, int]]:
    kh, kw = shapes.windows.kernel
    return [(i, j) for i in range(kh) for j in range(kw)]


def forward(x: NDArray[Any], w: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Return the correlation (N, O, Ho, Wo) of images with filters."""
    o, per_group, *_ = shapes.w_shape
    taps = w.reshape(shapes.groups, o // shapes.groups, *w.shape[1:]).transpose(3, 4, 0, 1, 2)
    # (kh, kw, G, O/G, C/G)
    taps = np.ascontiguousarray(taps)
    multiply = np.multiply if per_group == 1 else np.matmul
    y = parallel.empty((shapes.n, shapes.groups, o // shapes.groups, *shapes.out), x.dtype)

    def tile(at: Tile) -> None:
        image, groups, rows = at
        # (g, C/G, ...)
        shifted = _runs(x, at, shapes)
        # (g, O/G, r, Wo)
        out = y[image, groups, :, rows]
        g, filters, r, wo = out.shape
        length = r * run_size(rows, shapes)[1]
        total = parallel.scratch("direct total", (g, filters, length), x.dtype)
        product = parallel.scratch("direct product", total.shape, x.dtype)
        for i, j in _taps(shapes):
            p, q, start = offset(i, j, shapes)
            # (g, C/G, L)
            part = shifted[:, :, p, q, start : start + length]
            multiply(taps[i, j, groups], part, out=product if i or j else total)
            if i or j:
                total += product
        np.copyto(out, total.reshape(g, filters, r, -1)[..., :wo])

    parallel.for_each(tile, _tiles(shapes, x.itemsize))
    return y.reshape(shapes.n, o, *shapes.out)


def input_adjoint(g: NDArray[Any], w: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Return the gradient (N, C, H, W) of the images."""
    return forward(*adjoint_arguments(g, w, shapes))


def weight_adjoint(x: NDArray[Any], g: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Return the gradient (O, C/G, kh, kw) of the filters.

    For each tap it is the product of g with the shifted image.
    """
    o, per_group, kh, kw = shapes.w_shape
    maps = g.reshape(shapes.n, shapes.groups, o // shapes.groups, *shapes.out)

    def add(at: Tile, total: NDArray[Any]) -> None:
        image, groups, rows = at
        # (g, C/G, ...)
        shifted = _runs(x, at, shapes)
        # (g, O/G, r, Wo)
        part_of_g = maps[image, groups, :, rows]
        # The zeros beyond the end of a row would turn infinities into NaN.
        if not all_finite(shifted):
            total[:, :, groups] += _by_windows(x, g, at, shapes)
            return
        wide = run_size(rows, shapes)[1]
        gradient = parallel.scratch("direct product", (*part_of_g.shape[:3], wide), x.dtype)
        gradient[..., part_of_g.shape[3] :] = 0
        gradient[..., : part_of_g.shape[3]] = part_of_g
        # (g, O/G, L)
        gradient = gradient.reshape(*part_of_g.shape[:2], -1)
        for i, j in _taps(shapes):
            p, q, start = offset(i, j, shapes)
            part = shifted[:, :, p, q, start : start + gradient.shape[2]]
            total[i, j, groups] += np.matmul(gradient, part.swapaxes(1, 2))

    shape = (kh, kw, shapes.groups, o // shapes.groups, per_group)
    total = parallel.sum_of(add, _tiles(shapes, x.itemsize), lambda: np.zeros(shape, x.dtype))
    return np.ascontiguousarray(total.transpose(2, 3, 4, 0, 1)).reshape(shapes.w_shape)


def _by_windows(x: NDArray[Any], g: NDArray[Any], at: Tile, shapes: Correlation) -> NDArray[Any]:
    """Return a tile's term of the filters' gradient, (kh, kw, g, O/G, C/G), by unfolding."""
    image, groups, rows = at
    o, per_group, kh, kw = shapes.w_shape
    count = groups.stop - groups.start
    per_filter = o // shapes.groups
    channels, filters = (
        slice(groups.start * each, groups.stop * each) for each in (per_group, per_filter)
    )
    part = replace(
        shapes, n=1, channels=count * per_group, filters=count * per_filter, groups=count
    )
    gradient = unfold.weight_adjoint_of(
        x[image : image + 1, channels], g[image : image + 1, filters], part, (slice(0, 1), rows)
    )
    return gradient.reshape(count, per_filter, per_group, kh, kw).transpose(3, 4, 0, 1, 2)
