"""unfold and fold on the GPU.

Dtypes other than float32 and float64 are left to the plain forwards.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.cuda.launch import Source, batch_slices, block_count, supported
from tinygrad_ckn.ops.window import check_columns, fold, unfold
from tinygrad_ckn.windows import Pair, Windows, image_shape

SOURCE = Source("window", "unfold<{T}>", "fold<{T}, true>", "fold<{T}, false>")


def _geometry(windows: Windows, size: tuple[int, int]) -> tuple[int, ...]:
    """Return the geometry arguments of both kernels.

    These are kernel, strides, dilations, padding at the top and left, image size and
    number of windows.
    """
    (top, _), (left, _) = windows.padding
    return (
        *windows.kernel,
        *windows.stride,
        *windows.dilation,
        top,
        left,
        *size,
        *windows.output_size(size),
    )


def unfold_to(xp: Namespace, x: Array, windows: Windows, columns: Array) -> None:
    """Write the patches of images (N, C, H, W) to columns (N, C*kh*kw, Ho*Wo).

    Both are contiguous.
    """
    n, c, *size = x.shape
    geometry = _geometry(windows, (size[0], size[1]))
    length = columns.shape[2]
    for part in batch_slices(windows.op, n, c * max(length, size[0] * size[1])):
        positions = len(x[part]) * c * length
        SOURCE.launch(
            xp, "unfold<{T}>", block_count(positions), x[part], columns[part], positions, *geometry
        )


def fold_to(xp: Namespace, columns: Array, windows: Windows, x: Array) -> None:
    """Write the sums of columns (N, C*kh*kw, Ho*Wo) at each pixel to x (N, C, H, W).

    Both are contiguous.
    """
    n, c, *size = x.shape
    geometry = _geometry(windows, (size[0], size[1]))
    kernel = "fold<{T}, true>" if windows.stride == (1, 1) else "fold<{T}, false>"
    area = size[0] * size[1]
    for part in batch_slices(windows.op, n, c * max(area, columns.shape[2])):
        pixels = len(x[part]) * c * area
        SOURCE.launch(xp, kernel, block_count(pixels), columns[part], x[part], pixels, *geometry)


@unfold.kernel("cuda")
def _unfold(xp: Namespace, x: Array, kernel_size: Pair, **geometry: Any) -> Array:
    n, c, *size = image_shape("unfold", "x", x)
    if not supported(x):
        return unfold.forward(xp, x, kernel_size, **geometry)
    windows = Windows.of("unfold", kernel_size, **geometry)
    ho, wo = windows.output_size(size)
    columns = xp.empty((n, c * windows.kernel[0] * windows.kernel[1], ho * wo), dtype=x.dtype)
    unfold_to(xp, xp.ascontiguousarray(x), windows, columns)
    return columns


@fold.kernel("cuda")
def _fold(
    xp: Namespace, columns: Array, output_size: Pair, kernel_size: Pair, **geometry: Any
) -> Array:
    if not supported(columns):
        return fold.forward(xp, columns, output_size, kernel_size, **geometry)
    windows, size = check_columns(columns, output_size, kernel_size, **geometry)
    x = xp.empty(
        (len(columns), columns.shape[1] // (windows.kernel[0] * windows.kernel[1]), *size),
        columns.dtype,
    )
    fold_to(xp, xp.ascontiguousarray(columns), windows, x)
    return x
