"""Winograd's minimal filtering F(m x m, 3 x 3): a correlation with 3x3 filters by fewer multiplications.

Sources: Winograd, Arithmetic Complexity of Computations (1980); Lavin and Gray, Fast Algorithms for Convolutional
Neural Networks (2016), whose matrices these are. An image is cut into t x t tiles, t = m + 2, that overlap by 2:

    output tile = A^T [ (G w G^T) * (B^T tile B) ] A,      * elementwise, summed over channels

Each side of it is a matrix product here: with the t^2 elements of a tile in a row, X -> B^T X B is kron(B, B)^T, and
the elementwise product summed over channels is, for each of the t^2 elements, one product of (tiles, C) and (C, O). For
m = 4 that is 36 instead of 144 multiplications for 16 outputs. The adjoints are the same pieces transposed.

b images, C channels in, O out, T = b * th * tw tiles; arrays are channels last.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU
from tinygrad_ckn.cpu.gemm import product

xp = CPU.xp

_BLOCK = 128  # columns of the transformed filters multiplied at a time
_COLLECTED = 128  # tiles of which the products for the filters' gradient are made together

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
    b, g, a = (xp.kron(xp.array(x[m], "float64"), xp.array(x[m], "float64")).astype(dtype) for x in (_B, _G, _A))
    return b, g, a


def _blocks(filters: Any) -> list[Any]:
    """Cut (t^2, a, b) into contiguous blocks of b."""
    blocks = []
    for part in parallel.tiles(filters.shape[2], 1, limit=_BLOCK):
        block = parallel.empty((*filters.shape[:2], part.stop - part.start), filters.dtype)
        xp.copyto(block, filters[:, :, part])
        blocks.append(block)
    return blocks


@dataclass(frozen=True, slots=True)
class Winograd:
    """F(m x m, 3 x 3) with given filters, for images of one size, padded: a tile of images at a time.

    `filters` is kron(G, G) w, (t^2, C, O), in blocks of O, and `turned` the same as (t^2, O, C), in blocks of C, for
    with all columns at once neither would stay in cache. `size` is (Ho, Wo), that of the output.
    """

    m: int
    shape: tuple[int, int]  # (C, O)
    dtype: Any
    filters: Sequence[Any]
    turned: Sequence[Any]
    size: tuple[int, int]

    @classmethod
    def of(cls, w: Any, size: tuple[int, int], m: int = 4) -> Winograd:
        """Transform filters (O, C, 3, 3)."""
        o, c = w.shape[:2]
        rows = w.transpose(2, 3, 1, 0).reshape(9, c * o)
        left = _matrices(m, w.dtype)[1]
        whole = parallel.empty((len(left), c, o), w.dtype)
        product(left, rows, whole.reshape(len(left), -1))
        return cls(m, (c, o), w.dtype, _blocks(whole), _blocks(whole.swapaxes(1, 2)), size)

    @property
    def grid(self) -> tuple[int, int]:
        """How many tiles an image has: (th, tw)."""
        return -(-self.size[0] // self.m), -(-self.size[1] // self.m)

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of an image with its padding, and with zeros after it up to whole tiles."""
        return self.grid[0] * self.m + 2, self.grid[1] * self.m + 2

    # Steps take turns between two buffers, "a" and "b", so that these stay in cache.
    def _scratch(self, name: str, rows: int, b: int, channels: int) -> Any:
        th, tw = self.grid
        return parallel.scratch(f"winograd {name}", (rows, b * th * tw, channels), self.dtype)

    def _windows(self, padded: Any) -> Any:
        """Return the tiles of padded images (b, Hp, Wp, C) as a view (t, t, b, th, tw, C)."""
        t, m = self.m + 2, self.m
        th, tw = self.grid
        (sb, sh, sw, sc), (b, _, _, c) = padded.strides, padded.shape
        strides = (sh, sw, sb, m * sh, m * sw, sc)
        return xp.lib.stride_tricks.as_strided(padded, (t, t, b, th, tw, c), strides)

    def transformed(self, padded: Any, out: Any = None) -> Any:
        """Return B^T tile B of padded images (b, Hp, Wp, C): (t^2, T, C), in out or in scratch."""
        b, c = len(padded), padded.shape[3]
        left = _matrices(self.m, self.dtype)[0]
        rows = self._scratch("a", len(left), b, c)
        v = self._scratch("b", len(left), b, c) if out is None else out
        windows = self._windows(padded)
        xp.copyto(rows.reshape(windows.shape), windows)
        product(left, rows.reshape(len(left), -1), v.reshape(len(left), -1))
        return v

    def correlate(self, padded: Any, out: Any) -> None:
        """Write the correlation of padded images (b, Hp, Wp, C) to out (b, Ho, Wo, O)."""
        b, m = len(padded), self.m
        left = _matrices(m, self.dtype)[2]
        v = self.transformed(padded)
        done = 0
        for block in self.filters:
            o = block.shape[2]
            products = product(v, block, self._scratch("a", len(v), b, o))
            y = self._scratch("y", m * m, b, o)
            product(left, products.reshape(len(products), -1), y.reshape(len(y), -1))
            self._place(y.reshape(m, m, b, *self.grid, o), out[..., done : done + o])
            done += o

    def _place(self, y: Any, out: Any) -> None:
        """Write tiles (m, m, b, th, tw, O) to their places; what is past the edge is left out."""
        m, (height, width) = self.m, self.size
        if height % m == 0 and width % m == 0:
            _, _, b, th, tw, o = y.shape
            s = out.strides
            strides = (s[0], m * s[1], s[1], m * s[2], s[2], s[3])
            places = xp.lib.stride_tricks.as_strided(out, (b, th, m, tw, m, o), strides)
            places[...] = y.transpose(2, 3, 0, 4, 1, 5)
            return
        for i in range(m):
            for j in range(m):
                part = out[:, i::m, j::m]
                part[...] = y[i, j, :, : part.shape[1], : part.shape[2]]

    def pulled(self, g: Any, out: Any = None) -> Any:
        """Return A y A^T of the gradient g (b, Ho, Wo, O) of the output's tiles: (t^2, T, O), in out or in scratch."""
        (b, height, width, o), m = g.shape, self.m
        th, tw = self.grid
        left = _matrices(m, self.dtype)[2]
        rows = self._scratch("a", m * m, b, o)
        q = self._scratch("q", left.shape[1], b, o) if out is None else out
        parts = rows.reshape(m, m, b, th, tw, o)
        if height % m or width % m:
            parts[...] = 0
        for i in range(m):
            for j in range(m):
                part = g[:, i::m, j::m]
                parts[i, j, :, : part.shape[1], : part.shape[2]] = part
        product(left.T, rows.reshape(len(rows), -1), q.reshape(len(q), -1))
        return q

    def input_adjoint(self, q: Any, b: int) -> Any:
        """Return the gradient of padded images, (b, Hp, Wp, C), in scratch, from what `pulled` gave."""
        t, m = self.m + 2, self.m
        th, tw = self.grid
        left = _matrices(self.m, self.dtype)[0]
        x = parallel.scratch("winograd x", (b, *self.padded, self.shape[0]), self.dtype)
        x[...] = 0
        done = 0
        for block in self.turned:
            c = block.shape[2]
            products = product(q, block, self._scratch("b", t * t, b, c))
            rows = self._scratch("a", t * t, b, c)
            product(left.T, products.reshape(t * t, -1), rows.reshape(t * t, -1))
            parts = rows.reshape(t, t, b, th, tw, c)
            for i in range(t):
                for j in range(t):
                    x[:, i : i + th * m : m, j : j + tw * m : m, done : done + c] += parts[i, j]
            done += c
        return x

    def weights(self, total: Any) -> Any:
        """Return the gradient (O, C, 3, 3) of filters from that of their transforms."""
        _, c, o = total.shape
        rows = _matrices(self.m, total.dtype)[1].T @ total.reshape(len(total), -1)
        return rows.reshape(3, 3, c, o).transpose(3, 2, 0, 1)


class Total:
    """The gradient of the transformed filters, summed over tiles of images.

    What a tile brings, V^T Q, is a short product with a large result. So V and Q of consecutive tiles are collected and
    multiplied together.
    """

    def __init__(self, filter: Winograd) -> None:
        self.filter = filter
        self.sum: Any = None  # (t^2, C, O)
        self.stack: tuple[Any, Any] | None = None  # (t^2, T, C), (t^2, T, O)
        self.filled = 0

    def add(self, padded: Any, g: Any) -> Any:
        """Add what padded images and the gradient of their output bring; return A g A^T (t^2, T, O) of it."""
        th, tw = self.filter.grid
        count = len(padded) * th * tw
        if self.stack is None or self.filled + count > self.stack[0].shape[1]:
            self._multiply()
            rows, (c, o), dtype = (self.filter.m + 2) ** 2, self.filter.shape, self.filter.dtype
            length = max(count, _COLLECTED // count * count)
            self.stack = parallel.empty((rows, length, c), dtype), parallel.empty((rows, length, o), dtype)
        v, q = (part[:, self.filled : self.filled + count] for part in self.stack)
        self.filled += count
        self.filter.transformed(padded, out=v)
        return self.filter.pulled(g, out=q)

    def _multiply(self) -> None:
        if self.filled and self.stack is not None:
            v, q = (part[:, : self.filled] for part in self.stack)
            found = product(v.swapaxes(1, 2), q, parallel.empty((len(v), *self.filter.shape), v.dtype))
            self.sum = found if self.sum is None else xp.add(self.sum, found, out=found)
            self.filled = 0

    def value(self) -> Any:
        """Return the sum, (t^2, C, O)."""
        self._multiply()
        if self.sum is None:
            return xp.zeros(((self.filter.m + 2) ** 2, *self.filter.shape), self.filter.dtype)
        return self.sum
