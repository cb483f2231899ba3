"""correlate2d and its adjoints on the GPU.

N batch, C input channels, O output channels, G groups, kh x kw kernel, Ho x Wo output,
K = C/G*kh*kw, L = Ho*Wo. In general these are products of unfolded patches by cuBLAS,
in blocks of images that share one buffer. If each filter sees a single channel, a
product would be one row at a time; `correlate.cu` reads the image once instead, through
shared memory. The gradient of the images is such a correlation too, with flipped
filters, if the stride is 1 and each channel has one filter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.cuda.direct import correlate_to, tiles_of
from tinygrad_ckn.cuda.launch import supported
from tinygrad_ckn.cuda.window import fold_to, unfold_to
from tinygrad_ckn.ops.correlate import (
    as_batch,
    check_algorithm,
    check_forward,
    check_input_adjoint,
    check_weight_adjoint,
    correlate2d,
    correlate2d_input,
    correlate2d_weight,
)
from tinygrad_ckn.windows import Correlation, Pair

if TYPE_CHECKING:
    import numpy as np

# bytes of unfolded patches held at a time, or a single image's
_BUFFER_BYTES = 2**26


class Unfolded:
    """Images of one correlation as columns (b, G, K, L), a block at a time in one buffer."""

    def __init__(self, xp: Namespace, shapes: Correlation, dtype: np.dtype[Any]) -> None:
        self.xp = xp
        self.shapes = shapes
        self.windows = shapes.windows
        kh, kw = self.windows.kernel
        ho, wo = shapes.out
        # of one image's columns
        self.size = shapes.channels * kh * kw, ho * wo
        # (G, K, L)
        self.grouped = shapes.groups, self.size[0] // shapes.groups, ho * wo
        # For single pixels the columns are the image itself.
        itself = self.windows.kernel == self.windows.stride == (1, 1) and (
            self.windows.padding == ((0, 0), (0, 0))
        )
        fitting = _BUFFER_BYTES // max(1, self.size[0] * self.size[1] * dtype.itemsize)
        self.step = max(1, min(shapes.n, shapes.n if itself else fitting))
        self.buffer = None if itself else xp.empty((self.step, *self.size), dtype=dtype)

    def blocks(self) -> Iterator[slice]:
        """Cut the images into blocks."""
        return slices(self.shapes.n, self.step)

    def columns(self, x: Array) -> Array:
        """Return a block of images as columns."""
        if self.buffer is None:
            return x.reshape(-1, *self.grouped)
        columns = self.buffer[: len(x)]
        unfold_to(self.xp, x, self.windows, columns)
        return columns.reshape(-1, *self.grouped)

    def multiply_and_fold(self, rows: Array, maps: Array, x: Array) -> None:
        """Write rows (G, K, O/G) @ maps (b, G, O/G, L), folded, to images x."""
        if self.buffer is None:
            self.xp.matmul(rows, maps, out=x.reshape(-1, *self.grouped))
            return
        columns = self.buffer[: len(x)]
        self.xp.matmul(rows, maps, out=columns.reshape(-1, *self.grouped))
        fold_to(self.xp, columns, self.windows, x)


def forward(
    xp: Namespace, x: Array, w: Array, shapes: Correlation, algorithm: str = "auto"
) -> Array:
    """Return the maps (N, O, Ho, Wo) of contiguous images and filters."""
    y = xp.empty((shapes.n, shapes.filters, *shapes.out), dtype=x.dtype)
    tiles = tiles_of(shapes, x.dtype.itemsize) if algorithm == "auto" else None
    if tiles is not None:
        correlate_to(xp, x, w, shapes, tiles, y)
        return y
    unfolded = Unfolded(xp, shapes, x.dtype)
    groups, _, length = unfolded.grouped
    rows = w.reshape(groups, shapes.filters // groups, -1)
    for block in unfolded.blocks():
        xp.matmul(
            rows,
            unfolded.columns(x[block]),
            out=y[block].reshape(-1, groups, rows.shape[1], length),
        )
    return y


def _adjoint_shapes(shapes: Correlation) -> Correlation | None:
    """Return the correlation with flipped filters that computes the images' gradient.

    None unless the stride is 1 and each channel has one filter.
    """
    windows = shapes.windows
    if windows.stride != (1, 1) or not shapes.channels == shapes.filters == shapes.groups:
        return None
    (top, bottom), (left, right) = windows.padding
    (high, wide) = (n - 1 for n in windows.span)
    padding = ((high - top, high - bottom), (wide - left, wide - right))
    return replace(shapes, size=shapes.out, windows=replace(windows, padding=padding))


def input_adjoint(
    xp: Namespace, g: Array, w: Array, shapes: Correlation, algorithm: str = "auto"
) -> Array:
    """Return the gradient (N, C, H, W) of images, given that of the maps.

    All arrays are contiguous.
    """
    x = xp.empty((shapes.n, shapes.channels, *shapes.size), dtype=g.dtype)
    adjoint = _adjoint_shapes(shapes) if algorithm == "auto" else None
    tiles = None if adjoint is None else tiles_of(adjoint, g.dtype.itemsize)
    if adjoint is not None and tiles is not None:
        correlate_to(xp, g, xp.ascontiguousarray(w[:, :, ::-1, ::-1]), adjoint, tiles, x)
        return x
    unfolded = Unfolded(xp, shapes, g.dtype)
    groups, _, length = unfolded.grouped
    rows = w.reshape(groups, shapes.filters // groups, -1).swapaxes(1, 2)
    for block in unfolded.blocks():
        maps = g[block].reshape(-1, groups, rows.shape[2], length)
        unfolded.multiply_and_fold(rows, maps, x[block])
    return x


def weight_adjoint(xp: Namespace, x: Array, g: Array, shapes: Correlation) -> Array:
    """Return the gradient (O, C/G, kh, kw) of filters, given that of the maps.

    All arrays are contiguous.
    """
    unfolded = Unfolded(xp, shapes, x.dtype)
    groups, k, length = unfolded.grouped
    total = xp.zeros((groups, shapes.filters // groups, k), dtype=x.dtype)
    products = xp.empty((unfolded.step, *total.shape), dtype=x.dtype)
    for block in unfolded.blocks():
        maps = g[block].reshape(-1, groups, total.shape[1], length)
        part = products[: len(maps)]
        xp.matmul(maps, unfolded.columns(x[block]).swapaxes(2, 3), out=part)
        total += part.sum(axis=0)
    return total.reshape(shapes.w_shape)


def _in_common_dtype(xp: Namespace, a: Array, b: Array) -> tuple[Array, Array]:
    """Return two arrays in the dtype of their product, contiguous."""
    dtype = xp.result_type(a, b)
    return xp.ascontiguousarray(a, dtype=dtype), xp.ascontiguousarray(b, dtype=dtype)


@correlate2d.kernel("cuda")
def _correlate2d(
    xp: Namespace,
    x: Array,
    w: Array,
    bias: Array | None = None,
    *,
    algorithm: str = "auto",
    **geometry: Any,
) -> Array:
    check_algorithm("correlate2d", algorithm)
    flat = x.ndim == w.ndim == 2
    images, filters = (as_batch(x), as_batch(w)) if flat else (x, w)
    shapes = check_forward(images, filters, bias, **geometry)
    images, filters = _in_common_dtype(xp, images, filters)
    if not supported(images):
        return correlate2d.forward(xp, x, w, bias, **geometry)
    y = forward(xp, images, filters, shapes, algorithm)
    if bias is not None:
        y = y + bias.reshape(-1, 1, 1)
    return y[0, 0] if flat else y


@correlate2d_input.kernel("cuda")
def _correlate2d_input(
    xp: Namespace,
    cotangent: Array,
    w: Array,
    *,
    input_size: Pair,
    algorithm: str = "auto",
    **geometry: Any,
) -> Array:
    check_algorithm("correlate2d_input", algorithm)
    flat = cotangent.ndim == w.ndim == 2
    maps, filters = (as_batch(cotangent), as_batch(w)) if flat else (cotangent, w)
    shapes = check_input_adjoint(maps, filters, input_size, **geometry)
    maps, filters = _in_common_dtype(xp, maps, filters)
    if not supported(maps):
        return correlate2d_input.forward(xp, cotangent, w, input_size=input_size, **geometry)
    x = input_adjoint(xp, maps, filters, shapes, algorithm)
    return x[0, 0] if flat else x


@correlate2d_weight.kernel("cuda")
def _correlate2d_weight(
    xp: Namespace,
    x: Array,
    cotangent: Array,
    *,
    kernel_size: Pair,
    algorithm: str = "auto",
    **geometry: Any,
) -> Array:
    check_algorithm("correlate2d_weight", algorithm)
    flat = x.ndim == cotangent.ndim == 2
    images, maps = (as_batch(x), as_batch(cotangent)) if flat else (x, cotangent)
    shapes = check_weight_adjoint(images, maps, kernel_size, **geometry)
    images, maps = _in_common_dtype(xp, images, maps)
    if not supported(images):
        return correlate2d_weight.forward(xp, x, cotangent, kernel_size=kernel_size, **geometry)
    w = weight_adjoint(xp, images, maps, shapes)
    return w[0, 0] if flat else w
