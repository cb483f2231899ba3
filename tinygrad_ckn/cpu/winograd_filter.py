"""Winograd's minimal filtering F(m x m, 3 x 3): a correlation with 3x3 filters by fewer multiplications.

Sources: Winograd, Arithmetic Complexity of Computations (1980); Lavin and Gray, Fast
Algorithms for Convolutional Neural Networks (2016), whose matrices these are. An image
is cut into t x t tiles, t = m + 2, that overlap by 2:

    output tile = A^T [ (G w G^T) * (B^T tile B) ] A,      * elementwise, summed over channels

Each side of it is a matrix product here: with the t^2 elements of a tile in a row, X ->
B^T X B is kron(B, B)^T, and the elementwise product summed over channels is, for each
of the t^2 elements, one product of (tiles, C) and (C, O). For m = 4 that is 36 instead
of 144 multiplications for 16 outputs. The adjoints are the same pieces transposed.

b images, C channels in, O out, T = b * th * tw tiles; arrays are channels last.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU
from tinygrad_ckn.cpu.gemm import product

xp = CPU.xp

# filters or channels that products are made of at a time: what they give then stays in cache
_BLOCK = 64
# tiles of which the products for the filters' gradient are made together
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
def _matrices(m: int, dtype: Any) -> tuple[Any, Any, Any]:
    """Return kron(B^T, B^T) (t^2, t^2), kron(G, G) (t^2, 9) and kron(A^T, A^T) (m^2, t^2)."""
    b, g, a = (
        xp.kron(xp.array(x[m], "float64"), xp.array(x[m], "float64")).astype(dtype)
        for x in (_B, _G, _A)
    )
    return b, g, a


def filter_blocks(n: int) -> list[slice]:
    """Cut filters or channels into blocks."""
    return parallel.tiles(n, 1, limit=_BLOCK)


class Winograd:
    """F(m x m, 3 x 3) with given filters, for images of one size, padded: a tile of images at a time.

    `filters` is kron(G, G) w, (t^2, C, O), in blocks of O, so that the products with
    one of them stay in cache. `size` is (Ho, Wo), that of the output.
    """

    def __init__(
        self,
        m: int,
        shape: tuple[int, int],
        dtype: Any,
        size: tuple[int, int],
        filters: Sequence[Any],
    ) -> None:
        self.m = m
        # (C, O)
        self.shape = shape
        self.dtype = dtype
        self.size = size
        self.filters = filters
        # how many tiles an image has: (th, tw)
        self.grid = -(-size[0] // m), -(-size[1] // m)
        self.matrices = _matrices(m, dtype)

    @classmethod
    def of(cls, w: Any, size: tuple[int, int], m: int = 4) -> Winograd:
        """Transform filters (O, C, 3, 3)."""
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
        """Return the same for another size of output."""
        return Winograd(self.m, self.shape, self.dtype, size, self.filters)

    @functools.cached_property
    def transposed_filters(self) -> list[Any]:
        """The filters as (t^2, O, C), in blocks of C."""
        c, o = self.shape
        parts = filter_blocks(c)
        blocks = [
            parallel.empty(((self.m + 2) ** 2, o, part.stop - part.start), self.dtype)
            for part in parts
        ]

        def turn(i: int) -> None:
            for block, columns in zip(self.filters, filter_blocks(o), strict=True):
                xp.copyto(blocks[i][:, columns], block[:, parts[i]].swapaxes(1, 2))

        parallel.for_each(turn, range(len(parts)))
        return blocks

    @property
    def padded_size(self) -> tuple[int, int]:
        """Height and width of an image with its padding, and with zeros after it up to whole tiles."""
        return self.grid[0] * self.m + 2, self.grid[1] * self.m + 2

    # Steps take turns between two buffers, "a" and "b", so that these stay in cache.
    def _scratch(self, name: str, rows: int, b: int, channels: int) -> Any:
        th, tw = self.grid
        return parallel.scratch(f"winograd {name}", (rows, b * th * tw, channels), self.dtype)

    def _windows(self, padded: Any) -> Any:
        """Return the tiles of padded images (b, Hp, Wp, C), contiguous, as a view (t, t, b, th, tw, C)."""
        t, m = self.m + 2, self.m
        (sb, sh, sw, sc), (b, _, _, c) = padded.strides, padded.shape
        strides = (sh, sw, sb, m * sh, m * sw, sc)
        return xp.ndarray(
            (t, t, b, *self.grid, c), padded.dtype, padded, strides=strides
        )  # as_strided takes longer

    def transform_images(self, padded: Any, out: Any = None) -> Any:
        """Return B^T tile B of padded images (b, Hp, Wp, C): (t^2, T, C), in out or in scratch."""
        b, c = len(padded), padded.shape[3]
        left = self.matrices[0]
        rows = self._scratch("a", len(left), b, c)
        v = self._scratch("b", len(left), b, c) if out is None else out
        windows = self._windows(padded)
        xp.copyto(rows.reshape(windows.shape), windows)
        product(left, rows.reshape(len(left), -1), v.reshape(len(left), -1))
        return v

    def correlate(self, padded: Any, out: Any) -> None:
        """Write the correlation of padded images (b, Hp, Wp, C) to out (b, Ho, Wo, O)."""
        v = self.transform_images(padded)
        for i, part in enumerate(filter_blocks(self.shape[1])):
            self.apply_filters(v, i, out[..., part])

    def apply_filters(self, v: Any, block: int, out: Any) -> None:
        """Write the correlation with a block of the filters to out (b, Ho, Wo, o), given the images `transformed`."""
        b, m, o = len(out), self.m, out.shape[3]
        products = product(v, self.filters[block], self._scratch("a", len(v), b, o))
        y = self._scratch("y", m * m, b, o)
        product(self.matrices[2], products.reshape(len(products), -1), y.reshape(len(y), -1))
        tiles = y.reshape(m, m, b, *self.grid, o)
        places = self._tiled(out)
        if places is not None:
            xp.copyto(places, tiles)
            return
        for i in range(m):
            for j in range(m):
                part = out[:, i::m, j::m]
                part[...] = tiles[i, j, :, : part.shape[1], : part.shape[2]]

    def _tiled(self, y: Any) -> Any:
        """Return maps (b, Ho, Wo, O) as a view (m, m, b, th, tw, O), or None where the tiles reach past their edge."""
        m, (height, width), (th, tw) = self.m, self.size, self.grid
        if height % m or width % m:
            return None
        return y.reshape(len(y), th, m, tw, m, y.shape[3]).transpose(2, 4, 0, 1, 3, 5)

    def transform_gradient(self, g: Any, out: Any = None) -> Any:
        """Return A y A^T of the gradient g (b, Ho, Wo, O) of the output's tiles: (t^2, T, O), in out or in scratch."""
        (b, *_, o), m = g.shape, self.m
        left = self.matrices[2]
        rows = self._scratch("a", m * m, b, o)
        q = self._scratch("q", left.shape[1], b, o) if out is None else out
        tiles, places = rows.reshape(m, m, b, *self.grid, o), self._tiled(g)
        if places is not None:
            xp.copyto(tiles, places)
        else:
            tiles[...] = 0
            for i in range(m):
                for j in range(m):
                    part = g[:, i::m, j::m]
                    tiles[i, j, :, : part.shape[1], : part.shape[2]] = part
        product(left.T, rows.reshape(len(rows), -1), q.reshape(len(q), -1))
        return q

    def add_input_adjoint(self, q: Any, x: Any) -> None:
        """Add to x (b, Hp, Wp, C) the gradient of padded images, from what `pulled` gave."""
        b, t, m = len(x), self.m + 2, self.m
        left, windows = self.matrices[0], self._windows(x)
        for block, part in zip(self.transposed_filters, filter_blocks(self.shape[0]), strict=True):
            products = product(q, block, self._scratch("b", t * t, b, block.shape[2]))
            rows = self._scratch("a", t * t, b, block.shape[2])
            product(left.T, products.reshape(t * t, -1), rows.reshape(t * t, -1))
            tiles = rows.reshape(t, t, b, *self.grid, -1)
            # tiles overlap, but not these parts of them
            for i in (slice(m), slice(m, t)):
                for j in (slice(m), slice(m, t)):
                    windows[i, j, ..., part] += tiles[i, j]

    def filters_gradient(self, total: Any) -> Any:
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

    What a tile brings, V^T Q, is a short product with a large result. So V and Q of
    consecutive tiles are collected and multiplied together.
    """

    def __init__(self, filter: Winograd) -> None:
        self.filter = filter
        # (t^2, C, O)
        self.sum: Any = None
        # (t^2, T, C), (t^2, T, O)
        self.stack: tuple[Any, Any] | None = None
        self.filled = 0

    def add(self, padded: Any, g: Any) -> Any:
        """Add what padded images and the gradient of their output bring; return A g A^T (t^2, T, O) of it."""
        th, tw = self.filter.grid
        count = len(padded) * th * tw
        if self.stack is None or self.filled + count > self.stack[0].shape[1]:
            self._multiply()
            rows, (c, o), dtype = (self.filter.m + 2) ** 2, self.filter.shape, self.filter.dtype
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
            found = product(
                v.swapaxes(1, 2), q, parallel.empty((len(v), *self.filter.shape), v.dtype)
            )
            self.sum = found if self.sum is None else xp.add(self.sum, found, out=found)
            self.filled = 0

    def value(self) -> Any:
        """Return the sum, (t^2, C, O)."""
        self._multiply()
        if self.sum is None:
            return xp.zeros(((self.filter.m + 2) ** 2, *self.filter.shape), self.filter.dtype)
        return self.sum
