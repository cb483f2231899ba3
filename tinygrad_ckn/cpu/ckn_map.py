"""The fused map of a CKN layer: pooled |x| kappa(Z x / |x|), forward and gradient tile by tile, in cache.

With u = Z x / |x|, y = P (|x| kappa(u)), P the pooling, g the gradient of y and G = P^T g:

    d <z, x> = G kappa'(u)          for dy/du = |x| kappa'(u) and du/d<z, x> = 1 / |x|
    d |x|    = sum_p G (kappa(u) - u kappa'(u)),    d |x|^2 = d |x| / (2 |x|)

A zero patch has y = 0 and no derivative, for which 0 is taken. Only the cosines u are kept from the forward, and
not even they where the filters are so small that computing them again is faster than memory. Pooling is one banded
matrix per axis; the one along rows takes in the norms |x|, so that these cost nothing.

b images of a tile, H x W image, C channels, Ho x Wo map, p filters, h x w pooled; arrays are channels last, and the
results have the API's shapes (N, p, h, w) on that memory.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU, Namespace
from tinygrad_ckn.cpu.products import Products, products_of
from tinygrad_ckn.ops._windows import Padding, Windows, images
from tinygrad_ckn.ops.ckn_map import check_map, ckn_map
from tinygrad_ckn.ops.kappa import Kappa
from tinygrad_ckn.ops.pool import gaussian_matrices

xp = CPU.xp

_AGAIN = 32  # elements of a patch up to which its cosines are computed again in backward, and not kept
_TILE_BYTES = 2**19  # of a tile's map: half a core's cache, for there are two arrays of this size


class Map:
    """The map with given filters, on images of one size."""

    def __init__(self, x: Any, z: Any, kappa: Kappa, windows: Windows, subsampling: float) -> None:
        self.kappa = kappa
        self.windows = windows
        self.x = x.transpose(0, 2, 3, 1)  # (N, H, W, C)
        self.p, self.dtype = len(z), z.dtype
        self.size = windows.output_size(self.x.shape[1:3])
        self.products: Products = products_of(z, windows, self.x.shape[1:3])
        self.pooling = gaussian_matrices(xp, self.size, subsampling, self.dtype) if subsampling > 1 else None
        self.cosines: Any = None  # (N, Ho, Wo, p), where they are kept
        pixels = self.size[0] * self.size[1]
        self.tiles = parallel.tiles(len(x), pixels * self.p * self.dtype.itemsize, _TILE_BYTES)

    def _scratch(self, name: str, b: int) -> Any:
        return parallel.scratch(f"map {name}", (b, *self.size, self.p), self.dtype)

    def forward(self, keep: bool) -> Any:
        """Return the pooled map (N, p, h, w); keep what the gradient needs."""
        pooled = self.size if self.pooling is None else tuple(len(matrix) for matrix in self.pooling)
        y = parallel.empty((len(self.x), *pooled, self.p), self.dtype)
        if keep and self.windows.kernel[0] * self.windows.kernel[1] * self.x.shape[3] > _AGAIN:
            self.cosines = parallel.empty((len(self.x), *self.size, self.p), self.dtype)

        def tile(part: slice) -> None:
            padded = self.products.padded(self.x[part])
            norms, inverses = _lengths(self.products.squares(padded))
            b = len(padded)
            values = self._scratch("values", b)
            u = values if self.cosines is None else self.cosines[part]
            self.products.products(padded, inverses, u)
            if self.pooling is None:
                values = y[part]
            self.kappa.value(xp, u, values)
            if self.pooling is None:
                values *= norms[..., None]
            else:
                _pool(self.pooling, norms, values, y[part])

        parallel.for_each(tile, self.tiles)
        return y.transpose(0, 3, 1, 2)

    def pull(self, g: Any, wanted: tuple[bool, ...]) -> list[Any]:
        """Return the gradients of images and filters, given that of the map."""
        g = g.transpose(0, 2, 3, 1)  # (N, h, w, p)
        dx = parallel.empty(self.x.shape, self.dtype) if wanted[0] else None
        products = self.products

        def tile(part: slice, total: Any) -> None:
            padded = products.padded(self.x[part])
            norms, inverses = _lengths(products.squares(padded))
            b = len(padded)
            values, slopes, from_above = (self._scratch(name, b) for name in ("values", "slopes", "from above"))
            if self.cosines is None:
                u = self._scratch("cosines", b)
                products.products(padded, inverses, u)
            else:
                u = self.cosines[part]
            if self.pooling is None:
                xp.copyto(from_above, g[part])
            else:
                _unpool(self.pooling, g[part], from_above)
            self.kappa.value(xp, u, values)
            self.kappa.slope(xp, u, values, slopes)
            slopes *= from_above
            if not norms.all():
                slopes[norms == 0] = 0
            dsquares = None
            if dx is not None:
                dsquares = xp.vecdot(from_above, values) - xp.vecdot(u, slopes)
                dsquares *= 0.5 * inverses * (norms > 0)
            found = products.pull(padded, slopes, dsquares, total if wanted[1] else None)
            if dx is not None:
                dx[part] = found

        total = parallel.sum_of(tile, self.tiles, products.total)
        return [
            None if dx is None else dx.transpose(0, 3, 1, 2),
            products.weights(total) if wanted[1] else None,
        ]


def _lengths(squares: Any) -> tuple[Any, Any]:
    """Return norms and their inverses, of squared norms; at 0 they are 0 and 1."""
    norms = xp.sqrt(squares)
    return norms, 1 / xp.where(norms > 0, norms, 1)


def _pool(matrices: tuple[Any, Any], norms: Any, values: Any, out: Any) -> None:
    """Write R (|x| values) C^T to out (b, h, w, p); R (h, Ho), C (w, Wo)."""
    rows, columns = matrices
    b, height, _, p = values.shape
    half = parallel.scratch("map half", (b, height, len(columns), p), values.dtype)
    xp.matmul(columns * norms[:, :, None, :], values, out=half)  # (b, Ho, w, Wo) (b, Ho, Wo, p)
    xp.matmul(rows, half.reshape(b, height, -1), out=out.reshape(b, len(rows), -1))


def _unpool(matrices: tuple[Any, Any], g: Any, out: Any) -> None:
    """Write R^T g C to out (b, Ho, Wo, p)."""
    rows, columns = matrices
    b, height, _, p = out.shape
    half = parallel.scratch("map half", (b, height, len(columns), p), out.dtype)
    flat = xp.ascontiguousarray(g).reshape(b, len(rows), -1)
    xp.matmul(rows.T, flat, out=half.reshape(b, height, -1))
    xp.matmul(columns.T, half, out=out)


@ckn_map.kernel("cpu")
def _ckn_map(
    xp: Namespace,
    x: Any,
    z: Any,
    kappa: Kappa,
    *,
    padding: Padding = "same",
    subsampling: float = 1,
    saving: bool = False,
) -> tuple[Any, Any]:
    windows = check_map(x, z, padding, subsampling)
    if x.dtype != z.dtype or not len(images("ckn_map", "x", x)):
        return ckn_map.forward(xp, x, z, kappa, padding=padding, subsampling=subsampling, saving=saving)
    fused = Map(x, z, kappa, windows, float(subsampling))
    return fused.forward(saving), fused if saving else None
