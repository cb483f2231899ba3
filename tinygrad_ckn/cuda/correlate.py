"""correlate2d and its adjoints on the GPU: single channels from shared memory, all else as products by cuBLAS.

N batch, C channels in, O channels out, G groups, kh x kw kernel, Ho x Wo output, K =
C/G*kh*kw, L = Ho*Wo. Products are of unfolded patches, in blocks of images for which
one buffer is used again and again. Where each filter sees one channel, a product would
be a row at a time; `correlate.cu` reads the image once instead. The adjoint in the
images is such a correlation too, with turned filters, where the stride is 1 and each
channel has one filter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tinygrad_ckn.backend import Namespace
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

# unfolded patches held at a time: an image's at least
_BUFFER_BYTES = 2**26


class Unfolded:
    """Images of one correlation as columns (b, G, K, L), a block of them at a time, in memory used again."""

    def __init__(self, xp: Namespace, shapes: Correlation, dtype: Any) -> None:
        self.xp, self.shapes, self.windows = xp, shapes, shapes.windows
        (kh, kw), (ho, wo) = self.windows.kernel, shapes.out
        # of an image's columns
        self.size = shapes.channels * kh * kw, ho * wo
        # (G, K, L)
        self.grouped = shapes.groups, self.size[0] // shapes.groups, ho * wo
        pointwise = self.windows.kernel == self.windows.stride == (1, 1)
        self.itself = pointwise and self.windows.padding == (
            (0, 0),
            (0, 0),
        )  # columns are the image
        fitting = _BUFFER_BYTES // max(1, self.size[0] * self.size[1] * dtype.itemsize)
        self.step = max(1, min(shapes.n, shapes.n if self.itself else fitting))
        self.buffer = None if self.itself else xp.empty((self.step, *self.size), dtype=dtype)

    def blocks(self) -> Iterator[slice]:
        """Cut the images into blocks."""
        return (slice(i, i + self.step) for i in range(0, self.shapes.n, self.step))

    def columns(self, x: Any) -> Any:
        """Return a block of images as columns."""
        if self.buffer is None:
            return x.reshape(-1, *self.grouped)
        columns = self.buffer[: len(x)]
        unfold_to(self.xp, x, self.windows, columns)
        return columns.reshape(-1, *self.grouped)

    def multiply_and_fold(self, rows: Any, maps: Any, x: Any) -> None:
        """Write rows (G, K, O/G) times maps (b, G, O/G, L), folded, to images x."""
        if self.buffer is None:
            self.xp.matmul(rows, maps, out=x.reshape(-1, *self.grouped))
            return
        columns = self.buffer[: len(x)]
        self.xp.matmul(rows, maps, out=columns.reshape(-1, *self.grouped))
        fold_to(self.xp, columns, self.windows, x)


def forward(xp: Namespace, x: Any, w: Any, shapes: Correlation, algorithm: str = "auto") -> Any:
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
    """Return the correlation with turned filters that is the adjoint in the images, if there is one."""
    windows = shapes.windows
    if windows.stride != (1, 1) or not shapes.channels == shapes.filters == shapes.groups:
        return None
    (top, bottom), (left, right) = windows.padding
    (high, wide) = (n - 1 for n in windows.span)
    padding = ((high - top, high - bottom), (wide - left, wide - right))
    return replace(shapes, size=shapes.out, windows=replace(windows, padding=padding))


def input_adjoint(
    xp: Namespace, g: Any, w: Any, shapes: Correlation, algorithm: str = "auto"
) -> Any:
    """Return the gradient (N, C, H, W) of images, given that of the maps; contiguous arrays."""
    x = xp.empty((shapes.n, shapes.channels, *shapes.size), dtype=g.dtype)
    turned = _adjoint_shapes(shapes) if algorithm == "auto" else None
    tiles = None if turned is None else tiles_of(turned, g.dtype.itemsize)
    if turned is not None and tiles is not None:
        correlate_to(xp, g, xp.ascontiguousarray(w[:, :, ::-1, ::-1]), turned, tiles, x)
        return x
    unfolded = Unfolded(xp, shapes, g.dtype)
    groups, _, length = unfolded.grouped
    rows = w.reshape(groups, shapes.filters // groups, -1).swapaxes(1, 2)
    for block in unfolded.blocks():
        unfolded.multiply_and_fold(
            rows, g[block].reshape(-1, groups, rows.shape[2], length), x[block]
        )
    return x


def weight_adjoint(xp: Namespace, x: Any, g: Any, shapes: Correlation) -> Any:
    """Return the gradient (O, C/G, kh, kw) of filters, given that of the maps; contiguous arrays."""
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


def _in_common_dtype(xp: Namespace, a: Any, b: Any) -> tuple[Any, Any]:
    """Return two arrays in the dtype of their product, contiguous."""
    dtype = xp.result_type(a, b)
    return xp.ascontiguousarray(a, dtype=dtype), xp.ascontiguousarray(b, dtype=dtype)


@correlate2d.kernel("cuda")
def _correlate2d(
    xp: Namespace, x: Any, w: Any, bias: Any = None, *, algorithm: str = "auto", **geometry: Any
) -> Any:
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
    cotangent: Any,
    w: Any,
    *,
    input_size: Pair,
    algorithm: str = "auto",
    **geometry: Any,
) -> Any:
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
    x: Any,
    cotangent: Any,
    *,
    kernel_size: Pair,
    algorithm: str = "auto",
    **geometry: Any,
) -> Any:
    check_algorithm("correlate2d_weight", algorithm)
    flat = x.ndim == cotangent.ndim == 2
    images, maps = (as_batch(x), as_batch(cotangent)) if flat else (x, cotangent)
    shapes = check_weight_adjoint(images, maps, kernel_size, **geometry)
    images, maps = _in_common_dtype(xp, images, maps)
    if not supported(images):
        return correlate2d_weight.forward(xp, x, cotangent, kernel_size=kernel_size, **geometry)
    w = weight_adjoint(xp, images, maps, shapes)
    return w[0, 0] if flat else w
