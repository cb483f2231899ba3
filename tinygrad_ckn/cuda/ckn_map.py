"""The fused map of a CKN layer on the GPU: T P(|x| kappa(Z x / |x|)), forward and gradient.

Products with the filters, the transform T and their adjoints are cuBLAS's; pooling P
and its adjoint are `pool.cu`. What is left is elementwise but for two sums, and is
`ckn_map.cu`: norms of patches, |x| kappa, and the way back, which writes the gradient
of the products over that of |x| kappa, so that a backward holds two maps and no more.
Of a forward the products <z, x> are kept, with the norms, and y = P(|x| kappa) where
there is a transform.

N images of C channels and H x W, Ho x Wo map, p filters, h x w pooled. A kappa that has
no function in `ckn_map.cu` is left to the composition of operations, and so are dtypes
other than float32 and float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_ckn.backend import Namespace
from tinygrad_ckn.cuda.correlate import forward, input_adjoint, weight_adjoint
from tinygrad_ckn.cuda.launch import Source, batch_slices, block_count, supported
from tinygrad_ckn.ops.ckn_map import check_map, ckn_map, least_summed
from tinygrad_ckn.ops.kappa import DeviceFunction, Kappa
from tinygrad_ckn.ops.pool import gaussian_pool2d, gaussian_unpool2d
from tinygrad_ckn.ops.pool_matrices import Subsampling, check_subsampling
from tinygrad_ckn.windows import Correlation, Padding, Windows

KAPPAS = ("Exponential", "Polynomial", "InversePolynomial", "Arccos0", "Arccos1", "Matern")
SOURCE = Source(
    "ckn_map",
    *(f"{kernel}<{{T}}>" for kernel in ("squares", "norms", "add_squares")),
    *(f"{kernel}<{{T}}, {kappa}<{{T}}>>" for kernel in ("map", "pull") for kappa in KAPPAS),
)
# threads of a block
_POSITIONS, _SHARES = 32, 8


class Map:
    """The map of given contiguous images, and what its gradient needs of it."""

    def __init__(
        self,
        xp: Namespace,
        x: Any,
        z: Any,
        kappa: Kappa,
        transform: Any,
        windows: Windows,
        subsampling: tuple[float, float],
    ) -> None:
        self.xp, self.x, self.z, self.transform = xp, x, z, transform
        self.device = kappa.device or DeviceFunction("")
        self.subsampling = subsampling
        n, c, height, width = x.shape
        self.shapes = Correlation(n, c, (height, width), len(z), 1, windows)
        self.size = self.shapes.out
        self.norms, self.inverses = (xp.empty((n, *self.size), dtype=x.dtype) for _ in range(2))
        # (N, p, Ho, Wo)
        self.products: Any = None
        # (N, p, h, w), where there is a transform
        self.y: Any = None

    def _launch(self, kernel: str, positions: int, *arguments: Any) -> None:
        SOURCE.launch(
            self.xp,
            kernel,
            block_count(positions, _POSITIONS),
            *arguments,
            threads=(_POSITIONS, _SHARES),
        )

    def _batches(self) -> list[slice]:
        s = self.shapes
        area, length = s.size[0] * s.size[1], self.size[0] * self.size[1]
        return list(batch_slices("ckn_map", s.n, max(s.channels * area, s.filters * length)))

    def _patches(self) -> tuple[int, ...]:
        """Return what kernels take of where patches lie: kernel, padding before, image, map."""
        (top, _), (left, _) = self.shapes.windows.padding
        return (*self.shapes.windows.kernel, top, left, *self.shapes.size, *self.size)

    def _measure(self) -> None:
        """Fill in the norms of patches, and their inverses."""
        n, channels, (height, width) = self.shapes.n, self.shapes.channels, self.shapes.size
        squares = self.xp.empty((n, height, width), dtype=self.x.dtype)
        for part in self._batches():
            pixels, positions = squares[part].size, self.norms[part].size
            self._launch(
                "squares<{T}>",
                pixels,
                self.x[part],
                squares[part],
                pixels,
                channels,
                height * width,
            )
            arguments = self.norms[part], self.inverses[part], positions, least_summed(self.x.dtype)
            SOURCE.launch(
                self.xp,
                "norms<{T}>",
                block_count(positions),
                squares[part],
                *arguments,
                *self._patches(),
            )

    def _elementwise(self, kernel: str, target: Any, *more: Any) -> None:
        """Launch `map` or `pull` on the maps `target`, and on arrays (N, ...) beside it."""
        for part in self._batches():
            positions = self.norms[part].size
            self._launch(
                f"{kernel}<{{T}}, {self.device.name}<{{T}}>>",
                positions,
                *(
                    array[part]
                    for array in (self.products, self.norms, self.inverses, target, *more)
                ),
                *(positions, len(self.z), self.size[0] * self.size[1], *self.device[1:]),
            )

    def forward(self, keep: bool) -> Any:
        """Return the map (N, p, h, w); keep what the gradient needs."""
        self._measure()
        self.products = forward(self.xp, self.x, self.z, self.shapes)
        y = self.xp.empty_like(self.products) if keep else self.products
        self._elementwise("map", y)
        if self.subsampling != (1, 1):
            y = gaussian_pool2d(y, self.subsampling)
        if self.transform is None:
            return y
        if keep:
            self.y = y
        return self.xp.matmul(self.transform, y.reshape(*y.shape[:2], -1)).reshape(y.shape)

    def pull(self, g: Any, wanted: Sequence[bool]) -> list[Any]:
        """Return the gradients of images, filters and transform, given that of the map."""
        n, p, height, width = g.shape
        flat = g.reshape(n, p, height * width)
        dx = dz = dtransform = None
        if wanted[2]:
            dtransform = self.xp.tensordot(flat, self.y.reshape(flat.shape), axes=((0, 2), (0, 2)))
        if not (wanted[0] or wanted[1]):
            return [dx, dz, dtransform]
        above = flat if self.transform is None else self.xp.matmul(self.transform.T, flat)
        above = above.reshape(g.shape)
        if self.subsampling != (1, 1):
            above = gaussian_unpool2d(above, self.size, self.subsampling)
        elif self.transform is None:
            # it is written over
            above = above.copy()
        dsquares = self.xp.empty_like(self.norms)
        self._elementwise("pull", above, dsquares)
        if wanted[1]:
            dz = weight_adjoint(self.xp, self.x, above, self.shapes)
        if wanted[0]:
            dx = input_adjoint(self.xp, above, self.z, self.shapes)
            for part in self._batches():
                pixels = len(self.x[part]) * self.shapes.size[0] * self.shapes.size[1]
                arrays = self.x[part], dsquares[part], dx[part]
                self._launch(
                    "add_squares<{T}>",
                    pixels,
                    *arrays,
                    pixels,
                    self.shapes.channels,
                    *self._patches(),
                )
        return [dx, dz, dtransform]


@ckn_map.kernel("cuda")
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
    if (
        not len(x)
        or not isinstance(kappa, Kappa)
        or kappa.device is None
        or not supported(x, z, transform)
    ):
        plain: tuple[Any, Any] = ckn_map.forward(
            xp, x, z, kappa, transform, padding=padding, subsampling=subsampling, saving=saving
        )
        return plain
    fused = Map(
        xp,
        xp.ascontiguousarray(x),
        xp.ascontiguousarray(z),
        kappa,
        transform,
        windows,
        check_subsampling("ckn_map", subsampling),
    )
    return fused.forward(saving), fused if saving else None
