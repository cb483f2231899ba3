"""Maximum pooling, and its adjoints at fixed maxima.

N batch, C channels, H x W image, kh x kw kernel, Ho x Wo output. A tap is the pixel at one
place of every window: (N, C, Ho, Wo), a view of the padded images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tinygrad_ckn.backend import CPU, Array, Namespace, backend_of
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.pool import pooling_windows
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.windows import Pair, Windows, image_shape


@primitive()
def max_pool2d(
    xp: Namespace, x: Array, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Array:
    """Return the maximum of each window: (N, C, H, W) -> (N, C, Ho, Wo).

    Padding is never the maximum. Of equal maxima the first in reading order receives the
    gradient.

    Parameters
    ----------
    x
        Images (N, C, H, W), floating; the dtype is kept.
    kernel_size
        (kh, kw), or one number for both.
    stride
        Distance between windows, in pixels: number or (vertical, horizontal); default
        `kernel_size`.
    padding
        Border on each side: number or (vertical, horizontal), at most half of
        `kernel_size`; default 0.

    Raises
    ------
    ShapeError
        If x does not have four axes, an option is out of range, or the window is larger
        than the padded image.
    DTypeError
        If x is not floating.

    Examples
    --------
    >>> max_pool2d(Tensor([[[[1.0, 3.0], [5.0, 7.0]]]]), 2).item()
    7.0
    """
    size = image_shape("max_pool2d", "x", x)[2:]
    windows = pooling_windows("max_pool2d", kernel_size, stride, padding)
    windows.output_size(size)
    return maxima(xp, x, windows)


max_pool2d.vjp(
    x=lambda g, x, y, kernel_size, stride, padding: scatter_to_maxima(
        g, unwrap(x), unwrap(y), kernel_size, stride, padding
    )
)


@primitive()
def scatter_to_maxima(
    xp: Namespace,
    values: Array,
    x: Array,
    tops: Array,
    kernel_size: Pair,
    stride: Pair | None,
    padding: Pair,
) -> Array:
    """Return images (N, C, H, W) with values at the first maximum of each window.

    They are 0 elsewhere even if a value is NaN. values, tops (N, C, Ho, Wo): tops is
    `max_pool2d` of x.
    """
    return scattered(
        xp, values, x, tops, pooling_windows("max_pool2d", kernel_size, stride, padding)
    )


scatter_to_maxima.vjp(
    values=lambda g, x, tops, kernel_size, stride, padding: gather_at_maxima(
        g, unwrap(x), unwrap(tops), kernel_size, stride, padding
    )
)


@primitive()
def gather_at_maxima(
    xp: Namespace,
    values: Array,
    x: Array,
    tops: Array,
    kernel_size: Pair,
    stride: Pair | None,
    padding: Pair,
) -> Array:
    """Return the values (N, C, H, W) where x has the first maximum of each window."""
    return gathered(
        xp, values, x, tops, pooling_windows("max_pool2d", kernel_size, stride, padding)
    )


gather_at_maxima.vjp(
    values=lambda g, x, tops, kernel_size, stride, padding: scatter_to_maxima(
        g, unwrap(x), unwrap(tops), kernel_size, stride, padding
    )
)


def maxima(xp: Namespace, x: Array, windows: Windows) -> Array:
    """Return the maximum of each window, first along columns, then along rows."""
    y = windows.pad(xp, x, -math.inf)
    sizes = windows.output_size(x.shape[2:])
    for axis in (2, 3):
        taps = list(_along(y, axis, windows, sizes[axis - 2]))
        y = taps[0].copy() if len(taps) == 1 else xp.maximum(taps[0], taps[1])
        for tap in taps[2:]:
            xp.maximum(y, tap, out=y)
    return y


def scattered(xp: Namespace, g: Array, x: Array, y: Array, windows: Windows) -> Array:
    """Compute `scatter_to_maxima` for windows."""
    size = x.shape[2:]
    padded = xp.zeros((*g.shape[:2], *windows.padded(size)), dtype=g.dtype)
    disjoint = all(s >= k for s, k in zip(windows.stride, windows.kernel, strict=True))
    places = windows.taps(padded, y.shape[2:])
    for place, is_first in zip(places, _firsts(xp, x, y, windows), strict=True):
        chosen = xp.where(is_first, g, 0)
        xp.add(0 if disjoint else place, chosen, out=place)
    top, left = windows.padding[0][0], windows.padding[1][0]
    return padded[:, :, top : top + size[0], left : left + size[1]]


def gathered(xp: Namespace, v: Array, x: Array, y: Array, windows: Windows) -> Array:
    """Compute `gather_at_maxima` for windows."""
    padded = windows.pad(xp, v)
    found = xp.zeros(y.shape, dtype=v.dtype)
    places = windows.taps(padded, y.shape[2:])
    for place, is_first in zip(places, _firsts(xp, x, y, windows), strict=True):
        xp.copyto(found, place, where=is_first)
    return found


def _along(x: Array, axis: int, windows: Windows, length: int) -> Iterator[Array]:
    """Yield the pixels at each place of the windows along an axis."""
    step = windows.stride[axis - 2]
    before = (slice(None),) * axis
    for start in range(windows.kernel[axis - 2]):
        yield x[(*before, slice(start, start + (length - 1) * step + 1, step))]


def _firsts(xp: Namespace, x: Array, y: Array, windows: Windows) -> Iterator[Array]:
    """Yield for each tap whether it is the first maximum of its window; NaN is the largest."""
    # On a GPU the question would make the host wait.
    may_be_nan = backend_of(y) is not CPU or bool(xp.isnan(y).any())
    left = xp.ones(y.shape, dtype=bool)
    for tap in windows.taps(windows.pad(xp, x, -math.inf), y.shape[2:]):
        is_first = tap == y
        if may_be_nan:
            is_first |= tap != tap  # noqa: PLR0124  # NaN
        is_first &= left
        left ^= is_first
        yield is_first
