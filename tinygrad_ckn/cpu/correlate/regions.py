"""Regions of images that fit a core's cache, and copies of them with a border of zeros.

All algorithms of correlate2d work on such regions, so no padded copy of a whole image
is ever made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.windows import Correlation

# (images, rows)
Region: TypeAlias = tuple[slice, slice]


def regions(
    n: int, rows: int, row_bytes: float, limit: float = parallel.CACHE_BYTES, minimum: int = 1
) -> list[Region]:
    """Cut n images of `rows` rows into regions of at most `limit` bytes.

    A region is several whole images, or at least `minimum` rows of one image.
    """
    if rows * row_bytes <= limit:
        return [(part, slice(0, rows)) for part in even_slices(n, rows * row_bytes, limit)]
    return [
        (slice(i, i + 1), part)
        for i in range(n)
        for part in even_slices(rows, row_bytes, limit, minimum)
    ]


def even_slices(
    n: int, bytes_each: float, limit: float = parallel.CACHE_BYTES, minimum: int = 1
) -> list[slice]:
    """Cut n items into slices as `parallel.tiles` does, but of nearly equal lengths."""
    longest = max(minimum, int(limit // max(1, bytes_each)), 1)
    count = max(1, math.ceil(n / longest))
    return parallel.tiles(n, 1, max(minimum, math.ceil(n / count)))


def crop_with_zeros(x: NDArray[Any], top: int, left: int, out: NDArray[Any]) -> NDArray[Any]:
    """Copy the window of images x (..., H, W) at (top, left) to out (..., h, w).

    Pixels outside the images are 0. Returns `out`.
    """
    edges = []
    for start, length, size in zip((top, left), out.shape[-2:], x.shape[-2:], strict=True):
        first = max(0, -start)
        last = min(length, size - start)
        edges.append((first, max(first, last)))
    (r0, r1), (c0, c1) = edges
    if r1 - r0 < out.shape[-2] or c1 - c0 < out.shape[-1]:
        out[...] = 0
    out[..., r0:r1, c0:c1] = x[..., top + r0 : top + r1, left + c0 : left + c1]
    return out


def overlap(start: int, length: int, size: int) -> int:
    """Return how many elements of range(start, start + length) lie in range(size)."""
    return max(0, min(start + length, size) - max(start, 0))


def insert_zeros(x: NDArray[Any], steps: Sequence[int], out: NDArray[Any]) -> NDArray[Any]:
    """Copy x (..., H, W) to every steps[0]-th row and steps[1]-th column of out, else 0."""
    if tuple(steps) != (1, 1) or x.shape != out.shape:
        out[...] = 0
    sh, sw = steps
    height, width = x.shape[-2:]
    out[..., : (height - 1) * sh + 1 : sh, : (width - 1) * sw + 1 : sw] = x
    return out


def runs(x: NDArray[Any], rows: slice, shapes: Correlation, extra_zeros: int = 0) -> NDArray[Any]:
    """Return the padded images (..., H, W) behind output rows, regrouped by stride.

    The result (..., sh, sw, L + extra_zeros) is scratch memory. Run (p, q) is rows p,
    p + sh, p + 2 sh ... one after another, each with columns q, q + sw, q + 2 sw ...
    So the pixels that one tap of the kernel multiplies, for all output rows together,
    are the contiguous part of a run that begins at `offset`.
    """
    sh, sw = shapes.windows.stride
    high, wide = run_size(rows, shapes)
    (top, _), (left, _) = shapes.windows.padding
    y = parallel.scratch("runs", (*x.shape[:-2], sh, sw, high * wide + extra_zeros), x.dtype)
    y[..., high * wide :] = 0
    images = y[..., : high * wide].reshape(*y.shape[:-1], high, wide)
    if (sh, sw) == (1, 1):
        crop_with_zeros(x, rows.start - top, -left, images[..., 0, 0, :, :])
        return y
    padded = parallel.scratch("runs padded", (*x.shape[:-2], high * sh, wide * sw), x.dtype)
    crop_with_zeros(x, rows.start * sh - top, -left, padded)
    for p in range(sh):
        for q in range(sw):
            images[..., p, q, :, :] = padded[..., p::sh, q::sw]
    return y


def run_size(rows: slice, shapes: Correlation) -> tuple[int, int]:
    """Return (rows, columns) of a run for the given output rows."""
    windows = shapes.windows
    reach = [(span - 1) // step for span, step in zip(windows.span, windows.stride, strict=True)]
    return rows.stop - rows.start + reach[0], shapes.out[1] + reach[1]


def offset(i: int, j: int, shapes: Correlation) -> tuple[int, int, int]:
    """Return the run (p, q) that tap (i, j) of the kernel reads, and its first element."""
    dh, dw = shapes.windows.dilation
    sh, sw = shapes.windows.stride
    wide = run_size(slice(0, 1), shapes)[1]
    return i * dh % sh, j * dw % sw, i * dh // sh * wide + j * dw // sw


def adjoint_shapes(shapes: Correlation) -> Correlation:
    """Return the shapes of the correlation that computes the images' gradient.

    It takes output gradients with zeros inserted for the stride, and flipped filters.

    Element p of an image gets g[i] w[a] wherever i * stride + a * dilation - padding =
    p. So the flipped kernel begins with its last tap on g[0] at p = -padding. Padding
    beyond the kernel's length gives a negative border, which `crop_with_zeros` cuts
    off.
    """
    windows = shapes.windows
    lengths = []
    pads = []
    for n, s, span, (before, _), size in zip(
        shapes.out, windows.stride, windows.span, windows.padding, shapes.size, strict=True
    ):
        lengths.append((n - 1) * s + 1)
        pads.append((span - 1 - before, size + before - lengths[-1]))
    back = replace(windows, stride=(1, 1), padding=(pads[0], pads[1]))
    return Correlation(
        shapes.n, shapes.filters, (lengths[0], lengths[1]), shapes.channels, shapes.groups, back
    )


def adjoint_arguments(
    g: NDArray[Any], w: NDArray[Any], shapes: Correlation
) -> tuple[NDArray[Any], NDArray[Any], Correlation]:
    """Return arguments of the correlation that computes the images' gradient.

    These are output gradients g (N, O, Ho, Wo) with zeros inserted, filters w flipped,
    and their `adjoint_shapes`.
    """
    back = adjoint_shapes(shapes)
    o, _, kh, kw = shapes.w_shape
    if shapes.windows.stride != (1, 1):
        g = insert_zeros(g, shapes.windows.stride, np.empty((*g.shape[:2], *back.size), g.dtype))
    w = w.reshape(shapes.groups, o // shapes.groups, -1, kh, kw)[..., ::-1, ::-1].swapaxes(1, 2)
    # BLAS takes no matrix with negative strides.
    return g, np.ascontiguousarray(w).reshape(back.w_shape), back


def part_arguments(
    x: NDArray[Any], g: NDArray[Any], shapes: Correlation
) -> tuple[NDArray[Any], NDArray[Any], Correlation]:
    """Return arguments of `weight_adjoint` for one part of an image.

    Parameters
    ----------
    x
        (C, h, w), the part with its border.
    g
        (O, r, s), gradient of the outputs of its first windows; at the edge of an image
        a part has more windows than outputs.
    shapes
        Of the whole correlation.
    """
    high, wide = (n + span - 1 for n, span in zip(g.shape[1:], shapes.windows.span, strict=True))
    windows = replace(shapes.windows, padding=((0, 0), (0, 0)))
    part = replace(shapes, n=1, size=(high, wide), windows=windows)
    return np.ascontiguousarray(x[None, :, :high, :wide]), np.ascontiguousarray(g[None]), part


@dataclass(slots=True)
class GradientSums:
    """A gradient of filters (O, C/G, kh, kw), summed over tiles in two forms.

    Parameters
    ----------
    transformed
        Sum in the algorithm's own form.
    direct
        Sum over the tiles that were computed window by window, (O, C/G, kh, kw); None:
        there were none.
    """

    transformed: NDArray[Any]
    direct: NDArray[Any] | None = None

    def add_direct(self, gradient: NDArray[Any]) -> None:
        """Add the gradient of a tile that was computed window by window."""
        self.direct = gradient if self.direct is None else self.direct + gradient

    def __iadd__(self, other: GradientSums) -> GradientSums:
        self.transformed += other.transformed
        if other.direct is not None:
            self.add_direct(other.direct)
        return self

    def value(self, gradient: NDArray[Any]) -> NDArray[Any]:
        """Return the whole sum, contiguous; `gradient` is `transformed` transformed back."""
        return np.ascontiguousarray(gradient if self.direct is None else self.direct + gradient)
