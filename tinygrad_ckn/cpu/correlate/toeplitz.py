"""correlate2d of few channels as a product with a banded matrix: windows of many outputs at once.

A correlation with kh x kw filters is also one with a stride of 8 x 8 and filters of (8
+ kh - 1) x (8 + kw - 1), one for each of the 64 outputs that fall into a stride: the
filter at 64 places, zero elsewhere. Such wide patches overlap little, so unfolding
moves (1 + (kh - 1)/8) (1 + (kw - 1)/8) numbers for each output instead of kh * kw, and
the product has 64 * O rows: more multiplications, at the speed of a large matrix
product.

C channels in, O out, R x S outputs for each of the p x q windows of a tile, T (C *
(R+kh-1) * (S+kw-1), O * R * S).
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU, Shape
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

xp = CPU.xp

# outputs of a window in either direction
_STEP = 8

Tile = tuple[
    int, int, int, int, int
]  # image; first row, and how many of windows; first column, and how many


def banded_shape(shapes: Correlation) -> Shape:
    """Return the shape (C, R+kh-1, S+kw-1, O, R, S) of the banded matrix."""
    kh, kw = shapes.windows.kernel
    r, s = (min(_STEP, length) for length in shapes.out)
    return shapes.channels, r + kh - 1, s + kw - 1, shapes.filters, r, s


def _places(banded: Any, shapes: Correlation) -> Any:
    """Return the view (R, S, O, C, kh, kw) of where a banded matrix has the filters."""
    kh, kw = shapes.windows.kernel
    c, _, _, o, r, s = banded.shape
    sc, sm, sn, so, sr, ss = banded.strides
    return xp.lib.stride_tricks.as_strided(
        banded, (r, s, o, c, kh, kw), (sr + sm, ss + sn, so, sc, sm, sn)
    )


def _tiles(shapes: Correlation, itemsize: int) -> list[Tile]:
    (c, m, n, o, r, s), (ho, wo) = banded_shape(shapes), shapes.out
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


def _strip(x: Any, at: Tile, shapes: Correlation) -> Any:
    """Return what a tile needs of its image, in scratch: (C, (p-1)*R + R+kh-1, (q-1)*S + S+kw-1)."""
    image, row, p, column, q = at
    c, m, n, _, r, s = banded_shape(shapes)
    (top, _), (left, _) = shapes.windows.padding
    strip = parallel.scratch("toeplitz strip", (c, (p - 1) * r + m, (q - 1) * s + n), x.dtype)
    return crop_with_zeros(x[image], row - top, column - left, strip)


def _patches(strip: Any, at: Tile, shapes: Correlation) -> Any:
    """Return the windows of a tile as rows: (p * q, C * (R+kh-1) * (S+kw-1))."""
    _, _, p, _, q = at
    c, m, n, _, r, s = banded_shape(shapes)
    sc, sm, sn = strip.strides
    patches = parallel.scratch("toeplitz patches", (p, q, c, m, n), strip.dtype)
    xp.copyto(
        patches, xp.lib.stride_tricks.as_strided(strip, patches.shape, (r * sm, s * sn, sc, sm, sn))
    )
    return patches.reshape(p * q, -1)


def forward(x: Any, w: Any, shapes: Correlation) -> Any:
    """Return the correlation (N, O, Ho, Wo) of images with filters."""
    (c, m, n, o, r, s), (ho, wo) = banded_shape(shapes), shapes.out
    banded = xp.zeros((c, m, n, o, r, s), x.dtype)
    _places(banded, shapes)[...] = w
    banded = banded.reshape(c * m * n, o * r * s)
    y = parallel.empty((shapes.n, o, ho, wo), x.dtype)

    def tile(at: Tile) -> None:
        image, row, p, column, q = at
        products = parallel.scratch("toeplitz products", (p * q, o * r * s), x.dtype)
        strip = _strip(x, at, shapes)
        xp.matmul(_patches(strip, at, shapes), banded, out=products)
        # (O, p, R, q, S)
        blocks = products.reshape(p, q, o, r, s).transpose(2, 0, 3, 1, 4)
        out = y[image, :, row : row + p * r, column : column + q * s]
        if out.shape[1:] == (p * r, q * s):
            xp.copyto(out.reshape(blocks.shape), blocks)
        else:
            xp.copyto(out, blocks.reshape(o, p * r, q * s)[:, : out.shape[1], : out.shape[2]])
        # the zeros of T count too
        wrong = None if all_finite(strip) else nonfinite_outputs(out[None])
        if wrong is not None:
            _, i, j = wrong
            recompute_windows(x, w, shapes, (xp.full(len(i), image), i + row, j + column), y)

    parallel.for_each(tile, _tiles(shapes, x.itemsize))
    return y


def input_adjoint(g: Any, w: Any, shapes: Correlation) -> Any:
    """Return the gradient (N, C, H, W) of the images."""
    return forward(*adjoint_arguments(g, w, shapes))


def weight_adjoint(x: Any, g: Any, shapes: Correlation) -> Any:
    """Return the gradient (O, C, kh, kw) of the filters: that of the banded matrix, summed over their places in it."""
    c, m, n, o, r, s = banded_shape(shapes)

    def add(at: Tile, total: GradientSums) -> None:
        image, row, p, column, q = at
        strip = _strip(x, at, shapes)
        if not all_finite(strip):
            part = g[image, :, row : row + p * r, column : column + q * s]
            total.add_direct(unfold.weight_adjoint(*part_arguments(strip, part, shapes)))
            return
        maps = parallel.scratch("toeplitz maps", (o, p * r, q * s), x.dtype)
        crop_with_zeros(g[image], row, column, maps)
        blocks = parallel.scratch("toeplitz products", (p, q, o, r, s), x.dtype)
        xp.copyto(blocks, maps.reshape(o, p, r, q, s).transpose(1, 3, 0, 2, 4))
        total.transformed += _patches(strip, at, shapes).T @ blocks.reshape(p * q, -1)

    tiles = _tiles(shapes, x.itemsize)
    total = parallel.sum_of(
        add, tiles, lambda: GradientSums(xp.zeros((c * m * n, o * r * s), x.dtype))
    )
    return total.value(
        _places(total.transformed.reshape(c, m, n, o, r, s), shapes).sum(axis=(0, 1))
    )
