"""The fused map of a CKN layer: T P(|x| kappa(Z x / |x|)), forward and gradient tile by tile, in cache.

With cosines u = Z x / |x|, and v = scale u + shift, the variable in which
`ops.kappa.Kappa` gives kappa, the map is T y, y = P (|x| kappa(v)), P the pooling, T
the transform (if any). Let g be the gradient of T y and G = P^T T^T g:

    d <scale z, x> = dv = G kappa'(v)     for dy/dv = |x| kappa'(v) and dv/d<scale z, x> = 1 / |x|
    d |x| = sum over filters of G kappa(v) - (v - shift) dv,      d |x|^2 = d |x| / (2 |x|)
    d T = sum over positions of g y^T

A zero patch has y = 0 and no derivative, for which 0 is taken. Of the forward, v is
kept, and y where it was pooled; but v is not where the patches are so small that
computing it again is faster than memory. Pooling is one banded matrix per axis; the one
along rows takes in the norms |x|, so that these cost nothing.

b images of a tile, H x W image, C channels, Ho x Wo map, p filters, h x w pooled;
arrays are channels last, and the results have the API's shapes (N, p, h, w) on that
memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU, Namespace
from tinygrad_ckn.cpu.ckn_map import single_patches
from tinygrad_ckn.cpu.ckn_map.banded import bands, from_left
from tinygrad_ckn.cpu.ckn_map.patch_products import products_of
from tinygrad_ckn.cpu.correlate.recompute import all_finite
from tinygrad_ckn.cpu.gemm import product
from tinygrad_ckn.cpu.winograd_filter import filter_blocks
from tinygrad_ckn.ops.ckn_map import check_map, ckn_map
from tinygrad_ckn.ops.kappa import Kappa
from tinygrad_ckn.ops.pool_matrices import Subsampling, check_subsampling, gaussian_matrices
from tinygrad_ckn.parallel import tiles
from tinygrad_ckn.windows import Padding, Windows

xp = CPU.xp

_AGAIN = (
    # elements of a patch up to which its products are computed again in backward, and not kept
    32
)


class Map:
    """The map with given filters and transform, on images of one size: by tiles of images and blocks of filters."""

    def __init__(
        self,
        x: Any,
        z: Any,
        kappa: Kappa,
        transform: Any,
        windows: Windows,
        subsampling: tuple[float, float],
    ) -> None:
        self.kappa = kappa
        self.windows = windows
        # (N, H, W, C)
        self.x = x.transpose(0, 2, 3, 1)
        self.p, self.dtype = len(z), z.dtype
        self.transform = transform
        self.size = windows.output_size(self.x.shape[1:3])
        scaled = z * self.dtype.type(kappa.scale)
        # (p, K)
        self.rows = scaled.reshape(self.p, -1)
        self.products = products_of(scaled, kappa.shift, windows, self.x.shape[1:3])
        self.pooling: _Pooling | None = None
        self.pooled = self.size
        if max(subsampling) > 1:
            self.pooling = _Pooling(*gaussian_matrices(xp, self.size, subsampling, self.dtype))
            self.pooled = self.pooling.size
        # for each block (N, Ho, Wo, o), where they are kept
        self.v: Any = None
        # (N, h, w, p), where it is kept
        self.y: Any = None
        pixels = self.size[0] * self.size[1]
        self.tiles = tiles(len(x), pixels * self.p * self.dtype.itemsize, self.products.tile_bytes)
        self.blocks = filter_blocks(self.p)

    def _scratch(self, name: str, b: int, size: tuple[int, ...], block: slice | None = None) -> Any:
        o = self.p if block is None else block.stop - block.start
        return parallel.scratch(f"map {name}", (b, *size, o), self.dtype)

    def forward(self, keep: bool) -> Any:
        """Return the map (N, p, h, w); keep what the gradient needs."""
        shape = (len(self.x), *self.pooled, self.p)
        result = parallel.empty(shape, self.dtype)
        if keep:
            if self.transform is not None and self.pooling is not None:
                self.y = parallel.empty(shape, self.dtype)
            if math.prod(self.windows.kernel) * self.x.shape[3] > _AGAIN:
                n = (len(self.x), *self.size)
                self.v = [
                    parallel.empty((*n, block.stop - block.start), self.dtype)
                    for block in self.blocks
                ]
        turned = None if self.transform is None else xp.ascontiguousarray(self.transform.T)

        def tile(part: slice) -> None:
            found = single_patches.measured(self.x[part], self.products)
            norms, inverses = found.norms, found.inverses
            prepared = self.products.prepared(found.padded, inverses)
            b = len(norms)
            if turned is None:
                y = result[part]
            else:
                y = self._scratch("y", b, self.pooled) if self.y is None else self.y[part]
            weights = [] if self.pooling is None else self.pooling.weighted(norms)
            for i, block in enumerate(self.blocks):
                values = self._scratch("values", b, self.size, block)
                v = values if self.v is None else self.v[i][part]
                self._products(found, prepared, i, v)
                self.kappa.value(xp, v, values)
                if self.pooling is None:
                    xp.multiply(values, norms[..., None], out=y[..., block])
                else:
                    self.pooling.pool(weights, values, y[..., block])
            if found.lost is not None:
                y[found.lost if self.pooling is None else self.pooling.seen(found.lost)] = xp.nan
            if turned is not None:
                product(y.reshape(-1, self.p), turned, result[part].reshape(-1, self.p))

        parallel.for_each(tile, self.tiles)
        return result.transpose(0, 3, 1, 2)

    def pull(self, g: Any, wanted: Sequence[bool]) -> list[Any]:
        """Return the gradients of images, filters and transform, given that of the map."""
        # (N, h, w, p)
        g = g.transpose(0, 2, 3, 1)
        dx = parallel.empty(self.x.shape, self.dtype) if wanted[0] else None

        def tile(part: slice, total: _Total) -> None:
            self._pull(
                part, xp.ascontiguousarray(g[part]), total, wanted, None if dx is None else dx[part]
            )

        def start() -> _Total:
            return _Total(self.products.total(), xp.zeros((self.p, self.p), self.dtype))

        def finish(total: _Total) -> _Total:
            filters = self.products.weights(total.filters)
            return _Total(
                filters if total.singly is None else filters + total.singly, total.transform
            )

        with parallel.one_blas_thread():
            if wanted[0]:
                self.products.before_pull()
            total = parallel.sum_of(tile, self.tiles, start, finish)
            dz = total.filters * self.dtype.type(self.kappa.scale) if wanted[1] else None
        return [
            None if dx is None else dx.transpose(0, 3, 1, 2),
            dz,
            total.transform if wanted[2] else None,
        ]

    def _pull(self, part: slice, g: Any, total: _Total, wanted: Sequence[bool], dx: Any) -> None:
        """Go back through a tile from g (b, h, w, p): add to the totals, write dx (b, H, W, C)."""
        b, flat, through = len(g), g.reshape(-1, self.p), wanted[0] or wanted[1]
        found = single_patches.measured(self.x[part], self.products)
        norms, inverses = found.norms, found.inverses
        prepared: Any = self.products.prepared(found.padded, inverses) if self.v is None else None
        if wanted[2] and self.y is not None:
            total.add_transform(flat, self.y[part], slice(0, self.p))
        ds: Any = self._scratch("ds", b, self.size) if through else None
        dnorms: Any = xp.zeros(norms.shape, self.dtype) if wanted[0] else None
        for i, block in enumerate(self.blocks):
            values = self._scratch("values", b, self.size, block)
            if self.v is None:
                v = self._scratch("v", b, self.size, block)
                self._products(found, prepared, i, v)
            else:
                v = self.v[i][part]
            slopes = None
            if through:
                slopes = self.kappa.value_and_slope(
                    xp, v, values, parallel.scratch("map slopes", v.shape, v.dtype)
                )
            else:
                self.kappa.value(xp, v, values)
            if wanted[2] and self.y is None:
                y = xp.multiply(
                    values, norms[..., None], out=self._scratch("y", b, self.size, block)
                )
                if found.lost is not None:
                    y[found.lost] = xp.nan
                total.add_transform(flat, y, block)
            if through:
                above = self._above(g, block)
                self._pull_kappa(above, v, values, slopes, ds[..., block], dnorms)
        if not through:
            return
        zero = norms == 0
        if zero.any():
            ds[zero] = 0
        self._pull_products(found, self._single(found, g, ds), ds, dnorms, total, wanted[1], dx)

    def _pull_products(
        self,
        found: single_patches.Measured,
        single: Any,
        ds: Any,
        dnorms: Any,
        total: _Total,
        filters: bool,
        dx: Any,
    ) -> None:
        """Go back through cosines and norms, patches `single` (b, Ho, Wo) one by one."""
        apart = found.norms == 0
        slopes = None
        if single is not None:
            slopes = xp.where(single[..., None], ds, 0)
            ds[single] = 0
            apart |= single
        dsquares = None if dnorms is None else xp.where(apart, 0, 0.5 * found.inverses * dnorms)
        self.products.pull(found.padded, ds, dsquares, total.filters if filters else None, dx)
        if single is None:
            return
        if found.whole is None:
            found.whole = self.products.first(found.padded)
        with xp.errstate(all="ignore"):
            more = single_patches.pull(
                found, self.products, single, self.rows, slopes, dnorms, dx, filters
            )
        if more is not None:
            total.singly = more if total.singly is None else total.singly + more

    def _products(self, found: single_patches.Measured, prepared: Any, i: int, v: Any) -> None:
        """Write the cosines with a block of filters, scaled and shifted, to v (b, Ho, Wo, o)."""
        self.products.products(prepared, found.inverses, i, v)
        if found.singly is not None:
            single_patches.put_cosines(
                found, self.products, self.rows[self.blocks[i]], self.kappa.shift, v
            )

    def _single(self, found: single_patches.Measured, g: Any, ds: Any) -> Any:
        """Return which patches are pulled singly (b, Ho, Wo), or None; ds of those that are not finite becomes NaN."""
        single = found.singly
        if found.lost is not None:
            ds[found.lost] = xp.nan
        hot = single_patches.hot(g) if self.products.step else None
        if hot is None and not all_finite(g):
            hot = ~xp.isfinite(g).all(axis=3)
        if hot is not None:
            hot = hot if self.pooling is None else self.pooling.reached(hot)
            single = hot if single is None else single | hot
        return single

    def _above(self, g: Any, block: slice) -> Any:
        """Return G (b, Ho, Wo, o) of a block of filters."""
        above = self._scratch("above", len(g), self.pooled, block)
        if self.transform is None:
            xp.copyto(above, g[..., block])
        else:
            product(
                g.reshape(-1, self.p), self.transform[:, block], above.reshape(-1, above.shape[3])
            )
        if self.pooling is None:
            return above
        wrong = None if all_finite(above) else ~xp.isfinite(above)
        if wrong is not None:
            above[wrong] = 0
        out = self.pooling.unpool(above, self._scratch("unpooled", len(g), self.size, block))
        if wrong is not None:
            out[self.pooling.reached(wrong)] = xp.nan
        return out

    def _pull_kappa(
        self, above: Any, v: Any, values: Any, slopes: Any, dv: Any, dnorms: Any
    ) -> None:
        """Write G kappa'(v) to dv, add what d |x| has of these filters to dnorms, if that is wanted."""
        xp.multiply(above, slopes, out=dv)
        if dnorms is not None:
            part = xp.vecdot(above, values)
            dnorms += part
            dnorms -= xp.vecdot(v, dv)
            if self.kappa.shift:
                dnorms += self.kappa.shift * (part if slopes is values else dv.sum(axis=3))


@dataclass(slots=True)
class _Total:
    """Gradients summed over tiles: of the filters, in the way's own form, and of the transform."""

    filters: Any
    transform: Any
    # gradient of the filters by patches taken singly
    singly: Any = None

    def add_transform(self, g: Any, y: Any, block: slice) -> None:
        """Add g^T y, of g (L, p) and y (b, h, w, o) of a block of filters."""
        y = y.reshape(len(g), -1)
        part = parallel.scratch("map transform", (g.shape[1], y.shape[1]), g.dtype)
        self.transform[:, block] += product(g.T, y, part)

    def __iadd__(self, other: _Total) -> _Total:
        # `finish` has seen both
        self.filters += other.filters
        self.transform += other.transform
        return self


class _Pooling:
    """Pooling R x C^T with R (h, Ho), C (w, Wo), and its adjoint."""

    def __init__(self, rows: Any, columns: Any) -> None:
        self.size = len(rows), len(columns)
        self.whole = rows, columns
        self.rows, self.columns = bands(rows), bands(columns)
        self.rows_adjoint, self.columns_adjoint = bands(rows.T), bands(columns.T)

    def seen(self, places: Any) -> Any:
        """Return which outputs (b, h, w) see some of the positions (b, Ho, Wo), bool."""
        rows, columns = self.whole
        return rows @ (places.astype(rows.dtype) @ columns.T) > 0

    def reached(self, places: Any) -> Any:
        """Return which positions (b, Ho, Wo, ...) are seen by some of the outputs (b, h, w, ...), bool."""
        rows, columns = self.whole
        return xp.einsum("hi,bhw...,wj->bij...", rows, places.astype(rows.dtype), columns) > 0

    def _half(self, x: Any) -> Any:
        return parallel.scratch("map half", (*x.shape[:2], self.size[1], x.shape[3]), x.dtype)

    def weighted(self, norms: Any) -> list[Any]:
        """Return C |x| for each row, in scratch; norms (b, Ho, Wo)."""
        found = []
        for i, (_, columns, block) in enumerate(self.columns):
            scaled = parallel.scratch(
                f"map columns {i}", (*norms.shape[:2], *block.shape), block.dtype
            )
            found.append(xp.multiply(block, norms[:, :, None, columns], out=scaled))
        return found

    def pool(self, weights: Sequence[Any], values: Any, out: Any) -> None:
        """Write R (|x| values) C^T to out (b, h, w, o), given `weighted` norms and values (b, Ho, Wo, o)."""
        b, height, _, o = values.shape
        half = self._half(values)
        for (rows, columns, _), scaled in zip(self.columns, weights, strict=True):
            product(scaled, values[:, :, columns], half[:, :, rows])
        pooled = parallel.scratch("map pooled", (b, *self.size, o), values.dtype)
        from_left(self.rows, half.reshape(b, height, -1), pooled.reshape(b, self.size[0], -1))
        xp.copyto(out, pooled)

    def unpool(self, g: Any, out: Any) -> Any:
        """Write R^T g C to out (b, Ho, Wo, o), and return it; g (b, h, w, o)."""
        b, height = out.shape[:2]
        half = self._half(out)
        from_left(self.rows_adjoint, g.reshape(b, self.size[0], -1), half.reshape(b, height, -1))
        return from_left(self.columns_adjoint, half, out)


@ckn_map.kernel("cpu")
def _ckn_map(
    xp: Namespace,
    x: Any,
    z: Any,
    kappa: Kappa,
    transform: Any = None,
    *,
    padding: Padding = "same",
    subsampling: Subsampling = 1,
    saving: bool = False,
) -> tuple[Any, Any]:
    windows = check_map(x, z, transform, padding, subsampling)
    dtypes = {array.dtype for array in (x, z, transform) if array is not None}
    if len(dtypes) > 1 or not len(x) or not isinstance(kappa, Kappa):
        plain: tuple[Any, Any] = ckn_map.forward(
            xp, x, z, kappa, transform, padding=padding, subsampling=subsampling, saving=saving
        )
        return plain
    with parallel.one_blas_thread():
        fused = Map(x, z, kappa, transform, windows, check_subsampling("ckn_map", subsampling))
        return fused.forward(saving), fused if saving else None
