"""correlate2d by the Fourier transform, in tiles that fit a core's cache: overlap-save.

A correlation is a product of transforms: X * conj(W). A tile of an image of N x N elements gives the (N - kh + 1) x
(N - kw + 1) outputs of the windows that lie within it, the others wrap around and are dropped; tiles overlap by that
much. The filters are transformed once.

C channels in, O out, G groups, N1 x N2 tile, F = N1 x (N2/2 + 1) frequencies; b tiles of a row of tiles at a time.
Source: Stockham, High-speed convolution and correlation (1966).
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU
from tinygrad_ckn.cpu.regions import excerpt, flipped, spread
from tinygrad_ckn.ops._windows import Correlation

xp = CPU.xp

_TILE = 256  # elements of a tile in either direction at least, where the image has as many ...
_SPANS = 4  # ... and how many times the kernel's extent at least: a third of a tile is then computed for nothing
_TOGETHER = 2**16  # elements of all tiles that are transformed in one call


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


def outputs(shapes: Correlation) -> tuple[int, int]:
    """Return how many outputs a tile gives."""
    (height, width), (high, wide) = tile_size(shapes), shapes.windows.span
    return height - high + 1, width - wide + 1


def _spectra(w: Any, shapes: Correlation, size: tuple[int, int]) -> Any:
    """Return the conjugate transforms of filters: (O, C/G, F)."""
    from scipy.fft import rfft2

    return xp.conj(rfft2(spread(w, shapes.windows.dilation, xp.zeros((*w.shape[:2], *size), w.dtype))))


def _tiles(shapes: Correlation, size: tuple[int, int]) -> list[tuple[int, int, range]]:
    """Return (image, row, columns) of what is done at a time: the outputs from there on of some tiles."""
    (ho, wo), (high, wide) = shapes.out, outputs(shapes)
    together = max(1, _TOGETHER // (size[0] * size[1] * shapes.channels))
    return [
        (image, row, range(column, min(column + together * wide, wo), wide))
        for image in range(shapes.n)
        for row in range(0, ho, high)
        for column in range(0, wo, together * wide)
    ]


def _transformed(x: Any, at: tuple[int, int, range], size: tuple[int, int], shapes: Correlation) -> Any:
    """Return the transforms of the images' tiles: (b, C, F)."""
    from scipy.fft import rfft2

    image, row, columns = at
    (top, _), (left, _) = shapes.windows.padding
    parts = parallel.scratch("overlap-save tiles", (len(columns), x.shape[1], *size), x.dtype)
    for part, column in zip(parts, columns, strict=True):
        excerpt(x[image], row - top, column - left, part)
    return rfft2(parts)


def forward(x: Any, w: Any, shapes: Correlation) -> Any:
    """Return the correlation (N, O, Ho, Wo) of images with filters."""
    from scipy.fft import irfft2

    size, per_group = tile_size(shapes), shapes.w_shape[1]
    high, wide = outputs(shapes)
    spectra = _spectra(w, shapes, size)
    y = parallel.empty((shapes.n, shapes.filters, *shapes.out), x.dtype)

    def tile(at: tuple[int, int, range]) -> None:
        image, row, columns = at
        transforms = _transformed(x, at, size, shapes)
        for o, of_filter in enumerate(spectra):
            first = o * shapes.groups // shapes.filters * per_group
            product = transforms[:, first] * of_filter[0]
            for c in range(1, per_group):
                product += transforms[:, first + c] * of_filter[c]
            parts = irfft2(product, size, overwrite_x=True)
            for part, column in zip(parts, columns, strict=True):
                out = y[image, o, row : row + high, column : column + wide]
                out[...] = part[: out.shape[0], : out.shape[1]]

    parallel.for_each(tile, _tiles(shapes, size))
    return y


def input_adjoint(g: Any, w: Any, shapes: Correlation) -> Any:
    """Return the gradient (N, C, H, W) of the images."""
    return forward(*flipped(g, w, shapes))


def weight_adjoint(x: Any, g: Any, shapes: Correlation) -> Any:
    """Return the gradient (O, C/G, kh, kw) of the filters."""
    from scipy.fft import irfft2, rfft2

    size, (o, per_group, *_) = tile_size(shapes), shapes.w_shape
    high, wide = outputs(shapes)

    def add(at: tuple[int, int, range], total: Any) -> None:
        image, row, columns = at
        transforms = _transformed(x, at, size, shapes)
        parts = parallel.scratch("overlap-save tiles", (len(columns), o, *size), x.dtype)
        for part, column in zip(parts, columns, strict=True):
            part[...] = 0
            have = g[image, :, row : row + high, column : column + wide]
            part[:, : have.shape[1], : have.shape[2]] = have
        gradients = xp.conj(rfft2(parts))
        for i, of_filter in enumerate(total):
            first = i * shapes.groups // o * per_group
            for c in range(per_group):
                of_filter[c] += (transforms[:, first + c] * gradients[:, i]).sum(axis=0)

    frequencies = (o, per_group, size[0], size[1] // 2 + 1)
    total = parallel.sum_of(add, _tiles(shapes, size), lambda: xp.zeros(frequencies, xp.result_type(x, 1j)))
    (height, width), (dh, dw) = shapes.windows.span, shapes.windows.dilation
    return xp.ascontiguousarray(irfft2(total, size, overwrite_x=True)[..., :height:dh, :width:dw])
