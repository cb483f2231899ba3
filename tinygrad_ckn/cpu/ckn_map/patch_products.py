"""Products of filters with all patches of a tile of images, and their adjoints.

Patches are unfolded for a matrix product, or filtered by Winograd's algorithm. b
images, C channels, Hp x Wp padded image, p filters of kh x kw, Ho x Wo output, L =
b*Ho*Wo, K = C*kh*kw. Images are channels last, (b, Hp, Wp, C), except for few channels,
which unfolding copies in longer runs if they stand first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import Shape
from tinygrad_ckn.cpu.ckn_map.banded import Bands, bands, box, from_left, from_right
from tinygrad_ckn.cpu.gemm import product
from tinygrad_ckn.cpu.winograd_filter import FilterGradient, Winograd, filter_blocks
from tinygrad_ckn.ops.ckn_map import cosine_bound
from tinygrad_ckn.windows import Windows

# Up to this number, channels stand first.
_FEW_CHANNELS = 8
# From this number of channels and filters on, the transforms, of C or p maps, cost less
# than they save in the products, of C * p maps.
_WINOGRAD_CHANNELS = 16


# A sum of filter gradients, in an algorithm's own form.
Total = TypeVar("Total")


class PatchProducts(Protocol[Total]):
    """Interface of both algorithms; returned arrays are scratch, unless passed in."""

    # Of the filters, (p, C, kh, kw).
    shape: Shape
    kernel: tuple[int, int]
    # Border at the top and left.
    before: tuple[int, int]
    # Distance of the algorithm's tiles, which mix pixels of several patches; 0: none.
    step: int
    # Bytes of the map of a tile of images, chosen so that its other arrays stay in cache.
    tile_bytes: int

    def pad(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return images (b, H, W, C) with their border, in the algorithm's layout."""
        ...

    def pixel_squares(self, padded: NDArray[Any]) -> NDArray[Any]:
        """Return the squared norm of each pixel with the border: (b, Hp, Wp)."""
        ...

    def nonzero_pixels(self, padded: NDArray[Any]) -> NDArray[Any]:
        """Return the mask of pixels that are not zero: (b, Hp, Wp)."""
        ...

    def patch_sums(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return the sum over the pixels (b, Hp, Wp) of each patch: (b, Ho, Wo)."""
        ...

    def without(self, padded: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        """Return a copy of padded images with masked pixels (b, Hp, Wp) set to 0."""
        ...

    def channels_first(self, padded: NDArray[Any]) -> NDArray[Any]:
        """Return a view of padded images as (b, C, Hp, Wp)."""
        ...

    def prepare(self, padded: NDArray[Any], inverses: NDArray[Any]) -> NDArray[Any]:
        """Return the argument of `multiply`; inverses (b, Ho, Wo) are 1 / |x|."""
        ...

    def multiply(
        self, prepared: NDArray[Any], inverses: NDArray[Any], i: int, out: NDArray[Any]
    ) -> None:
        """Write <z, x> / |x| + shift, for filters z of block i, to out (b, Ho, Wo, o)."""
        ...

    def prepare_backward(self) -> None:
        """Lay out the filters for gradients of images, before threads need them."""
        ...

    def vjp(
        self,
        padded: NDArray[Any],
        ds: NDArray[Any],
        dsquares: NDArray[Any] | None,
        total: Total | None,
        out: NDArray[Any] | None,
    ) -> None:
        """Add the gradient of the filters to total, write that of the images to out.

        Parameters
        ----------
        padded
            Images with their border.
        ds
            Gradient of <z, x>: (b, Ho, Wo, p).
        dsquares
            Gradient of |x|^2: (b, Ho, Wo); None only if out is None.
        total
            From `zero_gradient`; None: not needed.
        out
            (b, H, W, C); None: not needed.
        """
        ...

    def zero_gradient(self) -> Total:
        """Return a zero gradient of the filters, in the form that `vjp` adds to."""
        ...

    def filters_gradient(self, total: Total) -> NDArray[Any]:
        """Return the gradient (p, C, kh, kw) of the filters from a total."""
        ...


def products_of(
    z: NDArray[Any], shift: float, windows: Windows, size: Sequence[int]
) -> PatchProducts[Any]:
    """Choose the algorithm for images of size (H, W) and filters z (p, C, kh, kw)."""
    p, c, *kernel = z.shape
    if kernel == [3, 3] and min(c, p) >= _WINOGRAD_CHANNELS and min(windows.output_size(size)) >= 4:
        return _Winograd(z, shift, windows, size)
    return _Unfolded(z, shift, windows, size)


class _Geometry:
    """Borders and norms, shared by both algorithms; `last`: channels stand last."""

    def __init__(
        self,
        z: NDArray[Any],
        windows: Windows,
        size: Sequence[int],
        padded_size: tuple[int, int],
        last: bool,
    ) -> None:
        self.shape: Shape = z.shape
        self.dtype = z.dtype
        self.windows = windows
        self.kernel = windows.kernel
        self.step = 0
        self.before = windows.padding[0][0], windows.padding[1][0]
        self.size = size
        self.out = windows.output_size(size)
        self.padded_size = padded_size
        self.last = last
        axes = zip(self.out, windows.kernel, padded_size, strict=True)
        boxes = [box(*axis, z.dtype) for axis in axes]
        self.boxes = [bands(matrix) for matrix in boxes]
        self.boxes_adjoint = [bands(matrix.T) for matrix in boxes]

    def _inner(self, padded: NDArray[Any]) -> NDArray[Any]:
        """Return the view (b, H, W, C) within the border."""
        (top, _), (left, _) = self.windows.padding
        images = padded if self.last else padded.transpose(0, 2, 3, 1)
        return images[:, top : top + self.size[0], left : left + self.size[1]]

    def pad(self, x: NDArray[Any]) -> NDArray[Any]:
        if self.padded_size == tuple(self.size):
            unchanged = x if self.last else x.transpose(0, 3, 1, 2)
            if unchanged.flags.c_contiguous:
                return unchanged
        y = self._scratch("padded", len(x))
        if self.padded_size != tuple(self.size):
            y[...] = 0
        self._inner(y)[...] = x
        return y

    def _scratch(self, name: str, b: int) -> NDArray[Any]:
        channels = self.shape[1]
        shape = (b, *self.padded_size, channels) if self.last else (b, channels, *self.padded_size)
        return parallel.scratch(f"products {name}", shape, self.dtype)

    def pixel_squares(self, padded: NDArray[Any]) -> NDArray[Any]:
        with np.errstate(all="ignore"):
            squares: NDArray[Any] = (
                np.vecdot(padded, padded)
                if self.last
                else np.einsum("bchw,bchw->bhw", padded, padded)
            )
            return squares

    def nonzero_pixels(self, padded: NDArray[Any]) -> NDArray[Any]:
        return np.any(padded, axis=3 if self.last else 1)

    def patch_sums(self, pixels: NDArray[Any]) -> NDArray[Any]:
        return self._sums(pixels, self.boxes, self.out)

    def without(self, padded: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        return np.where(mask[..., None] if self.last else mask[:, None], self.dtype.type(0), padded)

    def channels_first(self, padded: NDArray[Any]) -> NDArray[Any]:
        return padded.transpose(0, 3, 1, 2) if self.last else padded

    def _sums(
        self, x: NDArray[Any], matrices: Sequence[Bands], size: tuple[int, int]
    ) -> NDArray[Any]:
        """Return R x C^T (b, *size) of x (b, ..., ...)."""
        rows, columns = matrices
        half = np.empty((len(x), size[0], x.shape[2]), self.dtype)
        return from_right(from_left(rows, x, half), columns, np.empty((len(x), *size), self.dtype))

    def _squares_vjp(self, padded: NDArray[Any], dsquares: NDArray[Any]) -> NDArray[Any]:
        """Return the gradient of padded images through |x|^2, in scratch."""
        twice = self._sums(2 * dsquares, self.boxes_adjoint, self.padded_size)
        dx = self._scratch("dx", len(padded))
        return np.multiply(padded, twice[..., None] if self.last else twice[:, None], out=dx)


class _Unfolded(_Geometry):
    """A matrix product with the patches as rows."""

    tile_bytes = 2**21

    def __init__(
        self, z: NDArray[Any], shift: float, windows: Windows, size: Sequence[int]
    ) -> None:
        p, c, kh, kw = z.shape
        super().__init__(
            z, windows, size, windows.padded(size), last=c > _FEW_CHANNELS or kh == kw == 1
        )
        self.shift = shift
        ordered = np.ascontiguousarray(z.transpose(0, 2, 3, 1) if self.last else z)
        # (p, K)
        self.rows = ordered.reshape(p, c * kh * kw)
        rows = self.rows
        if not self.last:
            rows = np.concatenate([rows, np.full((p, 1), shift, self.dtype)], axis=1)
        # (K, o), or (K + 1, o) with the shift
        self.blocks = [np.ascontiguousarray(rows[part].T) for part in filter_blocks(p)]

    def _columns(self, padded: NDArray[Any]) -> NDArray[Any]:
        """Return the patches (L, K), or (K + 1, L) with a spare row, channels first."""
        (kh, kw), (height, width), c = self.windows.kernel, self.out, self.shape[1]
        if kh == kw == 1 and self.last:
            return padded.reshape(-1, c)
        b = len(padded)
        s = padded.strides
        strides: Shape
        if self.last:
            shape: Shape = (b, height, width, kh, kw, c)
            strides = (s[0], s[1], s[2], s[1], s[2], s[3])
            flat: Shape = (b * height * width, kh * kw * c)
        else:
            shape = (c, kh, kw, b, height, width)
            strides = (s[1], s[2], s[3], s[0], s[2], s[3])
            flat = (c * kh * kw + 1, b * height * width)
        columns = parallel.scratch("products columns", flat, self.dtype)
        target = columns if self.last else columns[:-1]
        np.copyto(target.reshape(shape), np.lib.stride_tricks.as_strided(padded, shape, strides))
        return columns

    def prepare(self, padded: NDArray[Any], inverses: NDArray[Any]) -> NDArray[Any]:
        columns = self._columns(padded)
        if not self.last:
            # Fewer elements to scale than in the products, in long runs; the row of ones
            # adds the shift.
            columns[:-1] *= inverses.reshape(-1)
            columns[-1] = 1
        return columns

    def multiply(
        self, prepared: NDArray[Any], inverses: NDArray[Any], i: int, out: NDArray[Any]
    ) -> None:
        flat = out.reshape(-1, out.shape[3])
        product(prepared if self.last else prepared.T, self.blocks[i], flat)
        if self.last:
            _normalize(out, inverses, self.shift)

    def prepare_backward(self) -> None:
        pass

    def vjp(
        self,
        padded: NDArray[Any],
        ds: NDArray[Any],
        dsquares: NDArray[Any] | None,
        total: NDArray[Any] | None,
        out: NDArray[Any] | None,
    ) -> None:
        flat = ds.reshape(-1, self.shape[0])
        if total is not None:
            columns = self._columns(padded)
            shape = total.shape if self.last else total.T.shape
            part = parallel.scratch("products weights", shape, self.dtype)
            if self.last:
                total += product(flat.T, columns, part)
            else:
                total += product(columns[:-1], flat, part).T
        if out is not None and dsquares is not None:
            self._input_vjp(self._squares_vjp(padded, dsquares), flat, out)

    def _input_vjp(self, dx: NDArray[Any], flat: NDArray[Any], out: NDArray[Any]) -> None:
        """Write dx plus the gradient of images by products (L, p) to out (b, H, W, C)."""
        (kh, kw), (height, width), c, b = self.windows.kernel, self.out, self.shape[1], len(dx)
        if kh == kw == 1 and self.last and self.padded_size == tuple(self.size):
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
        np.copyto(out, self._inner(dx))

    def zero_gradient(self) -> NDArray[Any]:
        return np.zeros(self.rows.shape, self.dtype)

    def filters_gradient(self, total: NDArray[Any]) -> NDArray[Any]:
        p, c, kh, kw = self.shape
        if self.last:
            return total.reshape(p, kh, kw, c).transpose(0, 3, 1, 2)
        return total.reshape(p, c, kh, kw)


class _Winograd(_Geometry):
    """Winograd's filtering F(4x4, 3x3); see `winograd_filter`."""

    def __init__(
        self, z: NDArray[Any], shift: float, windows: Windows, size: Sequence[int]
    ) -> None:
        # 64 of Winograd's tiles, so that reading the filters from memory costs little
        # next to the products; more for few channels, which take less room in the cache.
        self.tile_bytes = max(64, 8192 // z.shape[1]) * 16 * len(z) * z.itemsize
        self.filter = Winograd.of(z, windows.output_size(size))
        super().__init__(z, windows, size, self.filter.padded_size, last=True)
        self.step = self.filter.m
        self.shift = shift
        # A short patch has the rounding error of much longer ones in its tile.
        self.bound = float(cosine_bound(z))

    def prepare(self, padded: NDArray[Any], inverses: NDArray[Any]) -> NDArray[Any]:
        return self.filter.transform_images(padded)

    def multiply(
        self, prepared: NDArray[Any], inverses: NDArray[Any], i: int, out: NDArray[Any]
    ) -> None:
        self.filter.apply_filters(prepared, i, out)
        _normalize(out, inverses, self.shift, self.bound)

    def prepare_backward(self) -> None:
        # Computed on first use, and cached.
        _ = self.filter.transposed_filters

    def vjp(
        self,
        padded: NDArray[Any],
        ds: NDArray[Any],
        dsquares: NDArray[Any] | None,
        total: FilterGradient | None,
        out: NDArray[Any] | None,
    ) -> None:
        transformed = self.filter.transform_gradient(ds) if total is None else total.add(padded, ds)
        if out is not None and dsquares is not None:
            dx = self._squares_vjp(padded, dsquares)
            self.filter.add_input_adjoint(transformed, dx)
            np.copyto(out, self._inner(dx))

    def zero_gradient(self) -> FilterGradient:
        return FilterGradient(self.filter)

    def filters_gradient(self, total: FilterGradient) -> NDArray[Any]:
        return self.filter.filters_gradient(total.value())


def _normalize(
    products: NDArray[Any], inverses: NDArray[Any], shift: float, bound: float | None = None
) -> None:
    """Turn products (b, Ho, Wo, o) into <z, x> / |x| + shift, in place.

    Cosines are clipped to the bound; derivatives ignore that.
    """
    products *= inverses[..., None]
    if bound is not None:
        np.clip(products, -bound, bound, out=products)
    if shift:
        products += shift
