"""correlate2d by the Fourier transform, in tiles that fit a core's cache (overlap-save).

A correlation is a product of transforms, X * conj(W). A tile of N1 x N2 pixels gives
the (N1 - kh + 1) x (N2 - kw + 1) outputs whose windows lie within it; the others wrap
around and are dropped, so tiles overlap by that much. The filters are transformed once.

C input channels, O output channels, G groups, N1 x N2 tile, F = N1 x (N2/2 + 1)
frequencies; b tiles from one row of tiles at a time. Source: Stockham, High-speed
convolution and correlation (1966).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import parallel
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

# Minimum side of a tile, if the image has as many pixels: an absolute one ...
_MIN_TILE = 256
# ... and a multiple of the kernel's extent, which discards a third of a tile's outputs.
_MIN_SPANS = 4
# elements of all tiles transformed by one call
_TRANSFORMED = 2**16

# (image, row, columns): the first outputs of b tiles
Tiles: TypeAlias = tuple[int, int, range]


def _next_fast_length(n: int) -> int:
    """Return the smallest integer >= n without prime factors above 5."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def tile_size(shapes: Correlation) -> tuple[int, int]:
    """Return the size of a tile, of lengths that transform fast."""
    height, width = shapes.out
    high, wide = shapes.windows.span
    return (
        _next_fast_length(min(height + high - 1, max(_MIN_TILE, _MIN_SPANS * high))),
        _next_fast_length(min(width + wide - 1, max(_MIN_TILE, _MIN_SPANS * wide))),
    )


def outputs_per_tile(shapes: Correlation) -> tuple[int, int]:
    """Return the (rows, columns) of outputs that one tile gives."""
    height, width = tile_size(shapes)
    high, wide = shapes.windows.span
    return height - high + 1, width - wide + 1


def _scipy_fft() -> Any:
    """Return scipy.fft, which is untyped; its import takes time, so it waits for a use."""
    import scipy.fft

    return scipy.fft


def _spectra(w: NDArray[Any], shapes: Correlation, size: tuple[int, int]) -> NDArray[Any]:
    """Return the conjugate transforms of filters: (O, C/G, F)."""
    dilated = insert_zeros(w, shapes.windows.dilation, np.zeros((*w.shape[:2], *size), w.dtype))
    spectra: NDArray[Any] = np.conj(_scipy_fft().rfft2(dilated))
    return spectra


def _tiles(shapes: Correlation, size: tuple[int, int]) -> list[Tiles]:
    """Cut the outputs into groups of tiles that are transformed together."""
    ho, wo = shapes.out
    high, wide = outputs_per_tile(shapes)
    together = max(1, _TRANSFORMED // (size[0] * size[1] * shapes.channels))
    return [
        (image, row, range(column, min(column + together * wide, wo), wide))
        for image in range(shapes.n)
        for row in range(0, ho, high)
        for column in range(0, wo, together * wide)
    ]


def _crops(x: NDArray[Any], at: Tiles, size: tuple[int, int], shapes: Correlation) -> NDArray[Any]:
    """Return the images' tiles, in scratch memory: (b, C, N1, N2)."""
    image, row, columns = at
    (top, _), (left, _) = shapes.windows.padding
    parts = parallel.scratch("overlap-save tiles", (len(columns), x.shape[1], *size), x.dtype)
    for part, column in zip(parts, columns, strict=True):
        crop_with_zeros(x[image], row - top, column - left, part)
    return parts


def _areas(at: Tiles, size: tuple[int, int], shapes: Correlation) -> NDArray[np.intp]:
    """Return the pixels of each tile that lie within the image: (b, 1)."""
    _, row, columns = at
    (top, _), (left, _) = shapes.windows.padding
    high = overlap(row - top, size[0], shapes.size[0])
    return np.array(
        [[high * overlap(column - left, size[1], shapes.size[1])] for column in columns]
    )


def _recompute(
    parts: NDArray[Any], outs: Sequence[NDArray[Any]], w: NDArray[Any], shapes: Correlation
) -> tuple[dict[int, NDArray[Any]], dict[int, NDArray[np.bool_]]]:
    """Compute the outputs of tiles with dark windows directly, and set these tiles to 0.

    Returns
    -------
    recomputed
        Outputs (O, h, w) of these tiles, by index of the tile.
    zeros
        Masks of the windows of zeros in the other tiles that were scanned.
    """
    windows = replace(shapes.windows, padding=((0, 0), (0, 0)))
    recomputed = {}
    zeros = {}
    for i, out in enumerate(outs):
        high, wide = (n + span - 1 for n, span in zip(out.shape[1:], windows.span, strict=True))
        part = parts[i, :, :high, :wide]
        has_dark, all_zero = dark_windows(part, shapes.groups, windows.span)
        if has_dark:
            part_shapes = replace(shapes, n=1, size=(high, wide), windows=windows)
            recomputed[i] = direct.forward(part[None], w, part_shapes)[0]
            parts[i] = 0
        elif all_zero is not None:
            zeros[i] = all_zero
    return recomputed, zeros


def forward(x: NDArray[Any], w: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Return the correlation (N, O, Ho, Wo) of images with filters."""
    fft = _scipy_fft()

    size = tile_size(shapes)
    per_group = shapes.w_shape[1]
    high, wide = outputs_per_tile(shapes)
    spectra = _spectra(w, shapes, size)
    y = parallel.empty((shapes.n, shapes.filters, *shapes.out), x.dtype)

    def tile(at: Tiles) -> None:
        image, row, columns = at
        outs = [y[image, :, row : row + high, column : column + wide] for column in columns]
        parts = _crops(x, at, size, shapes)
        recomputed, zeros = _recompute(parts, outs, w, shapes)
        transforms = fft.rfft2(parts)
        for o, spectrum in enumerate(spectra):
            group = o * shapes.groups // shapes.filters
            product = transforms[:, group * per_group] * spectrum[0]
            for c in range(1, per_group):
                product += transforms[:, group * per_group + c] * spectrum[c]
            maps = fft.irfft2(product, size, overwrite_x=True)
            for i, out in enumerate(outs):
                part = maps[i, : out.shape[1], : out.shape[2]]
                if i in zeros:
                    # A product, so that NaN of the filters stays.
                    part[zeros[i][group]] *= 0
                out[o] = recomputed[i][o] if i in recomputed else part

    parallel.for_each(tile, _tiles(shapes, size))
    return y


def input_adjoint(g: NDArray[Any], w: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Return the gradient (N, C, H, W) of the images."""
    return forward(*adjoint_arguments(g, w, shapes))


def weight_adjoint(x: NDArray[Any], g: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Return the gradient (O, C/G, kh, kw) of the filters."""
    fft = _scipy_fft()

    size = tile_size(shapes)
    o, per_group, *_ = shapes.w_shape
    high, wide = outputs_per_tile(shapes)

    def add(at: Tiles, total: GradientSums) -> None:
        image, row, columns = at
        parts = _crops(x, at, size, shapes)
        maps = parallel.scratch("overlap-save maps", (len(columns), o, *size), x.dtype)
        crops = [g[image, :, row : row + high, column : column + wide] for column in columns]
        for part, crop in zip(maps, crops, strict=True):
            part[...] = 0
            part[:, : crop.shape[1], : crop.shape[2]] = crop
        _recompute_gradients(parts, maps, crops, _areas(at, size, shapes), shapes, total)
        transforms = fft.rfft2(parts)
        gradients = np.conj(fft.rfft2(maps))
        for i, sums in enumerate(total.transformed):
            first = i * shapes.groups // o * per_group
            for c in range(per_group):
                sums[c] += (transforms[:, first + c] * gradients[:, i]).sum(axis=0)

    frequencies = (o, per_group, size[0], size[1] // 2 + 1)
    total = parallel.sum_of(
        add,
        _tiles(shapes, size),
        lambda: GradientSums(np.zeros(frequencies, np.result_type(x, 1j))),
    )
    height, width = shapes.windows.span
    dh, dw = shapes.windows.dilation
    gradient = fft.irfft2(total.transformed, size, overwrite_x=True)
    return total.value(gradient[..., :height:dh, :width:dw])


def _recompute_gradients(
    parts: NDArray[Any],
    maps: NDArray[Any],
    crops: Sequence[NDArray[Any]],
    areas: NDArray[np.intp],
    shapes: Correlation,
    total: GradientSums,
) -> None:
    """Add the terms of tiles with outliers directly, and set these tiles to 0.

    Parameters
    ----------
    parts
        (b, C, N1, N2), tiles of the images.
    maps
        (b, O, N1, N2), tiles of the outputs' gradient.
    crops
        The same without their zeros, (O, h, w) each.
    areas
        (b, 1), pixels of each tile that lie within the image.
    shapes
        Of the whole correlation.
    total
        The sum that terms are added to.
    """
    output_areas = np.array([crop[0].size for crop in crops])[:, None]
    core = tuple(
        slice(n - 1, length)
        for n, length in zip(shapes.windows.span, crops[-1].shape[1:], strict=True)
    )
    good = without_outliers(parts, shapes.groups, areas, core) & without_outliers(
        maps, shapes.groups, output_areas
    )
    for i in np.flatnonzero(~good).tolist():
        total.add_direct(unfold.weight_adjoint(*part_arguments(parts[i], crops[i], shapes)))
    if not good.all():
        parts[~good] = 0
        maps[~good] = 0
