"""The fused map of a CKN layer on the GPU: T P(|x| kappa(Z x / |x|)) and its gradient.

cuBLAS computes the products with the filters, the transform T and their adjoints;
`pool.cu` computes the pooling P and its adjoint. The rest is elementwise except for two
sums, and is in `ckn_map.cu`: norms of patches, |x| kappa, and its gradient, which
writes the gradient of the products over that of |x| kappa, so that a backward holds
just two maps. Saved from the forward are the products <z, x>, the norms and, with a
transform, y = P(|x| kappa).

N images of C channels and H x W pixels, Ho x Wo map, p filters, h x w pooled. The map
is composed of operations for a kappa without a function in `ckn_map.cu`, and for dtypes
other than float32 and float64.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.cuda.correlate import forward, input_adjoint, weight_adjoint
from tinygrad_ckn.cuda.launch import Source, batch_slices, block_count, supported
from tinygrad_ckn.ops.ckn_map import check_map, ckn_map, zero_norm_threshold
from tinygrad_ckn.ops.kappa import DeviceFunction, Kappa
from tinygrad_ckn.ops.pool import gaussian_pool2d, gaussian_unpool2d
from tinygrad_ckn.ops.pool_matrices import Subsampling, check_subsampling
from tinygrad_ckn.windows import Correlation, Padding, Windows

# Names of the kappas: the structs of the source.
KAPPAS = tuple(
    re.findall(r"^struct (\w+) \{", Path(__file__).with_suffix(".cu").read_text(), re.MULTILINE)
)
SOURCE = Source(
    "ckn_map",
    *(f"{kernel}<{{T}}>" for kernel in ("squares", "norms", "add_squares")),
    *(f"{kernel}<{{T}}, {kappa}<{{T}}>>" for kernel in ("map", "map_vjp") for kappa in KAPPAS),
)
# A block of threads: positions, and threads that share the filters of a position.
_POSITIONS, _SHARES = 32, 8


class Map:
    """The map of contiguous images, and the arrays saved for its gradient."""

    def __init__(
        self,
        xp: Namespace,
        x: Array,
        z: Array,
        device: DeviceFunction,
        transform: Array | None,
        windows: Windows,
        subsampling: tuple[float, float],
    ) -> None:
        self.xp = xp
        self.x = x
        self.z = z
        self.device = device
        self.transform = transform
        self.subsampling = subsampling
        n, c, height, width = x.shape
        self.shapes = Correlation(n, c, (height, width), len(z), 1, windows)
        self.size = self.shapes.out
        self.norms: Array = xp.empty((n, *self.size), dtype=x.dtype)
        self.inverses: Array = xp.empty((n, *self.size), dtype=x.dtype)
        # (N, p, Ho, Wo)
        self.products: Any = None
        # (N, p, h, w); set if there is a transform.
        self.y: Any = None

    def forward(self, save: bool) -> Array:
        """Return the map (N, p, h, w); save the arrays that the gradient needs."""
        self._compute_norms()
        self.products = forward(self.xp, self.x, self.z, self.shapes)
        y = self.xp.empty_like(self.products) if save else self.products
        self._launch_elementwise("map", y)
        if self.subsampling != (1, 1):
            y = gaussian_pool2d(y, self.subsampling)
        if self.transform is None:
            return y
        if save:
            self.y = y
        return self.xp.matmul(self.transform, y.reshape(*y.shape[:2], -1)).reshape(y.shape)

    def vjp(self, g: Array, needs_grad: Sequence[bool]) -> list[Array | None]:
        """Return the gradients of images, filters and transform, given that of the map."""
        n, p, height, width = g.shape
        flat = g.reshape(n, p, height * width)
        dx = dz = dtransform = None
        if needs_grad[2]:
            dtransform = self.xp.tensordot(flat, self.y.reshape(flat.shape), axes=((0, 2), (0, 2)))
        if needs_grad[0] or needs_grad[1]:
            products = self._unpooled(flat, g)
            dsquares = self.xp.empty_like(self.norms)
            self._launch_elementwise("map_vjp", products, dsquares)
            if needs_grad[1]:
                dz = weight_adjoint(self.xp, self.x, products, self.shapes)
            if needs_grad[0]:
                dx = input_adjoint(self.xp, products, self.z, self.shapes)
                self._add_squares(dsquares, dx)
        return [dx, dz, dtransform]

    def _unpooled(self, flat: Array, g: Array) -> Array:
        """Return the gradient of |x| kappa (N, p, Ho, Wo), in memory to be overwritten."""
        gradient = flat if self.transform is None else self.xp.matmul(self.transform.T, flat)
        gradient = gradient.reshape(g.shape)
        if self.subsampling != (1, 1):
            return gaussian_unpool2d(gradient, self.size, self.subsampling)
        return gradient.copy() if self.transform is None else gradient

    def _compute_norms(self) -> None:
        """Compute the norms of patches and their inverses."""
        height, width = self.shapes.size
        squares = self.xp.empty((self.shapes.n, height, width), dtype=self.x.dtype)
        threshold = zero_norm_threshold("float64", self.x.dtype)
        for part in self._batches():
            pixels = squares[part].size
            positions = self.norms[part].size
            self._launch(
                "squares<{T}>",
                pixels,
                self.x[part],
                squares[part],
                pixels,
                self.shapes.channels,
                height * width,
            )
            SOURCE.launch(
                self.xp,
                "norms<{T}>",
                block_count(positions),
                squares[part],
                self.norms[part],
                self.inverses[part],
                positions,
                threshold,
                *self._geometry(),
            )

    def _launch_elementwise(self, kernel: str, target: Array, *others: Array) -> None:
        """Launch `map` or `map_vjp` on the maps `target` and on other arrays (N, ...)."""
        arrays = (self.products, self.norms, self.inverses, target, *others)
        for part in self._batches():
            positions = self.norms[part].size
            self._launch(
                f"{kernel}<{{T}}, {self.device.name}<{{T}}>>",
                positions,
                *(array[part] for array in arrays),
                positions,
                len(self.z),
                self.size[0] * self.size[1],
                self.device.order,
                float(self.device.scale),
                float(self.device.shift),
            )

    def _add_squares(self, dsquares: Array, dx: Array) -> None:
        """Add to dx the gradient that arrives by the squared norms of patches."""
        for part in self._batches():
            pixels = len(self.x[part]) * self.shapes.size[0] * self.shapes.size[1]
            self._launch(
                "add_squares<{T}>",
                pixels,
                self.x[part],
                dsquares[part],
                dx[part],
                pixels,
                self.shapes.channels,
                *self._geometry(),
            )

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
        pixels = s.channels * s.size[0] * s.size[1]
        positions = s.filters * self.size[0] * self.size[1]
        return list(batch_slices("ckn_map", s.n, max(pixels, positions)))

    def _geometry(self) -> tuple[int, ...]:
        """Return kernel size, padding at top and left, image size, map size."""
        (top, _), (left, _) = self.shapes.windows.padding
        return (*self.shapes.windows.kernel, top, left, *self.shapes.size, *self.size)


@ckn_map.kernel("cuda")
def _ckn_map(
    xp: Namespace,
    x: Array,
    z: Array,
    kappa: Kappa,
    transform: Array | None = None,
    *,
    padding: Padding = "same",
    subsampling: Subsampling = 1,
    saving: bool = False,
) -> tuple[Array, Map | None]:
    windows = check_map(x, z, transform, padding, subsampling)
    device = kappa.device if isinstance(kappa, Kappa) else None
    if device is None or not len(x) or not supported(x, z, transform):
        reference: tuple[Array, None] = ckn_map.forward(
            xp, x, z, kappa, transform, padding=padding, subsampling=subsampling, saving=saving
        )
        return reference
    fused = Map(
        xp,
        xp.ascontiguousarray(x),
        xp.ascontiguousarray(z),
        device,
        transform,
        windows,
        check_subsampling("ckn_map", subsampling),
    )
    return fused.forward(saving), fused if saving else None
