"""correlate2d by shifting and adding: for each tap of the filters, what it makes of the image shifted by it.

Nothing is unfolded: a tile of an image lies in memory as runs (`regions.runs`) of which
the shifted image is a part, of one stride, which BLAS takes as it is; for depthwise
filters, the product is an elementwise one. What lies beyond the end of an output's row
is computed for nothing and not copied out.

C channels in, O out, G groups, g of them in a tile, r output rows, Wq columns of a run,
L = r*Wq.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU
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

xp = CPU.xp

# of a tile's arrays: a tap goes through all of them
_TILE_BYTES = 2**21

# image, groups, output rows
Tile = tuple[int, slice, slice]


def _tiles(shapes: Correlation, itemsize: int) -> list[Tile]:
    ho, (o, per_group, *_), (sh, sw) = shapes.out[0], shapes.w_shape, shapes.windows.stride
    row = (
        run_size(slice(0, 1), shapes)[1]
        * (per_group * sh * sw + 2 * (o // shapes.groups))
        * itemsize
    )  # of a group
    cuts = even_slices(ho, row, _TILE_BYTES, minimum=4 * shapes.windows.span[0])
    groups = even_slices(shapes.groups, min(ho, cuts[0].stop) * row, _TILE_BYTES)
    return [(i, part, rows) for i in range(shapes.n) for part in groups for rows in cuts]


def _runs(x: Any, at: Tile, shapes: Correlation) -> Any:
    """Return the runs of a tile: (g, C/G, sh, sw, Hq*Wq + what the last tap reaches beyond)."""
    image, groups, rows = at
    grouped = x[image].reshape(shapes.groups, shapes.w_shape[1], *shapes.size)
    return runs(grouped[groups], rows, shapes, more=shapes.windows.span[1] - 1)


def _taps(shapes: Correlation) -> list[tuple[int, int]]:
    return [
        (i, j) for i in range(shapes.windows.kernel[0]) for j in range(shapes.windows.kernel[1])
    ]


def forward(x: Any, w: Any, shapes: Correlation) -> Any:
    """Return the correlation (N, O, Ho, Wo) of images with filters."""
    o, per_group, *_ = shapes.w_shape
    taps = w.reshape(shapes.groups, o // shapes.groups, *w.shape[1:]).transpose(3, 4, 0, 1, 2)
    # (kh, kw, G, O/G, C/G)
    taps = xp.ascontiguousarray(taps)
    multiply = xp.multiply if per_group == 1 else xp.matmul
    y = parallel.empty((shapes.n, shapes.groups, o // shapes.groups, *shapes.out), x.dtype)

    def tile(at: Tile) -> None:
        image, groups, rows = at
        shifted, out = (
            _runs(x, at, shapes),
            y[image, groups, :, rows],
        )  # (g, C/G, ...), (g, O/G, r, Wo)
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
        xp.copyto(out, total.reshape(g, filters, r, -1)[..., :wo])

    parallel.for_each(tile, _tiles(shapes, x.itemsize))
    return y.reshape(shapes.n, o, *shapes.out)


def input_adjoint(g: Any, w: Any, shapes: Correlation) -> Any:
    """Return the gradient (N, C, H, W) of the images."""
    return forward(*adjoint_arguments(g, w, shapes))


def weight_adjoint(x: Any, g: Any, shapes: Correlation) -> Any:
    """Return the gradient (O, C/G, kh, kw) of the filters: for each tap, the product of g with the shifted image."""
    o, per_group, kh, kw = shapes.w_shape
    maps = g.reshape(shapes.n, shapes.groups, o // shapes.groups, *shapes.out)

    def add(at: Tile, total: Any) -> None:
        image, groups, rows = at
        shifted, have = (
            _runs(x, at, shapes),
            maps[image, groups, :, rows],
        )  # (g, C/G, ...), (g, O/G, r, Wo)
        # the zeros beyond the end of a row would meet it
        if not all_finite(shifted):
            total[:, :, groups] += _by_windows(x, g, at, shapes)
            return
        wide = run_size(rows, shapes)[1]
        gradient = parallel.scratch("direct product", (*have.shape[:3], wide), x.dtype)
        gradient[..., have.shape[3] :] = 0
        gradient[..., : have.shape[3]] = have
        # (g, O/G, L)
        gradient = gradient.reshape(*have.shape[:2], -1)
        for i, j in _taps(shapes):
            p, q, start = offset(i, j, shapes)
            part = shifted[:, :, p, q, start : start + gradient.shape[2]]
            total[i, j, groups] += xp.matmul(gradient, part.swapaxes(1, 2))

    shape = (kh, kw, shapes.groups, o // shapes.groups, per_group)
    total = parallel.sum_of(add, _tiles(shapes, x.itemsize), lambda: xp.zeros(shape, x.dtype))
    return xp.ascontiguousarray(total.transpose(2, 3, 4, 0, 1)).reshape(shapes.w_shape)


def _by_windows(x: Any, g: Any, at: Tile, shapes: Correlation) -> Any:
    """Return what a tile brings to the gradient of the filters, (kh, kw, g, O/G, C/G), from unfolded patches."""
    image, groups, rows = at
    o, per_group, kh, kw = shapes.w_shape
    count, per_filter = groups.stop - groups.start, o // shapes.groups
    channels, filters = (
        slice(groups.start * each, groups.stop * each) for each in (per_group, per_filter)
    )
    part = replace(
        shapes, n=1, channels=count * per_group, filters=count * per_filter, groups=count
    )
    here = x[image : image + 1, channels], g[image : image + 1, filters]
    found = unfold.weight_adjoint_of(*here, part, (slice(0, 1), rows))
    return found.reshape(count, per_filter, per_group, kh, kw).transpose(3, 4, 0, 1, 2)
