"""Parts of images that fit a core's cache: which there are, and copies of them with their border of zeros.

Every algorithm of correlate2d works on such parts, so the padded image as a whole never
exists.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU
from tinygrad_ckn.windows import Correlation

xp = CPU.xp

# images, rows of them
Region = tuple[slice, slice]


def regions(
    n: int, rows: int, row_bytes: float, limit: float = parallel.CACHE_BYTES, minimum: int = 1
) -> list[Region]:
    """Cut n images of some rows into parts of at most `limit` bytes: several images, or `least` rows of one or more."""
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
    """Cut n things into slices of at most `limit` bytes as `parallel.tiles` does, but all of about the same length."""
    most = max(minimum, int(limit // max(1, bytes_each)), 1)
    count = max(1, math.ceil(n / most))
    return parallel.tiles(n, 1, max(minimum, math.ceil(n / count)))


def crop_with_zeros(x: Any, top: int, left: int, out: Any) -> Any:
    """Fill out (..., h, w) with what images (..., H, W) have from row `top` and column `left` on, 0 outside of them."""
    edges = []
    for start, length, have in zip((top, left), out.shape[-2:], x.shape[-2:], strict=True):
        first, last = max(0, -start), min(length, have - start)
        edges.append((first, max(first, last), start))
    (r0, r1, _), (c0, c1, _) = edges
    if r1 - r0 < out.shape[-2] or c1 - c0 < out.shape[-1]:
        out[...] = 0
    out[..., r0:r1, c0:c1] = x[..., top + r0 : top + r1, left + c0 : left + c1]
    return out


def overlap(start: int, length: int, have: int) -> int:
    """Return how many of so many elements, from `start` on, are of an axis that has `have`."""
    return max(0, min(start + length, have) - max(start, 0))


def insert_zeros(x: Any, steps: Sequence[int], out: Any) -> Any:
    """Write images (..., H, W) to every steps[0]-th row and steps[1]-th column of out, 0 between them."""
    if tuple(steps) != (1, 1) or x.shape != out.shape:
        out[...] = 0
    (sh, sw), (height, width) = steps, x.shape[-2:]
    out[..., : (height - 1) * sh + 1 : sh, : (width - 1) * sw + 1 : sw] = x
    return out


def runs(x: Any, rows: slice, shapes: Correlation, more: int = 0) -> Any:
    """Return the padded images (..., H, W) that output rows need as runs of memory: (..., sh, sw, L + more).

    Run (p, q) has row p, p + sh, p + 2 sh ... one after another, of each the columns q,
    q + sw, q + 2 sw ...; so what a tap of the kernel meets, for all output rows
    together, is the part of a run that begins at `offset`. At the end are `more` zeros.
    It is scratch.
    """
    (sh, sw), (high, wide), (top, _), (left, _) = (
        shapes.windows.stride,
        run_size(rows, shapes),
        *shapes.windows.padding,
    )
    y = parallel.scratch("runs", (*x.shape[:-2], sh, sw, high * wide + more), x.dtype)
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
    """Return how many rows, and columns of them, a run has for some output rows."""
    windows = shapes.windows
    reach = [(span - 1) // step for span, step in zip(windows.span, windows.stride, strict=True)]
    return rows.stop - rows.start + reach[0], shapes.out[1] + reach[1]


def offset(i: int, j: int, shapes: Correlation) -> tuple[int, int, int]:
    """Return which run (p, q) tap (i, j) of the kernel meets, and from where on."""
    (dh, dw), (sh, sw) = shapes.windows.dilation, shapes.windows.stride
    wide = run_size(slice(0, 1), shapes)[1]
    return i * dh % sh, j * dw % sw, i * dh // sh * wide + j * dw // sw


def adjoint_shapes(shapes: Correlation) -> Correlation:
    """Return what the adjoint in the images is a correlation of: gradients, spread by the stride, with turned filters.

    Element p of an image gets g[i] w[a] wherever i * stride + a * dilation - padding =
    p. So the turned kernel begins with its last tap on g[0] at p = -padding; of more
    padding than the kernel is long comes a border less than none, which `excerpt`
    leaves out.
    """
    windows, lengths, pads = shapes.windows, [], []
    for n, s, span, (before, _), size in zip(
        shapes.out, windows.stride, windows.span, windows.padding, shapes.size, strict=True
    ):
        lengths.append((n - 1) * s + 1)
        pads.append((span - 1 - before, size + before - lengths[-1]))
    back = replace(windows, stride=(1, 1), padding=(pads[0], pads[1]))
    return Correlation(
        shapes.n, shapes.filters, (lengths[0], lengths[1]), shapes.channels, shapes.groups, back
    )


def adjoint_arguments(g: Any, w: Any, shapes: Correlation) -> tuple[Any, Any, Correlation]:
    """Return the arguments of the correlation that the adjoint in the images is, of g (N, O, Ho, Wo) with turned w."""
    back, (o, _, kh, kw) = adjoint_shapes(shapes), shapes.w_shape
    if shapes.windows.stride != (1, 1):
        g = insert_zeros(g, shapes.windows.stride, xp.empty((*g.shape[:2], *back.size), g.dtype))
    w = w.reshape(shapes.groups, o // shapes.groups, -1, kh, kw)[..., ::-1, ::-1].swapaxes(1, 2)
    return (
        g,
        xp.ascontiguousarray(w).reshape(back.w_shape),
        back,
    )  # BLAS takes no matrix that runs backwards


def part_arguments(x: Any, g: Any, shapes: Correlation) -> tuple[Any, Any, Correlation]:
    """Return the arguments of the gradient of filters for a part: an image (C, h, w) with its border, maps (O, r, s).

    The maps are of the image's first windows: of a part at the edge fewer than it has.
    """
    size = tuple(n + span - 1 for n, span in zip(g.shape[1:], shapes.windows.span, strict=True))
    windows = replace(shapes.windows, padding=((0, 0), (0, 0)))
    part = replace(shapes, n=1, size=size, windows=windows)
    return (
        xp.ascontiguousarray(x[None, :, : size[0], : size[1]]),
        xp.ascontiguousarray(g[None]),
        part,
    )


@dataclass(slots=True)
class GradientSums:
    """A gradient of filters (O, C/G, kh, kw) summed over tiles: in an algorithm's own form, and of some plainly."""

    transformed: Any
    direct: Any = None

    def add_direct(self, gradient: Any) -> None:
        """Add what a tile brings, that was computed from its windows."""
        self.direct = gradient if self.direct is None else self.direct + gradient

    def __iadd__(self, other: GradientSums) -> GradientSums:
        self.transformed += other.transformed
        if other.direct is not None:
            self.add_direct(other.direct)
        return self

    def value(self, gradient: Any) -> Any:
        """Return the sum, contiguous, given the gradient that `mixed` has come to."""
        return xp.ascontiguousarray(gradient if self.direct is None else self.direct + gradient)
