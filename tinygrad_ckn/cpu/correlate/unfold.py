"""correlate2d as a matrix product with unfolded patches, for any shapes.

Tiles are rows of images. b images, C input channels, O output channels, G groups,
r output rows, K = C/G*kh*kw, L = b*r*Wo.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.cpu.correlate.regions import (
    Region,
    adjoint_arguments,
    crop_with_zeros,
    regions,
)
from tinygrad_ckn.cpu.gemm import threaded_matmul
from tinygrad_ckn.windows import Correlation

# bytes of a tile's unfolded patches
_TILE_BYTES = 2**21

# ratio of the times of adding patches up and of copying them
_ADDING = 4


def _pointwise(shapes: Correlation) -> bool:
    """Return whether patches are single pixels, so that unfolding changes nothing."""
    windows = shapes.windows
    borders = {side for sides in windows.padding for side in sides}
    return windows.kernel == windows.stride == (1, 1) and borders == {0} and shapes.groups == 1


def _tiles(shapes: Correlation, itemsize: int) -> list[Region]:
    kh, kw = shapes.windows.kernel
    ho, wo = shapes.out
    return regions(shapes.n, ho, shapes.channels * kh * kw * wo * itemsize, _TILE_BYTES)


def _columns(x: NDArray[Any], shapes: Correlation, rows: slice) -> NDArray[Any]:
    """Return the patches behind output rows of images (b, C, H, W), as scratch: (G, K, L)."""
    windows = shapes.windows
    wo = shapes.out[1]
    b, c = x.shape[:2]
    height = (rows.stop - rows.start - 1) * windows.stride[0] + windows.span[0]
    width = (wo - 1) * windows.stride[1] + windows.span[1]
    padded = parallel.scratch("unfolded padded", (b, c, height, width), x.dtype)
    (top, _), (left, _) = windows.padding
    crop_with_zeros(x, rows.start * windows.stride[0] - top, -left, padded)
    # (C, kh, kw, b, r, Wo)
    view = windows.view(np, padded).transpose(1, 4, 5, 0, 2, 3)
    columns = parallel.scratch("unfolded columns", view.shape, x.dtype)
    np.copyto(columns, view)
    return columns.reshape(shapes.groups, -1, b * (rows.stop - rows.start) * wo)


def _maps(g: NDArray[Any], shapes: Correlation, rows: slice) -> NDArray[Any]:
    """Return rows of the output's gradient g (b, O, Ho, Wo) as (G, O/G, L)."""
    part = g[:, :, rows]
    if len(g) > 1:
        copy = parallel.scratch("unfolded maps", (part.shape[1], len(g), *part.shape[2:]), g.dtype)
        np.copyto(copy, part.swapaxes(0, 1))
        return copy.reshape(shapes.groups, -1, copy[0].size)
    rows_of_g: NDArray[Any] = part[0]
    return rows_of_g.reshape(shapes.groups, -1, part[0, 0].size)


def forward(x: NDArray[Any], w: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Return the correlation (N, O, Ho, Wo) of images with filters."""
    ho, wo = shapes.out
    o = shapes.filters
    groups = shapes.groups
    # (G, O/G, K)
    rows_of_w = w.reshape(groups, o // groups, -1)
    if _pointwise(shapes):
        flat = x.reshape(*x.shape[:2], ho * wo)
        products: NDArray[Any] = threaded_matmul(np, rows_of_w, flat)
        return products.reshape(shapes.n, o, ho, wo)
    y = parallel.empty((shapes.n, o, ho, wo), x.dtype)

    def tile(at: Region) -> None:
        images, rows = at
        columns = _columns(x[images], shapes, rows)
        # (b, O, r, Wo)
        out = y[images, :, rows]
        if len(out) == 1:
            np.matmul(rows_of_w, columns, out=out[0].reshape(groups, o // groups, -1))
            return
        products = parallel.scratch(
            "unfolded products", (groups, o // groups, columns.shape[2]), y.dtype
        )
        np.matmul(rows_of_w, columns, out=products)
        np.copyto(out, products.reshape(o, len(out), *out.shape[2:]).swapaxes(0, 1))

    parallel.for_each(tile, _tiles(shapes, x.itemsize))
    return y


def uses_flipped_filters(shapes: Correlation) -> bool:
    """Return whether the images' gradient is computed by correlating with flipped filters.

    Adding patches up takes several times as long as copying them, so this is the faster
    way unless there are many more filters than channels, or a stride, whose zeros would
    be multiplied too.
    """
    return shapes.windows.stride == (1, 1) and shapes.filters <= _ADDING * shapes.channels


def input_adjoint(g: NDArray[Any], w: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Return the gradient (N, C, H, W) of the images."""
    if uses_flipped_filters(shapes):
        return forward(*adjoint_arguments(g, w, shapes))
    groups = shapes.groups
    # (G, K, O/G)
    rows_of_w = w.reshape(groups, shapes.filters // groups, -1).swapaxes(1, 2)
    if _pointwise(shapes):
        flat = g.reshape(*g.shape[:2], shapes.size[0] * shapes.size[1])
        products: NDArray[Any] = threaded_matmul(np, rows_of_w, flat)
        return products.reshape(shapes.n, shapes.channels, *shapes.size)
    return _input_adjoint_by_folding(g, rows_of_w, shapes)


def _input_adjoint_by_folding(
    g: NDArray[Any], rows_of_w: NDArray[Any], shapes: Correlation
) -> NDArray[Any]:
    """Compute each tile of the images' gradient from the windows that overlap it."""
    windows = shapes.windows
    groups = shapes.groups
    kh, kw = windows.kernel
    ho, wo = shapes.out
    sh = windows.stride[0]
    span = windows.span[0]
    (top, _), (left, _) = windows.padding
    x = parallel.empty((shapes.n, shapes.channels, *shapes.size), g.dtype)

    def tile(at: Region) -> None:
        images, rows = at
        # rows in the padded image
        start = rows.start + top
        stop = rows.stop + top
        # output rows whose windows overlap them
        first = max(0, -(-(start - span + 1) // sh))
        last = min(ho, (stop - 1) // sh + 1)
        out = x[images, :, rows]
        if first >= last:
            out[...] = 0
            return
        maps = _maps(g[images], shapes, slice(first, last))
        shape = (shapes.channels, kh, kw, len(out), last - first, wo)
        columns = parallel.scratch("unfolded columns", shape, x.dtype)
        np.matmul(rows_of_w, maps, out=columns.reshape(groups, -1, maps.shape[2]))
        crop_with_zeros(_fold(columns, shapes).swapaxes(0, 1), start - first * sh, left, out)

    row_bytes = shapes.channels * kh * kw * wo * ho / shapes.size[0] * x.itemsize
    tiles = regions(shapes.n, shapes.size[0], row_bytes, _TILE_BYTES, minimum=4 * span)
    parallel.for_each(tile, tiles)
    return x


def _fold(columns: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Add patches (C, kh, kw, b, r, Wo) up in padded images (C, b, h, w), scratch memory."""
    windows = shapes.windows
    sh, sw = windows.stride
    dh, dw = windows.dilation
    c, kh, kw, b, r, wo = columns.shape
    size = (r - 1) * sh + windows.span[0], (wo - 1) * sw + windows.span[1]
    padded = parallel.scratch("unfolded padded", (c, b, *size), columns.dtype)
    padded[...] = 0
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dh, i * dh + (r - 1) * sh + 1, sh)
            cols = slice(j * dw, j * dw + (wo - 1) * sw + 1, sw)
            padded[:, :, rows, cols] += columns[:, i, j]
    return padded


def weight_adjoint_of(
    x: NDArray[Any], g: NDArray[Any], shapes: Correlation, at: Region
) -> NDArray[Any]:
    """Return the term of some images and output rows in the filters' gradient."""
    images, rows = at
    columns = _columns(x[images], shapes, rows)
    gradient: NDArray[Any] = np.matmul(_maps(g[images], shapes, rows), columns.swapaxes(1, 2))
    return gradient.reshape(shapes.w_shape)


def weight_adjoint(x: NDArray[Any], g: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Return the gradient (O, C/G, kh, kw) of the filters."""

    def add(at: Region, total: NDArray[Any]) -> None:
        total += weight_adjoint_of(x, g, shapes, at)

    return parallel.sum_of(
        add, _tiles(shapes, x.itemsize), lambda: np.zeros(shapes.w_shape, x.dtype)
    )
