"""correlate2d of few channels as a product with a banded matrix.

A correlation with kh x kw filters is also one with stride 8 x 8 and filters of
(8 + kh - 1) x (8 + kw - 1), one for each of the 64 outputs within a stride: the filter
at one of 64 positions, zero elsewhere. Such wide windows overlap little, so unfolding
copies (1 + (kh - 1)/8) (1 + (kw - 1)/8) elements per output instead of kh * kw, and the
product has 64 * O rows: more multiplications, at the speed of a large matrix product.

C input channels, O output channels; a tile of an image has p x q windows with R x S
outputs each; the banded matrix is (C * (R+kh-1) * (S+kw-1), O * R * S).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.cpu.correlate import unfold
from tinygrad_ckn.cpu.correlate.recompute import all_finite, nonfinite_outputs, recompute_windows
from tinygrad_ckn.cpu.correlate.regions import (
    GradientSums,
    adjoint_arguments,
    crop_with_zeros,
    even_slices,
    part_arguments,
)
from tinygrad_ckn.windows import Correlation

# outputs of a window along either axis
_STEP = 8

# (image, first output row, windows vertically, first output column, windows horizontally)
Tile: TypeAlias = tuple[int, int, int, int, int]


def banded_shape(shapes: Correlation) -> tuple[int, int, int, int, int, int]:
    """Return the shape (C, R+kh-1, S+kw-1, O, R, S) of the banded matrix."""
    kh, kw = shapes.windows.kernel
    r, s = (min(_STEP, length) for length in shapes.out)
    return shapes.channels, r + kh - 1, s + kw - 1, shapes.filters, r, s


def _bands(banded: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Return a view (R, S, O, C, kh, kw) of the filters in a banded matrix."""
    kh, kw = shapes.windows.kernel
    c, _, _, o, r, s = banded.shape
    sc, sm, sn, so, sr, ss = banded.strides
    return as_strided(banded, (r, s, o, c, kh, kw), (sr + sm, ss + sn, so, sc, sm, sn))


def _tiles(shapes: Correlation, itemsize: int) -> list[Tile]:
    c, m, n, o, r, s = banded_shape(shapes)
    ho, wo = shapes.out
    window_bytes = (c * m * n + o * r * s) * itemsize
    columns = even_slices(-(-wo // s), window_bytes)
    per_row = columns[0].stop
    rows = even_slices(-(-ho // r), window_bytes * per_row)
    return [
        (image, i.start * r, i.stop - i.start, j.start * s, j.stop - j.start)
        for image in range(shapes.n)
        for i in rows
        for j in columns
    ]


def _crop(x: NDArray[Any], at: Tile, shapes: Correlation) -> NDArray[Any]:
    """Return the part of an image that a tile reads, in scratch memory.

    It is (C, (p-1)*R + R+kh-1, (q-1)*S + S+kw-1).
    """
    image, row, p, column, q = at
    c, m, n, _, r, s = banded_shape(shapes)
    (top, _), (left, _) = shapes.windows.padding
    crop = parallel.scratch("toeplitz crop", (c, (p - 1) * r + m, (q - 1) * s + n), x.dtype)
    return crop_with_zeros(x[image], row - top, column - left, crop)


def _patches(crop: NDArray[Any], at: Tile, shapes: Correlation) -> NDArray[Any]:
    """Return the windows of a tile as rows: (p * q, C * (R+kh-1) * (S+kw-1))."""
    _, _, p, _, q = at
    c, m, n, _, r, s = banded_shape(shapes)
    sc, sm, sn = crop.strides
    patches = parallel.scratch("toeplitz patches", (p, q, c, m, n), crop.dtype)
    np.copyto(patches, as_strided(crop, patches.shape, (r * sm, s * sn, sc, sm, sn)))
    return patches.reshape(p * q, -1)


def forward(x: NDArray[Any], w: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Return the correlation (N, O, Ho, Wo) of images with filters."""
    c, m, n, o, r, s = banded_shape(shapes)
    banded = np.zeros((c, m, n, o, r, s), x.dtype)
    _bands(banded, shapes)[...] = w
    banded = banded.reshape(c * m * n, o * r * s)
    y = parallel.empty((shapes.n, o, *shapes.out), x.dtype)

    def tile(at: Tile) -> None:
        image, row, p, column, q = at
        products = parallel.scratch("toeplitz products", (p * q, o * r * s), x.dtype)
        crop = _crop(x, at, shapes)
        np.matmul(_patches(crop, at, shapes), banded, out=products)
        # (O, p, R, q, S)
        blocks = products.reshape(p, q, o, r, s).transpose(2, 0, 3, 1, 4)
        out = y[image, :, row : row + p * r, column : column + q * s]
        if out.shape[1:] == (p * r, q * s):
            np.copyto(out.reshape(blocks.shape), blocks)
        else:
            np.copyto(out, blocks.reshape(o, p * r, q * s)[:, : out.shape[1], : out.shape[2]])
        # The zeros of the banded matrix spread NaN and infinities to other outputs.
        wrong = None if all_finite(crop) else nonfinite_outputs(out[None])
        if wrong is not None:
            _, i, j = wrong
            recompute_windows(x, w, shapes, (np.full(len(i), image), i + row, j + column), y)

    parallel.for_each(tile, _tiles(shapes, x.itemsize))
    return y


def input_adjoint(g: NDArray[Any], w: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Return the gradient (N, C, H, W) of the images."""
    return forward(*adjoint_arguments(g, w, shapes))


def weight_adjoint(x: NDArray[Any], g: NDArray[Any], shapes: Correlation) -> NDArray[Any]:
    """Return the gradient (O, C, kh, kw) of the filters.

    It is the gradient of the banded matrix, summed over the positions of each filter.
    """
    c, m, n, o, r, s = banded_shape(shapes)

    def add(at: Tile, total: GradientSums) -> None:
        image, row, p, column, q = at
        crop = _crop(x, at, shapes)
        if not all_finite(crop):
            part = g[image, :, row : row + p * r, column : column + q * s]
            total.add_direct(unfold.weight_adjoint(*part_arguments(crop, part, shapes)))
            return
        maps = parallel.scratch("toeplitz maps", (o, p * r, q * s), x.dtype)
        crop_with_zeros(g[image], row, column, maps)
        blocks = parallel.scratch("toeplitz products", (p, q, o, r, s), x.dtype)
        np.copyto(blocks, maps.reshape(o, p, r, q, s).transpose(1, 3, 0, 2, 4))
        total.transformed += _patches(crop, at, shapes).T @ blocks.reshape(p * q, -1)

    tiles = _tiles(shapes, x.itemsize)
    total = parallel.sum_of(
        add, tiles, lambda: GradientSums(np.zeros((c * m * n, o * r * s), x.dtype))
    )
    banded = total.transformed.reshape(c, m, n, o, r, s)
    return total.value(_bands(banded, shapes).sum(axis=(0, 1)))
