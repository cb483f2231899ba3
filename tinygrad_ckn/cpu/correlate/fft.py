"""correlate2d by the Fourier transform, in tiles that fit a core's cache: overlap-save.

A correlation is a product of transforms: X * conj(W). A tile of an image of N x N
elements gives the (N - kh + 1) x (N - kw + 1) outputs of the windows that lie within
it, the others wrap around and are dropped; tiles overlap by that much. The filters are
transformed once.

C channels in, O out, G groups, N1 x N2 tile, F = N1 x (N2/2 + 1) frequencies; b tiles
of a row of tiles at a time. Source: Stockham, High-speed convolution and correlation
(1966).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU
from tinygrad_ckn.cpu.correlate import direct, unfold
from tinygrad_ckn.cpu.correlate.recompute import dark_windows, without_outliers
from tinygrad_ckn.cpu.correlate.regions import (
    GradientSums,
    adjoint_arguments,
    crop_with_zeros,
    insert_zeros,
    overlap,
    part_arguments,
)
from tinygrad_ckn.windows import Correlation

xp = CPU.xp

# elements of a tile in either direction at least, where the image has as many ...
_TILE = 256
# ... and how many times the kernel's extent at least: a third of a tile is then
# computed for nothing
_SPANS = 4
# elements of all tiles that are transformed in one call
_TOGETHER = 2**16


def _fast(n: int) -> int:
    """Return the least number of at least n without prime factors above 5: what transforms of are fast."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def tile_size(shapes: Correlation) -> tuple[int, int]:
    """Return the size of a tile, one that transforms fast."""
    (height, width), (high, wide) = shapes.out, shapes.windows.span
    return (
        _fast(min(height + high - 1, max(_TILE, _SPANS * high))),
        _fast(min(width + wide - 1, max(_TILE, _SPANS * wide))),
    )


def outputs_per_tile(shapes: Correlation) -> tuple[int, int]:
    """Return how many outputs a tile gives."""
    (height, width), (high, wide) = tile_size(shapes), shapes.windows.span
    return height - high + 1, width - wide + 1


def _spectra(w: Any, shapes: Correlation, size: tuple[int, int]) -> Any:
    """Return the conjugate transforms of filters: (O, C/G, F)."""
    from scipy.fft import rfft2

    return xp.conj(
        rfft2(insert_zeros(w, shapes.windows.dilation, xp.zeros((*w.shape[:2], *size), w.dtype)))
    )


def _tiles(shapes: Correlation, size: tuple[int, int]) -> list[tuple[int, int, range]]:
    """Return (image, row, columns) of what is done at a time: the outputs from there on of some tiles."""
    (ho, wo), (high, wide) = shapes.out, outputs_per_tile(shapes)
    together = max(1, _TOGETHER // (size[0] * size[1] * shapes.channels))
    return [
        (image, row, range(column, min(column + together * wide, wo), wide))
        for image in range(shapes.n)
        for row in range(0, ho, high)
        for column in range(0, wo, together * wide)
    ]


def _excerpts(
    x: Any, at: tuple[int, int, range], size: tuple[int, int], shapes: Correlation
) -> Any:
    """Return the images' tiles, in scratch: (b, C, N1, N2)."""
    image, row, columns = at
    (top, _), (left, _) = shapes.windows.padding
    parts = parallel.scratch("overlap-save tiles", (len(columns), x.shape[1], *size), x.dtype)
    for part, column in zip(parts, columns, strict=True):
        crop_with_zeros(x[image], row - top, column - left, part)
    return parts


def _inside(at: tuple[int, int, range], size: tuple[int, int], shapes: Correlation) -> Any:
    """Return how many elements of each tile are of the image: (b, 1)."""
    _, row, columns = at
    (top, _), (left, _) = shapes.windows.padding
    high = overlap(row - top, size[0], shapes.size[0])
    return xp.array(
        [[high * overlap(column - left, size[1], shapes.size[1])] for column in columns]
    )


def _judged(
    parts: Any, outs: Sequence[Any], w: Any, shapes: Correlation
) -> tuple[dict[int, Any], dict[int, Any]]:
    """Return the outputs (O, h, w) of tiles that are too uneven, which become 0, and of others the windows of zeros."""
    windows = replace(shapes.windows, padding=((0, 0), (0, 0)))
    anew, nothing = {}, {}
    for i, out in enumerate(outs):
        needed = out.shape[1] + windows.span[0] - 1, out.shape[2] + windows.span[1] - 1
        part = parts[i, :, : needed[0], : needed[1]]
        uneven, empty = dark_windows(part, shapes.groups, windows.span)
        if uneven:
            anew[i] = direct.forward(
                part[None], w, replace(shapes, n=1, size=needed, windows=windows)
            )[0]
            parts[i] = 0
        elif empty is not None:
            nothing[i] = empty
    return anew, nothing


def forward(x: Any, w: Any, shapes: Correlation) -> Any:
    """Return the correlation (N, O, Ho, Wo) of images with filters."""
    from scipy.fft import irfft2, rfft2

    size, per_group = tile_size(shapes), shapes.w_shape[1]
    high, wide = outputs_per_tile(shapes)
    spectra = _spectra(w, shapes, size)
    y = parallel.empty((shapes.n, shapes.filters, *shapes.out), x.dtype)

    def tile(at: tuple[int, int, range]) -> None:
        image, row, columns = at
        outs = [y[image, :, row : row + high, column : column + wide] for column in columns]
        parts = _excerpts(x, at, size, shapes)
        anew, nothing = _judged(parts, outs, w, shapes)
        transforms = rfft2(parts)
        for o, of_filter in enumerate(spectra):
            group = o * shapes.groups // shapes.filters
            product = transforms[:, group * per_group] * of_filter[0]
            for c in range(1, per_group):
                product += transforms[:, group * per_group + c] * of_filter[c]
            maps = irfft2(product, size, overwrite_x=True)
            for i, out in enumerate(outs):
                part = maps[i, : out.shape[1], : out.shape[2]]
                if i in nothing:
                    # NaN stays
                    part[nothing[i][group]] *= 0
                out[o] = anew[i][o] if i in anew else part

    parallel.for_each(tile, _tiles(shapes, size))
    return y


def input_adjoint(g: Any, w: Any, shapes: Correlation) -> Any:
    """Return the gradient (N, C, H, W) of the images."""
    return forward(*adjoint_arguments(g, w, shapes))


def weight_adjoint(x: Any, g: Any, shapes: Correlation) -> Any:
    """Return the gradient (O, C/G, kh, kw) of the filters."""
    from scipy.fft import irfft2, rfft2

    size, (o, per_group, *_) = tile_size(shapes), shapes.w_shape
    high, wide = outputs_per_tile(shapes)

    def add(at: tuple[int, int, range], total: GradientSums) -> None:
        image, row, columns = at
        parts = _excerpts(x, at, size, shapes)
        maps = parallel.scratch("overlap-save maps", (len(columns), o, *size), x.dtype)
        cuts = [g[image, :, row : row + high, column : column + wide] for column in columns]
        for part, have in zip(maps, cuts, strict=True):
            part[...] = 0
            part[:, : have.shape[1], : have.shape[2]] = have
        areas = xp.array([have[0].size for have in cuts])[:, None]
        core = tuple(
            slice(n - 1, length)
            for n, length in zip(shapes.windows.span, cuts[-1].shape[1:], strict=True)
        )
        good = without_outliers(
            parts, shapes.groups, _inside(at, size, shapes), core
        ) & without_outliers(maps, shapes.groups, areas)
        for i in xp.flatnonzero(~good):
            total.add_direct(unfold.weight_adjoint(*part_arguments(parts[i], cuts[i], shapes)))
        if not good.all():
            parts[~good] = 0
            maps[~good] = 0
        transforms, gradients = rfft2(parts), xp.conj(rfft2(maps))
        for i, of_filter in enumerate(total.transformed):
            first = i * shapes.groups // o * per_group
            for c in range(per_group):
                of_filter[c] += (transforms[:, first + c] * gradients[:, i]).sum(axis=0)

    frequencies = (o, per_group, size[0], size[1] // 2 + 1)
    total = parallel.sum_of(
        add,
        _tiles(shapes, size),
        lambda: GradientSums(xp.zeros(frequencies, xp.result_type(x, 1j))),
    )
    (height, width), (dh, dw) = shapes.windows.span, shapes.windows.dilation
    return total.value(
        irfft2(total.transformed, size, overwrite_x=True)[..., :height:dh, :width:dw]
    )
