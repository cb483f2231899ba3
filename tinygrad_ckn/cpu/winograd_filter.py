"""Winograd's minimal filtering F(m x m, 3 x 3): 3 x 3 correlations by fewer products.

Sources: Winograd, Arithmetic Complexity of Computations (1980); Lavin and Gray, Fast
Algorithms for Convolutional Neural Networks (2016), from whom the matrices are taken.
An image is cut into t x t tiles, t = m + 2, that overlap by 2:

    output tile = A^T [ (G w G^T) * (B^T tile B) ] A,      * elementwise, summed over channels

Both sides of this are matrix products here. With the t^2 elements of a tile in a row,
X -> B^T X B is kron(B, B)^T, and the elementwise product summed over channels is one
product of (tiles, C) and (C, O) for each of the t^2 elements. For m = 4 that takes 36
multiplications instead of 144 for 16 outputs. The adjoints are the transposed pieces.

b images, C input channels, O output channels, T = b * th * tw tiles; arrays are
channels last.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.cpu.gemm import product

# Filters or channels per block of products: the results then stay in cache.
_BLOCK = 64
# tiles collected before their products for the filters' gradient are made
_COLLECTED = 128

_B = {
    2: [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
    4: [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
}
_G = {
    2: [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
    4: [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
}
_A = {
    2: [[1, 1, 1, 0], [0, 1, -1, -1]],
    4: [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
}


@functools.lru_cache(maxsize=8)
def _matrices(m: int, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return kron(B^T, B^T) (t^2, t^2), kron(G, G) (t^2, 9), kron(A^T, A^T) (m^2, t^2)."""
    b, g, a = (
        np.kron(np.array(x[m], "float64"), np.array(x[m], "float64")).astype(dtype)
        for x in (_B, _G, _A)
    )
    return b, g, a


def filter_blocks(n: int) -> list[slice]:
    """Cut n filters or channels into blocks."""
    return parallel.tiles(n, 1, limit=_BLOCK)


class Winograd:
    """F(m x m, 3 x 3) with given filters, for padded images of one size.

    Parameters
    ----------
    m
        Outputs per tile and axis, 2 or 4.
    shape
        (C, O).
    dtype
        Of images and filters.
    size
        (Ho, Wo), size of the output.
    filters
        kron(G, G) w, (t^2, C, O), in blocks of O, so that the products with one block
        stay in cache.
    """

    def __init__(
        self,
        m: int,
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        size: tuple[int, int],
        filters: Sequence[NDArray[Any]],
    ) -> None:
        self.m = m
        self.shape = shape
        self.dtype = dtype
        self.size = size
        self.filters = filters
        # tiles per image: (th, tw)
        self.grid = -(-size[0] // m), -(-size[1] // m)
        self.matrices = _matrices(m, dtype)

    @classmethod
    def of(cls, w: NDArray[Any], size: tuple[int, int], m: int = 4) -> Winograd:
        """Transform filters (O, C, 3, 3) for outputs of the given size."""
        o, c = w.shape[:2]
        left = _matrices(m, w.dtype)[1]
        parts = filter_blocks(o)
        blocks = [parallel.empty((len(left), c, part.stop - part.start), w.dtype) for part in parts]

        def transform(i: int) -> None:
            rows = w[parts[i]].transpose(2, 3, 1, 0).reshape(9, -1)
            product(left, rows, blocks[i].reshape(len(left), -1))

        parallel.for_each(transform, range(len(parts)))
        return cls(m, (c, o), w.dtype, size, blocks)

    def with_output_size(self, size: tuple[int, int]) -> Winograd:
        """Return the same filters for another size of output."""
        return Winograd(self.m, self.shape, self.dtype, size, self.filters)

    @functools.cached_property
    def transposed_filters(self) -> list[NDArray[Any]]:
        """The transformed filters as (t^2, O, C), in blocks of C."""
        c, o = self.shape
        parts = filter_blocks(c)
        blocks = [
            parallel.empty(((self.m + 2) ** 2, o, part.stop - part.start), self.dtype)
            for part in parts
        ]

        def transpose(i: int) -> None:
            for block, columns in zip(self.filters, filter_blocks(o), strict=True):
                np.copyto(blocks[i][:, columns], block[:, parts[i]].swapaxes(1, 2))

        parallel.for_each(transpose, range(len(parts)))
        return blocks

    @property
    def padded_size(self) -> tuple[int, int]:
        """Size of a padded image, zeros up to whole tiles included."""
        return self.grid[0] * self.m + 2, self.grid[1] * self.m + 2

    # Consecutive steps alternate between the buffers "a" and "b", so both stay in cache.
    def _scratch(self, name: str, rows: int, b: int, channels: int) -> NDArray[Any]:
        th, tw = self.grid
        return parallel.scratch(f"winograd {name}", (rows, b * th * tw, channels), self.dtype)

    def _windows(self, padded: NDArray[Any]) -> NDArray[Any]:
        """Return a view (t, t, b, th, tw, C) of the tiles of images (b, Hp, Wp, C).

        The images must be contiguous.
        """
        t = self.m + 2
        m = self.m
        b, _, _, c = padded.shape
        sb, sh, sw, sc = padded.strides
        strides = (sh, sw, sb, m * sh, m * sw, sc)
        # as_strided takes longer.
        return np.ndarray((t, t, b, *self.grid, c), padded.dtype, padded, strides=strides)

    def transform_images(
        self, padded: NDArray[Any], out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Return B^T tile B of padded images (b, Hp, Wp, C): (t^2, T, C).

        It is written to `out`, or else to scratch memory.
        """
        b = len(padded)
        c = padded.shape[3]
        left = self.matrices[0]
        rows = self._scratch("a", len(left), b, c)
        v = self._scratch("b", len(left), b, c) if out is None else out
        windows = self._windows(padded)
        np.copyto(rows.reshape(windows.shape), windows)
        product(left, rows.reshape(len(left), -1), v.reshape(len(left), -1))
        return v

    def correlate(self, padded: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the correlation of padded images (b, Hp, Wp, C) to out (b, Ho, Wo, O)."""
        v = self.transform_images(padded)
        for i, part in enumerate(filter_blocks(self.shape[1])):
            self.apply_filters(v, i, out[..., part])

    def apply_filters(self, v: NDArray[Any], block: int, out: NDArray[Any]) -> None:
        """Write the correlation with one block of the filters to out (b, Ho, Wo, o).

        `v` comes from `transform_images`.
        """
        b = len(out)
        m = self.m
        o = out.shape[3]
        products = product(v, self.filters[block], self._scratch("a", len(v), b, o))
        y = self._scratch("y", m * m, b, o)
        product(self.matrices[2], products.reshape(len(products), -1), y.reshape(len(y), -1))
        tiles = y.reshape(m, m, b, *self.grid, o)
        target = self._as_tiles(out)
        if target is not None:
            np.copyto(target, tiles)
            return
        for i in range(m):
            for j in range(m):
                part = out[:, i::m, j::m]
                part[...] = tiles[i, j, :, : part.shape[1], : part.shape[2]]

    def _as_tiles(self, y: NDArray[Any]) -> NDArray[Any] | None:
        """Return maps (b, Ho, Wo, O) as a view (m, m, b, th, tw, O).

        None if tiles reach past the edge of the maps.
        """
        m = self.m
        height, width = self.size
        th, tw = self.grid
        if height % m or width % m:
            return None
        return y.reshape(len(y), th, m, tw, m, y.shape[3]).transpose(2, 4, 0, 1, 3, 5)

    def transform_gradient(self, g: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return A y A^T of the output's gradient g (b, Ho, Wo, O): (t^2, T, O).

        It is written to `out`, or else to scratch memory.
        """
        b, *_, o = g.shape
        m = self.m
        left = self.matrices[2]
        rows = self._scratch("a", m * m, b, o)
        q = self._scratch("q", left.shape[1], b, o) if out is None else out
        tiles = rows.reshape(m, m, b, *self.grid, o)
        source = self._as_tiles(g)
        if source is not None:
            np.copyto(tiles, source)
        else:
            tiles[...] = 0
            for i in range(m):
                for j in range(m):
                    part = g[:, i::m, j::m]
                    tiles[i, j, :, : part.shape[1], : part.shape[2]] = part
        product(left.T, rows.reshape(len(rows), -1), q.reshape(len(q), -1))
        return q

    def add_input_adjoint(self, q: NDArray[Any], x: NDArray[Any]) -> None:
        """Add the gradient of padded images to x (b, Hp, Wp, C).

        `q` comes from `transform_gradient`.
        """
        b = len(x)
        t = self.m + 2
        m = self.m
        left = self.matrices[0]
        windows = self._windows(x)
        for block, part in zip(self.transposed_filters, filter_blocks(self.shape[0]), strict=True):
            products = product(q, block, self._scratch("b", t * t, b, block.shape[2]))
            rows = self._scratch("a", t * t, b, block.shape[2])
            product(left.T, products.reshape(t * t, -1), rows.reshape(t * t, -1))
            tiles = rows.reshape(t, t, b, *self.grid, -1)
            # Tiles overlap, but these parts of them do not.
            for i in (slice(m), slice(m, t)):
                for j in (slice(m), slice(m, t)):
                    windows[i, j, ..., part] += tiles[i, j]

    def filters_gradient(self, total: NDArray[Any]) -> NDArray[Any]:
        """Return the gradient (O, C, 3, 3) of filters from that of their transforms."""
        _, c, o = total.shape
        rows = product(
            self.matrices[1].T,
            total.reshape(len(total), -1),
            parallel.empty((9, c * o), total.dtype),
        )
        return rows.reshape(3, 3, c, o).transpose(3, 2, 0, 1)


class FilterGradient:
    """The gradient of the transformed filters, summed over tiles of images.

    The term of one tile, V^T Q, is a short product with a large result. So V and Q of
    consecutive tiles are collected and multiplied together.
    """

    def __init__(self, filter: Winograd) -> None:
        self.filter = filter
        # (t^2, C, O)
        self.sum: NDArray[Any] | None = None
        # V (t^2, T, C) and Q (t^2, T, O), of which the first `filled` columns T are set
        self.stack: tuple[NDArray[Any], NDArray[Any]] | None = None
        self.filled = 0

    def add(self, padded: NDArray[Any], g: NDArray[Any]) -> NDArray[Any]:
        """Add the term of padded images with output gradient g; return A g A^T (t^2, T, O)."""
        th, tw = self.filter.grid
        count = len(padded) * th * tw
        if self.stack is None or self.filled + count > self.stack[0].shape[1]:
            self._multiply()
            rows = (self.filter.m + 2) ** 2
            c, o = self.filter.shape
            dtype = self.filter.dtype
            length = max(count, _COLLECTED // count * count)
            self.stack = (
                parallel.empty((rows, length, c), dtype),
                parallel.empty((rows, length, o), dtype),
            )
        v, q = (part[:, self.filled : self.filled + count] for part in self.stack)
        self.filled += count
        self.filter.transform_images(padded, out=v)
        return self.filter.transform_gradient(g, out=q)

    def _multiply(self) -> None:
        if self.filled and self.stack is not None:
            v, q = (part[:, : self.filled] for part in self.stack)
            term = product(
                v.swapaxes(1, 2), q, parallel.empty((len(v), *self.filter.shape), v.dtype)
            )
            self.sum = term if self.sum is None else np.add(self.sum, term, out=term)
            self.filled = 0

    def value(self) -> NDArray[Any]:
        """Return the sum, (t^2, C, O)."""
        self._multiply()
        if self.sum is None:
            return np.zeros(((self.filter.m + 2) ** 2, *self.filter.shape), self.filter.dtype)
        return self.sum
