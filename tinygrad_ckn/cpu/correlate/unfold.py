"""correlate2d as a matrix product with unfolded patches, for any shapes: rows of images at a time.

b images, C channels in, O out, G groups, r rows of the output, K = C/G*kh*kw, L = b*r*Wo.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU
from tinygrad_ckn.cpu.correlate.regions import Region, adjoint_arguments, crop_with_zeros, regions
from tinygrad_ckn.cpu.gemm import threaded_matmul
from tinygrad_ckn.windows import Correlation

xp = CPU.xp

# unfolded patches of a tile
_TILE_BYTES = 2**21

# how many times longer
_ADDING = 4


def _pointwise(shapes: Correlation) -> bool:
    """Tell whether patches are single pixels, so that the images are their own columns."""
    windows = shapes.windows
    borders = {side for sides in windows.padding for side in sides}
    return windows.kernel == windows.stride == (1, 1) and borders == {0} and shapes.groups == 1


def _tiles(shapes: Correlation, itemsize: int, minimum: int = 1) -> list[Region]:
    (kh, kw), (ho, wo) = shapes.windows.kernel, shapes.out
    return regions(shapes.n, ho, shapes.channels * kh * kw * wo * itemsize, _TILE_BYTES, minimum)


def _columns(x: Any, shapes: Correlation, rows: slice) -> Any:
    """Return the patches of output rows of images (b, C, H, W) in scratch: (G, K, L)."""
    windows, wo = shapes.windows, shapes.out[1]
    b, c = x.shape[:2]
    height = (rows.stop - rows.start - 1) * windows.stride[0] + windows.span[0]
    width = (wo - 1) * windows.stride[1] + windows.span[1]
    padded = parallel.scratch("unfolded padded", (b, c, height, width), x.dtype)
    (top, _), (left, _) = windows.padding
    crop_with_zeros(x, rows.start * windows.stride[0] - top, -left, padded)
    # (C, kh, kw, b, r, Wo)
    view = windows.view(xp, padded).transpose(1, 4, 5, 0, 2, 3)
    columns = parallel.scratch("unfolded columns", view.shape, x.dtype)
    xp.copyto(columns, view)
    return columns.reshape(shapes.groups, -1, b * (rows.stop - rows.start) * wo)


def _maps(g: Any, shapes: Correlation, rows: slice) -> Any:
    """Return the output's rows of images g (b, O, Ho, Wo): (G, O/G, L)."""
    part = g[:, :, rows]
    if len(g) > 1:
        copy = parallel.scratch("unfolded maps", (part.shape[1], len(g), *part.shape[2:]), g.dtype)
        xp.copyto(copy, part.swapaxes(0, 1))
        return copy.reshape(shapes.groups, -1, copy[0].size)
    return part[0].reshape(shapes.groups, -1, part[0, 0].size)


def forward(x: Any, w: Any, shapes: Correlation) -> Any:
    """Return the correlation (N, O, Ho, Wo) of images with filters."""
    (ho, wo), o, groups = shapes.out, shapes.filters, shapes.groups
    # (G, O/G, K)
    rows_of_w = w.reshape(groups, o // groups, -1)
    if _pointwise(shapes):
        flat = x.reshape(*x.shape[:2], ho * wo)
        return threaded_matmul(xp, rows_of_w, flat).reshape(shapes.n, o, ho, wo)
    y = parallel.empty((shapes.n, o, ho, wo), x.dtype)

    def tile(at: Region) -> None:
        images, rows = at
        columns = _columns(x[images], shapes, rows)
        # (b, O, r, Wo)
        out = y[images, :, rows]
        if len(out) == 1:
            xp.matmul(rows_of_w, columns, out=out[0].reshape(groups, o // groups, -1))
            return
        products = parallel.scratch(
            "unfolded products", (groups, o // groups, columns.shape[2]), y.dtype
        )
        xp.matmul(rows_of_w, columns, out=products)
        xp.copyto(out, products.reshape(o, len(out), *out.shape[2:]).swapaxes(0, 1))

    parallel.for_each(tile, _tiles(shapes, x.itemsize))
    return y


def uses_flipped_filters(shapes: Correlation) -> bool:
    """Tell whether the adjoint in the images is better computed as the correlation with turned filters.

    Adding patches up takes several times as long as copying them, so it is unless there
    are many more filters than channels, or the turned filters would meet the zeros of a
    stride.
    """
    return shapes.windows.stride == (1, 1) and shapes.filters <= _ADDING * shapes.channels


def input_adjoint(g: Any, w: Any, shapes: Correlation) -> Any:
    """Return the gradient (N, C, H, W) of the images: each tile of them from the windows that touch it."""
    if uses_flipped_filters(shapes):
        return forward(*adjoint_arguments(g, w, shapes))
    windows, (height, width), groups = shapes.windows, shapes.size, shapes.groups
    # (G, K, O/G)
    rows_of_w = w.reshape(groups, shapes.filters // groups, -1).swapaxes(1, 2)
    if _pointwise(shapes):
        flat = g.reshape(*g.shape[:2], height * width)
        return threaded_matmul(xp, rows_of_w, flat).reshape(
            shapes.n, shapes.channels, height, width
        )
    (kh, kw), (sh, sw), (dh, dw), (ho, wo) = (
        windows.kernel,
        windows.stride,
        windows.dilation,
        shapes.out,
    )
    (span, wide), (top, left) = windows.span, (windows.padding[0][0], windows.padding[1][0])
    x = parallel.empty((shapes.n, shapes.channels, height, width), g.dtype)

    def tile(at: Region) -> None:
        images, rows = at
        # in the padded image
        begin, end = rows.start + top, rows.stop + top
        first, last = (
            max(0, -(-(begin - span + 1) // sh)),
            min(ho, (end - 1) // sh + 1),
        )  # windows that touch them
        out = x[images, :, rows]
        if first >= last:
            out[...] = 0
            return
        b, r = len(out), last - first
        maps = _maps(g[images], shapes, slice(first, last))
        parts = parallel.scratch("unfolded columns", (shapes.channels, kh, kw, b, r, wo), x.dtype)
        xp.matmul(rows_of_w, maps, out=parts.reshape(groups, -1, maps.shape[2]))
        padded = parallel.scratch(
            "unfolded padded",
            (shapes.channels, b, (r - 1) * sh + span, (wo - 1) * sw + wide),
            x.dtype,
        )
        padded[...] = 0
        for i in range(kh):
            for j in range(kw):
                padded[
                    :,
                    :,
                    i * dh : i * dh + (r - 1) * sh + 1 : sh,
                    j * dw : j * dw + (wo - 1) * sw + 1 : sw,
                ] += parts[:, i, j]
        crop_with_zeros(padded.swapaxes(0, 1), begin - first * sh, left, out)

    row_bytes = shapes.channels * kh * kw * wo * ho / height * x.itemsize
    parallel.for_each(tile, regions(shapes.n, height, row_bytes, _TILE_BYTES, minimum=4 * span))
    return x


def weight_adjoint_of(x: Any, g: Any, shapes: Correlation, at: Region) -> Any:
    """Return what some images and rows of the output bring to the gradient (O, C/G, kh, kw) of the filters."""
    images, rows = at
    columns = _columns(x[images], shapes, rows)
    return xp.matmul(_maps(g[images], shapes, rows), columns.swapaxes(1, 2)).reshape(shapes.w_shape)


def weight_adjoint(x: Any, g: Any, shapes: Correlation) -> Any:
    """Return the gradient (O, C/G, kh, kw) of the filters."""

    def add(at: Region, total: Any) -> None:
        total += weight_adjoint_of(x, g, shapes, at)

    return parallel.sum_of(
        add, _tiles(shapes, x.itemsize), lambda: xp.zeros(shapes.w_shape, x.dtype)
    )
