"""The fused map of a CKN layer: T P(|x| kappa(Z x / |x|)), tile by tile in cache.

With cosines u = Z x / |x|, and v = scale u + shift, the variable of `ops.kappa.Kappa`,
the map is T y, y = P (|x| kappa(v)), with the pooling P and the transform T, if any.
Let g be the gradient of T y and G = P^T T^T g. Then

    d <scale z, x> = dv = G kappa'(v)     since dy/dv = |x| kappa'(v) and dv/d<scale z, x> = 1/|x|
    d |x| = sum over filters of G kappa(v) - (v - shift) dv,      d |x|^2 = d |x| / (2 |x|)
    d T = sum over positions of g y^T

A zero patch has y = 0 and no derivative; 0 is returned. The forward saves v, and y if it
is pooled. It does not save v if the patches are so small that computing v again is
faster than reading it. Pooling is one banded matrix per axis; the one along rows includes
the norms |x|, which therefore cost nothing.

b images of a tile, H x W image, C channels, Ho x Wo map, p filters, h x w pooled;
arrays are channels last. The results are views of such memory in the shapes of the API,
(N, p, h, w).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import Namespace
from tinygrad_ckn.cpu.ckn_map import single_patches
from tinygrad_ckn.cpu.ckn_map.patch_products import products_of
from tinygrad_ckn.cpu.ckn_map.pooling import Pooling
from tinygrad_ckn.cpu.ckn_map.single_patches import Tile
from tinygrad_ckn.cpu.correlate.recompute import all_finite
from tinygrad_ckn.cpu.gemm import product
from tinygrad_ckn.cpu.winograd_filter import filter_blocks
from tinygrad_ckn.ops.ckn_map import check_map, ckn_map
from tinygrad_ckn.ops.kappa import Kappa
from tinygrad_ckn.ops.pool_matrices import Subsampling, check_subsampling, gaussian_matrices
from tinygrad_ckn.parallel import tiles
from tinygrad_ckn.windows import Padding, Windows

# Up to this number of elements per patch, v is computed again in backward.
_MAX_RECOMPUTED = 32


class Map:
    """The map of images of one size, by tiles of images and blocks of filters."""

    def __init__(
        self,
        x: NDArray[Any],
        z: NDArray[Any],
        kappa: Kappa,
        transform: NDArray[Any] | None,
        windows: Windows,
        subsampling: tuple[float, float],
    ) -> None:
        self.kappa = kappa
        self.windows = windows
        # (N, H, W, C)
        self.x = x.transpose(0, 2, 3, 1)
        self.p = len(z)
        self.dtype = z.dtype
        self.transform = transform
        self.transposed: Any = None if transform is None else np.ascontiguousarray(transform.T)
        self.size = windows.output_size(self.x.shape[1:3])
        scaled = z * self.dtype.type(kappa.scale)
        # (p, K)
        self.rows = scaled.reshape(self.p, -1)
        self.products = products_of(scaled, kappa.shift, windows, self.x.shape[1:3])
        self.pooling: Pooling | None = None
        self.pooled_size = self.size
        if max(subsampling) > 1:
            matrices: Any = gaussian_matrices(np, self.size, subsampling, self.dtype)
            self.pooling = Pooling(*matrices)
            self.pooled_size = self.pooling.size
        # (N, Ho, Wo, o) for each block of filters, if saved.
        self.v: list[NDArray[Any]] | None = None
        # (N, h, w, p), if saved.
        self.y: NDArray[Any] | None = None
        pixels = self.size[0] * self.size[1]
        self.tiles = tiles(len(x), pixels * self.p * self.dtype.itemsize, self.products.tile_bytes)
        self.blocks = filter_blocks(self.p)

    def _scratch(
        self, name: str, b: int, size: tuple[int, ...], block: slice | None = None
    ) -> NDArray[Any]:
        o = self.p if block is None else block.stop - block.start
        return parallel.scratch(f"map {name}", (b, *size, o), self.dtype)

    def forward(self, save: bool) -> NDArray[Any]:
        """Return the map (N, p, h, w); save the arrays that the gradient needs."""
        shape = (len(self.x), *self.pooled_size, self.p)
        result = parallel.empty(shape, self.dtype)
        if save:
            if self.transform is not None and self.pooling is not None:
                self.y = parallel.empty(shape, self.dtype)
            if math.prod(self.windows.kernel) * self.x.shape[3] > _MAX_RECOMPUTED:
                n = (len(self.x), *self.size)
                self.v = [
                    parallel.empty((*n, block.stop - block.start), self.dtype)
                    for block in self.blocks
                ]
        parallel.for_each(lambda part: self._forward_tile(part, result[part]), self.tiles)
        return result.transpose(0, 3, 1, 2)

    def _forward_tile(self, part: slice, out: NDArray[Any]) -> None:
        """Write the map of a tile to out (b, h, w, p)."""
        tile = single_patches.measure_tile(self.x[part], self.products)
        prepared = self.products.prepare(tile.padded, tile.inverses)
        b = len(tile.norms)
        y = out
        if self.transposed is not None:
            y = self._scratch("y", b, self.pooled_size) if self.y is None else self.y[part]
        weights = [] if self.pooling is None else self.pooling.weights(tile.norms)
        for i, block in enumerate(self.blocks):
            values = self._scratch("values", b, self.size, block)
            v = values if self.v is None else self.v[i][part]
            self._write_v(tile, prepared, i, v)
            self.kappa.value(np, v, values)
            if self.pooling is None:
                np.multiply(values, tile.norms[..., None], out=y[..., block])
            else:
                self.pooling.pool(weights, values, y[..., block])
        if tile.nonfinite is not None:
            mask = tile.nonfinite
            y[mask if self.pooling is None else self.pooling.outputs_of(mask)] = np.nan
        if self.transposed is not None:
            product(y.reshape(-1, self.p), self.transposed, out.reshape(-1, self.p))

    def vjp(self, g: NDArray[Any], needs_grad: Sequence[bool]) -> list[NDArray[Any] | None]:
        """Return the gradients of images, filters and transform, given that of the map."""
        # (N, h, w, p)
        g = g.transpose(0, 2, 3, 1)
        dx = parallel.empty(self.x.shape, self.dtype) if needs_grad[0] else None

        def add_tile(part: slice, total: _Gradients) -> None:
            out = None if dx is None else dx[part]
            self._vjp_tile(part, np.ascontiguousarray(g[part]), total, needs_grad, out)

        def start() -> _Gradients:
            zero = np.zeros((self.p, self.p), self.dtype)
            return _Gradients(self.products.zero_gradient(), zero)

        def finish(total: _Gradients) -> _Gradients:
            filters = self.products.filters_gradient(total.filters)
            return _Gradients(
                filters if total.single is None else filters + total.single, total.transform
            )

        with parallel.one_blas_thread():
            if needs_grad[0]:
                self.products.prepare_backward()
            total = parallel.sum_of(add_tile, self.tiles, start, finish)
            dz = total.filters * self.dtype.type(self.kappa.scale) if needs_grad[1] else None
        return [
            None if dx is None else dx.transpose(0, 3, 1, 2),
            dz,
            total.transform if needs_grad[2] else None,
        ]

    def _vjp_tile(
        self,
        part: slice,
        g: NDArray[Any],
        total: _Gradients,
        needs_grad: Sequence[bool],
        dx: NDArray[Any] | None,
    ) -> None:
        """Add the gradients of a tile, given g (b, h, w, p), to total; write dx."""
        b = len(g)
        tile = single_patches.measure_tile(self.x[part], self.products)
        prepared: Any = None
        if self.v is None:
            prepared = self.products.prepare(tile.padded, tile.inverses)
        if needs_grad[2] and self.y is not None:
            total.add_transform(g.reshape(-1, self.p), self.y[part], slice(0, self.p))
        through = needs_grad[0] or needs_grad[1]
        ds: Any = self._scratch("ds", b, self.size) if through else None
        dnorms = np.zeros(tile.norms.shape, self.dtype) if needs_grad[0] else None
        for i, block in enumerate(self.blocks):
            values = self._scratch("values", b, self.size, block)
            v = self._scratch("v", b, self.size, block) if self.v is None else self.v[i][part]
            if self.v is None:
                self._write_v(tile, prepared, i, v)
            if through:
                slopes: Any = parallel.scratch("map slopes", v.shape, v.dtype)
                slopes = self.kappa.value_and_slope(np, v, values, slopes)
                dy = self._unpooled(g, block)
                self._kappa_vjp(dy, v, values, slopes, ds[..., block], dnorms)
            else:
                self.kappa.value(np, v, values)
            if needs_grad[2] and self.y is None:
                self._add_transform(tile, values, g, block, total)
        if through:
            self._products_vjp(tile, g, ds, dnorms, total, needs_grad, dx)

    def _add_transform(
        self, tile: Tile, values: NDArray[Any], g: NDArray[Any], block: slice, total: _Gradients
    ) -> None:
        """Add the gradient of the transform by a block of filters, without pooling."""
        y = self._scratch("y", len(g), self.size, block)
        np.multiply(values, tile.norms[..., None], out=y)
        if tile.nonfinite is not None:
            y[tile.nonfinite] = np.nan
        total.add_transform(g.reshape(-1, self.p), y, block)

    def _products_vjp(
        self,
        tile: Tile,
        g: NDArray[Any],
        ds: NDArray[Any],
        dnorms: NDArray[Any] | None,
        total: _Gradients,
        needs_grad: Sequence[bool],
        dx: NDArray[Any] | None,
    ) -> None:
        """Add the gradient through cosines and norms, given ds (b, Ho, Wo, p)."""
        apart = tile.norms == 0
        if apart.any():
            ds[apart] = 0
        single = self._find_single(tile, g, ds)
        slopes: Any = None
        if single is not None:
            slopes = np.where(single[..., None], ds, 0)
            ds[single] = 0
            apart |= single
        dsquares = None if dnorms is None else np.where(apart, 0, 0.5 * tile.inverses * dnorms)
        self.products.vjp(tile.padded, ds, dsquares, total.filters if needs_grad[1] else None, dx)
        if single is None:
            return
        if tile.original is None:
            tile.original = self.products.channels_first(tile.padded)
        with np.errstate(all="ignore"):
            filters = single_patches.vjp(
                tile, self.products, single, self.rows, slopes, dnorms, dx, needs_grad[1]
            )
        if filters is not None:
            total.single = filters if total.single is None else total.single + filters

    def _write_v(self, tile: Tile, prepared: NDArray[Any], i: int, v: NDArray[Any]) -> None:
        """Write scale u + shift for a block of filters to v (b, Ho, Wo, o)."""
        self.products.multiply(prepared, tile.inverses, i, v)
        if tile.single is not None:
            rows = self.rows[self.blocks[i]]
            single_patches.write_cosines(tile, self.products, rows, self.kappa.shift, v)

    def _find_single(self, tile: Tile, g: NDArray[Any], ds: NDArray[Any]) -> NDArray[Any] | None:
        """Return the mask of patches to go back through one by one (b, Ho, Wo), or None.

        Sets ds of patches that are not finite to NaN.
        """
        if tile.nonfinite is not None:
            ds[tile.nonfinite] = np.nan
        outlying = single_patches.outlying_gradients(g) if self.products.step else None
        if outlying is None and not all_finite(g):
            outlying = np.logical_not(np.isfinite(g).all(axis=3))
        if outlying is None:
            return tile.single
        if self.pooling is not None:
            outlying = self.pooling.positions_of(outlying)
        return outlying if tile.single is None else tile.single | outlying

    def _unpooled(self, g: NDArray[Any], block: slice) -> NDArray[Any]:
        """Return G (b, Ho, Wo, o) of a block of filters."""
        out = self._scratch("above", len(g), self.pooled_size, block)
        if self.transform is None:
            np.copyto(out, g[..., block])
        else:
            product(g.reshape(-1, self.p), self.transform[:, block], out.reshape(-1, out.shape[3]))
        if self.pooling is None:
            return out
        nonfinite = None if all_finite(out) else ~np.isfinite(out)
        if nonfinite is not None:
            out[nonfinite] = 0
        unpooled = self._scratch("unpooled", len(g), self.size, block)
        self.pooling.unpool(out, unpooled)
        if nonfinite is not None:
            unpooled[self.pooling.positions_of(nonfinite)] = np.nan
        return unpooled

    def _kappa_vjp(
        self,
        dy: NDArray[Any],
        v: NDArray[Any],
        values: NDArray[Any],
        slopes: NDArray[Any],
        dv: NDArray[Any],
        dnorms: NDArray[Any] | None,
    ) -> None:
        """Write G kappa'(v) to dv, given G as dy; add the terms of d |x| to dnorms."""
        np.multiply(dy, slopes, out=dv)
        if dnorms is not None:
            part = np.vecdot(dy, values)
            dnorms += part
            dnorms -= np.vecdot(v, dv)
            if self.kappa.shift:
                dnorms += self.kappa.shift * (part if slopes is values else dv.sum(axis=3))


@dataclass(slots=True)
class _Gradients:
    """Gradients of the filters and the transform, summed over tiles."""

    # In the form of `PatchProducts.zero_gradient`, or (p, C, kh, kw) when finished.
    filters: Any
    transform: NDArray[Any]
    # Gradient of the filters through single patches.
    single: NDArray[Any] | None = None

    def add_transform(self, g: NDArray[Any], y: NDArray[Any], block: slice) -> None:
        """Add g^T y, for g (L, p) and y (b, h, w, o) of a block of filters."""
        y = y.reshape(len(g), -1)
        part = parallel.scratch("map transform", (g.shape[1], y.shape[1]), g.dtype)
        self.transform[:, block] += product(g.T, y, part)

    def __iadd__(self, other: _Gradients) -> _Gradients:
        # Both are finished, so `single` is part of `filters`.
        self.filters += other.filters
        self.transform += other.transform
        return self


@ckn_map.kernel("cpu")
def _ckn_map(
    xp: Namespace,
    x: NDArray[Any],
    z: NDArray[Any],
    kappa: Kappa,
    transform: NDArray[Any] | None = None,
    *,
    padding: Padding = "same",
    subsampling: Subsampling = 1,
    saving: bool = False,
) -> tuple[NDArray[Any], Map | None]:
    windows = check_map(x, z, transform, padding, subsampling)
    dtypes = {array.dtype for array in (x, z, transform) if array is not None}
    if len(dtypes) > 1 or not len(x) or not isinstance(kappa, Kappa):
        reference: tuple[NDArray[Any], None] = ckn_map.forward(
            xp, x, z, kappa, transform, padding=padding, subsampling=subsampling, saving=saving
        )
        return reference
    with parallel.one_blas_thread():
        fused = Map(x, z, kappa, transform, windows, check_subsampling("ckn_map", subsampling))
        return fused.forward(saving), fused if saving else None
