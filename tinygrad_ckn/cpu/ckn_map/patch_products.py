"""Products of filters with all patches of a tile of images, and their adjoints: unfolded, or by Winograd's filtering.

b images, C channels, Hp x Wp padded image, p filters of kh x kw, Ho x Wo output, L =
b*Ho*Wo, K = C*kh*kw. Images are channels last, (b, Hp, Wp, C), but for few channels, of
which unfolding makes long runs when they stand first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU, Shape
from tinygrad_ckn.cpu.ckn_map.banded import Bands, bands, box, from_left, from_right
from tinygrad_ckn.cpu.gemm import product
from tinygrad_ckn.cpu.winograd_filter import FilterGradient, Winograd, filter_blocks
from tinygrad_ckn.ops.ckn_map import largest_cosine
from tinygrad_ckn.windows import Windows

xp = CPU.xp

_FEW_CHANNELS = 8
_WINOGRAD_CHANNELS = (
    # from which the transforms, C or p times, cost less than what they save, C * p times
    16
)


class Products(Protocol):
    """What the fused map asks of a way to correlate; all arrays are scratch but those that are handed in."""

    # of the filters, (p, C, kh, kw)
    shape: Shape
    kernel: tuple[int, int]
    # border above and to the left
    before: tuple[int, int]
    # of tiles in which pixels are mixed beyond a patch; 0: they are not
    step: int
    # of a tile's map, for what the way needs beside it to stay in cache
    tile_bytes: int

    def padded(self, x: Any) -> Any:
        """Return images (b, H, W, C) with their border, in this way's layout."""

    def pixels(self, padded: Any) -> Any:
        """Return the squared norm of each pixel, border and all: (b, Hp, Wp)."""

    def any(self, padded: Any) -> Any:
        """Return which pixels are not zero: (b, Hp, Wp)."""

    def sums(self, pixels: Any) -> Any:
        """Return the sum over the pixels (b, Hp, Wp) of each patch: (b, Ho, Wo)."""

    def without(self, padded: Any, pixels: Any) -> Any:
        """Return a copy of padded images with 0 for some pixels (b, Hp, Wp), bool."""

    def first(self, padded: Any) -> Any:
        """Return a view of padded images with channels first: (b, C, Hp, Wp)."""

    def prepared(self, padded: Any, inverses: Any) -> Any:
        """Return what `products` takes; inverses (b, Ho, Wo): 1 / |x|."""

    def products(self, prepared: Any, inverses: Any, i: int, out: Any) -> None:
        """Write <z, x> / |x| + shift for patches x, filters z of block i to out (b, Ho, Wo, o)."""

    def before_pull(self) -> None:
        """Lay out what gradients of images will need: once, before threads ask for it."""

    def pull(self, padded: Any, ds: Any, dsquares: Any, total: Any, out: Any) -> None:
        """Add the gradient of the filters to total, write that of the images to out (b, H, W, C); None: unwanted.

        ds (b, Ho, Wo, p) is the gradient of <z, x>, dsquares (b, Ho, Wo) that of |x|^2,
        needed for that of the images.
        """

    def total(self) -> Any:
        """Return a zero gradient of the filters, to be added to, in a form of this way's own."""

    def weights(self, total: Any) -> Any:
        """Return the gradient (p, C, kh, kw) of the filters that a total has come to."""


def products_of(z: Any, shift: float, windows: Windows, size: Sequence[int]) -> Products:
    """Choose how to correlate images of size (H, W) with filters z (p, C, kh, kw)."""
    p, c, *kernel = z.shape
    if kernel == [3, 3] and min(c, p) >= _WINOGRAD_CHANNELS and min(windows.output_size(size)) >= 4:
        return _Winograd(z, shift, windows, size)
    return _Unfolded(z, shift, windows, size)


class _Geometry:
    """Borders and norms, which both ways share; `last`: whether the channels stand last."""

    def __init__(
        self, z: Any, windows: Windows, size: Sequence[int], padded: tuple[int, int], last: bool
    ) -> None:
        self.shape: Shape = z.shape
        self.dtype = z.dtype
        self.windows = windows
        self.kernel, self.step = windows.kernel, 0
        self.before = windows.padding[0][0], windows.padding[1][0]
        self.size = size
        self.out = windows.output_size(size)
        self.full = padded
        self.last = last
        boxes = [
            box(*lengths, z.dtype) for lengths in zip(self.out, windows.kernel, padded, strict=True)
        ]
        self.boxes = [bands(matrix) for matrix in boxes]
        self.boxes_adjoint = [bands(matrix.T) for matrix in boxes]

    def _inner(self, padded: Any) -> Any:
        """Return the view (b, H, W, C) of what stands within the border."""
        (top, _), (left, _) = self.windows.padding
        images = padded if self.last else padded.transpose(0, 2, 3, 1)
        return images[:, top : top + self.size[0], left : left + self.size[1]]

    def padded(self, x: Any) -> Any:
        if self.full == tuple(self.size):
            ready = x if self.last else x.transpose(0, 3, 1, 2)
            if ready.flags.c_contiguous:
                return ready
        y = self._scratch("padded", len(x))
        if self.full != tuple(self.size):
            y[...] = 0
        self._inner(y)[...] = x
        return y

    def _scratch(self, name: str, b: int) -> Any:
        channels = self.shape[1]
        shape = (b, *self.full, channels) if self.last else (b, channels, *self.full)
        return parallel.scratch(f"products {name}", shape, self.dtype)

    def pixels(self, padded: Any) -> Any:
        with xp.errstate(all="ignore"):
            return (
                xp.vecdot(padded, padded)
                if self.last
                else xp.einsum("bchw,bchw->bhw", padded, padded)
            )

    def any(self, padded: Any) -> Any:
        return padded.any(axis=3 if self.last else 1)

    def sums(self, pixels: Any) -> Any:
        return self._sums(pixels, self.boxes, self.out)

    def without(self, padded: Any, pixels: Any) -> Any:
        return xp.where(
            pixels[..., None] if self.last else pixels[:, None], self.dtype.type(0), padded
        )

    def first(self, padded: Any) -> Any:
        return padded.transpose(0, 3, 1, 2) if self.last else padded

    def _sums(self, x: Any, matrices: Sequence[Bands], size: tuple[int, int]) -> Any:
        """Return R x C^T (b, *size) for x (b, ..., ...)."""
        rows, columns = matrices
        half = xp.empty((len(x), size[0], x.shape[2]), self.dtype)
        return from_right(from_left(rows, x, half), columns, xp.empty((len(x), *size), self.dtype))

    def _squares_adjoint(self, padded: Any, dsquares: Any) -> Any:
        """Return the gradient of padded images that comes by way of the norms, for |x|^2 has 2 x, in scratch."""
        twice = self._sums(2 * dsquares, self.boxes_adjoint, self.full)
        dx = self._scratch("dx", len(padded))
        return xp.multiply(padded, twice[..., None] if self.last else twice[:, None], out=dx)


class _Unfolded(_Geometry):
    """A matrix product with the patches as rows."""

    tile_bytes = 2**21

    def __init__(self, z: Any, shift: float, windows: Windows, size: Sequence[int]) -> None:
        p, c, kh, kw = z.shape
        super().__init__(
            z, windows, size, windows.padded(size), last=c > _FEW_CHANNELS or kh == kw == 1
        )
        self.shift = shift
        self.rows = xp.ascontiguousarray(z.transpose(0, 2, 3, 1) if self.last else z).reshape(
            p, c * kh * kw
        )
        rows = (
            self.rows
            if self.last
            else xp.concatenate([self.rows, xp.full((p, 1), shift, self.dtype)], axis=1)
        )
        self.blocks = [
            xp.ascontiguousarray(rows[part].T) for part in filter_blocks(p)
        ]  # (K or K + 1, o)

    def _columns(self, padded: Any) -> Any:
        """Return the patches of padded images: (L, K), or (K + 1, L), a row to spare, when channels stand first."""
        (kh, kw), (height, width), c = self.windows.kernel, self.out, self.shape[1]
        b, s = len(padded), padded.strides
        if kh == kw == 1 and self.last:
            return padded.reshape(-1, c)
        if self.last:
            shape: Shape = (b, height, width, kh, kw, c)
            strides = (s[0], s[1], s[2], s[1], s[2], s[3])
            columns = parallel.scratch(
                "products columns", (b * height * width, kh * kw * c), self.dtype
            )
        else:
            shape = (c, kh, kw, b, height, width)
            strides = (s[1], s[2], s[3], s[0], s[2], s[3])
            columns = parallel.scratch(
                "products columns", (c * kh * kw + 1, b * height * width), self.dtype
            )
        target = columns if self.last else columns[:-1]
        xp.copyto(target.reshape(shape), xp.lib.stride_tricks.as_strided(padded, shape, strides))
        return columns

    def prepared(self, padded: Any, inverses: Any) -> Any:
        columns = self._columns(padded)
        if not self.last:
            # the fewer numbers are scaled, in long runs, and a row of ones brings the shift
            columns[:-1] *= inverses.reshape(-1)
            columns[-1] = 1
        return columns

    def products(self, prepared: Any, inverses: Any, i: int, out: Any) -> None:
        block, flat = self.blocks[i], out.reshape(-1, out.shape[3])
        product(prepared if self.last else prepared.T, block, flat)
        if self.last:
            _scale(out, inverses, self.shift)

    def before_pull(self) -> None:
        pass

    def pull(self, padded: Any, ds: Any, dsquares: Any, total: Any, out: Any) -> None:
        (kh, kw), (height, width), (p, c, *_) = self.windows.kernel, self.out, self.shape
        flat, b = ds.reshape(-1, p), len(padded)
        if total is not None:
            columns = self._columns(padded)
            part = parallel.scratch(
                "products weights", total.shape if self.last else total.T.shape, self.dtype
            )
            total += (
                product(flat.T, columns, part) if self.last else product(columns[:-1], flat, part).T
            )
        if out is None:
            return
        dx = self._squares_adjoint(padded, dsquares)
        if kh == kw == 1 and self.last and self.full == tuple(self.size):
            product(flat, self.rows, out.reshape(-1, c))
            out += dx
            return
        shape: Shape = (b, height, width, kh, kw, c) if self.last else (c, kh, kw, b, height, width)
        parts = parallel.scratch("products columns", shape, self.dtype)
        if self.last:
            product(flat, self.rows, parts.reshape(-1, kh * kw * c))
        else:
            product(self.rows.T, flat.T, parts.reshape(c * kh * kw, -1))
        for i in range(kh):
            for j in range(kw):
                if self.last:
                    dx[:, i : i + height, j : j + width] += parts[:, :, :, i, j]
                else:
                    dx[:, :, i : i + height, j : j + width] += parts[:, i, j].transpose(1, 0, 2, 3)
        xp.copyto(out, self._inner(dx))

    def total(self) -> Any:
        return xp.zeros(self.rows.shape, self.dtype)

    def weights(self, total: Any) -> Any:
        p, c, kh, kw = self.shape
        return (
            total.reshape(p, kh, kw, c).transpose(0, 3, 1, 2)
            if self.last
            else total.reshape(p, c, kh, kw)
        )


class _Winograd(_Geometry):
    """F(4x4, 3x3); see winograd.py."""

    def __init__(self, z: Any, shift: float, windows: Windows, size: Sequence[int]) -> None:
        # 64 of Winograd's tiles, so that reading the filters from memory costs little
        # beside the products; of few channels more, for these take as little room in
        # the cache
        self.tile_bytes = max(64, 8192 // z.shape[1]) * 16 * len(z) * z.itemsize
        self.filter = Winograd.of(z, windows.output_size(size))
        super().__init__(z, windows, size, self.filter.padded_size, last=True)
        self.step = self.filter.m
        self.shift = shift
        self.limit = float(
            largest_cosine(z)
        )  # tiles mix patches: one beside much longer ones has their rounding

    def prepared(self, padded: Any, inverses: Any) -> Any:
        return self.filter.transform_images(padded)

    def products(self, prepared: Any, inverses: Any, i: int, out: Any) -> None:
        self.filter.apply_filters(prepared, i, out)
        _scale(out, inverses, self.shift, self.limit)

    def before_pull(self) -> None:
        _ = self.filter.transposed_filters

    def pull(self, padded: Any, ds: Any, dsquares: Any, total: Any, out: Any) -> None:
        pulled = total.add(padded, ds) if total is not None else self.filter.transform_gradient(ds)
        if out is not None:
            dx = self._squares_adjoint(padded, dsquares)
            self.filter.add_input_adjoint(pulled, dx)
            xp.copyto(out, self._inner(dx))

    def total(self) -> Any:
        return FilterGradient(self.filter)

    def weights(self, total: Any) -> Any:
        return self.filter.filters_gradient(total.value())


def _scale(products: Any, inverses: Any, shift: float, limit: float | None = None) -> None:
    """Make <z, x> / |x| + shift of products (b, Ho, Wo, o), in place; limited, which derivatives take no notice of."""
    products *= inverses[..., None]
    if limit is not None:
        xp.clip(products, -limit, limit, out=products)
    if shift:
        products += shift
