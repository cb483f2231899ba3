"""Detect outputs that an algorithm mixing pixels gets wrong, and recompute them.

A sum over a window has that window's rounding error, and is NaN only if the window has
a NaN. An algorithm that forms sums over other pixels inherits their errors: 0 * NaN is
NaN, and a pixel 10^6 times its neighbours spreads its rounding over a whole tile. So
`toeplitz`, `winograd` and `fft` scan each tile, one pass in cache, and compute tiles
that are too uneven window by window. The thresholds bound the errors; see "Accuracy" in
docs/performance.md.

b images of C channels, H x W, O filters, G groups, P outputs, K = C/G*kh*kw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.windows import Correlation

# (images, rows, columns), each (P,)
Positions: TypeAlias = tuple[NDArray[np.intp], ...]

# elements of unfolded windows held at a time
_UNFOLDED = 2**18
# A tile has outliers if its root mean square exceeds its mean magnitude by this factor.
PEAK_RATIO = 4
# A window is dark if the tile's largest magnitude exceeds the window's by this factor,
# which no 8-bit image reaches.
DARK_RATIO = 2**8


def recompute_windows(
    x: NDArray[Any], w: NDArray[Any], shapes: Correlation, at: Positions, y: NDArray[Any]
) -> None:
    """Write the outputs y (N, O, Ho, Wo) at given positions, each as a sum of its window."""
    windows = shapes.windows
    groups = shapes.groups
    sh, sw = windows.stride
    dh, dw = windows.dilation
    kh, kw = windows.kernel
    (top, _), (left, _) = windows.padding
    o, per_group, *_ = shapes.w_shape
    # (G, K, O/G)
    rows_of_w = w.reshape(groups, o // groups, -1).swapaxes(1, 2)
    for part in parallel.tiles(len(at[0]), shapes.channels * kh * kw, limit=_UNFOLDED):
        n, i, j = (indices[part] for indices in at)
        # (P, kh)
        rows = i[:, None] * sh - top + np.arange(kh) * dh
        # (P, kw)
        columns = j[:, None] * sw - left + np.arange(kw) * dw
        valid_rows = (rows >= 0) & (rows < x.shape[2])
        valid_columns = (columns >= 0) & (columns < x.shape[3])
        # (P, kh, kw)
        valid = valid_rows[:, :, None] & valid_columns[:, None]
        rows = rows.clip(0, x.shape[2] - 1)
        columns = columns.clip(0, x.shape[3] - 1)
        # (P, kh, kw, C)
        taps = x[n[:, None, None], :, rows[:, :, None], columns[:, None]]
        # (C, P, kh, kw)
        taps = np.where(valid[..., None], taps, 0).transpose(3, 0, 1, 2)
        patches = (
            taps.reshape(groups, per_group, len(n), kh * kw)
            .swapaxes(1, 2)
            .reshape(groups, len(n), -1)
        )
        y[n, :, i, j] = np.matmul(patches, rows_of_w).swapaxes(0, 1).reshape(len(n), o)


def nonfinite_outputs(y: NDArray[Any]) -> Positions | None:
    """Return the positions of maps (b, O, r, s) with a NaN or infinity; None: all finite."""
    finite = np.isfinite(y)
    return None if finite.all() else np.nonzero(~finite.all(axis=1))


def all_finite(x: NDArray[Any]) -> bool:
    """Return whether x is free of NaN and infinities, and its sum does not overflow."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(x.sum()))


def max_magnitude(flat: NDArray[Any]) -> NDArray[Any]:
    """Return the largest magnitude along the last axis; NaN if there is one."""
    largest: NDArray[Any] = np.maximum(flat.max(axis=-1), -flat.min(axis=-1))
    return largest


def without_outliers(
    x: NDArray[Any],
    groups: int,
    area: int | NDArray[np.intp],
    core: Sequence[slice] | None = None,
    flat: NDArray[Any] | None = None,
) -> NDArray[np.bool_]:
    """Return for each tile (b, C, H, W) whether it has no outlying pixels: (b,), bool.

    Nearly always the largest magnitude is close to the root mean square, a test of
    three passes. Otherwise the mean magnitude must be large enough.

    Parameters
    ----------
    x
        The tiles, with zeros around the image.
    groups
        G: channels of different groups are not mixed.
    area
        Pixels of a tile that lie within the image: a number, or (b, 1).
    core
        Rows and columns that belong to every sum; None: every sum covers the tile.
    flat
        (b, G, n), contiguous: the memory of x with zeros between its parts; None: x
        itself is contiguous.
    """
    b, c = x.shape[:2]
    flat = x.reshape(b, groups, -1) if flat is None else flat
    count = area * (c // groups)
    with np.errstate(all="ignore"):
        largest = max_magnitude(flat)
        squares = np.vecdot(flat, flat)
        # False for NaN, like the other comparisons here
        good = count * largest**2 <= (2 * PEAK_RATIO) ** 2 * squares
        if not good.all():
            inner = np.abs(x if core is None else x[..., core[0], core[1]]).reshape(b, groups, -1)
            inner_count = count if core is None else max(1, inner.shape[2])
            good = squares <= count * (PEAK_RATIO * inner.sum(axis=2) / inner_count) ** 2
        result: NDArray[np.bool_] = (good & (squares < np.inf)).all(axis=1)
    return result


def dark_windows(
    x: NDArray[Any], groups: int, span: tuple[int, int]
) -> tuple[bool, NDArray[np.bool_] | None]:
    """Return whether a tile (C, H, W) has a dark window, and the windows of zeros.

    The latter is a bool array (G, H-span+1, W-span+1); None if a scan of two rows and
    columns of each window, which nearly always suffices, shows that none is dark.
    """
    _, *size = x.shape
    x = x.reshape(groups, -1, *size)
    steps = [max(1, length // 2) for length in span]
    sample = _window_magnitudes(
        x[..., :: steps[0], :: steps[1]], [n // s for n, s in zip(span, steps, strict=True)]
    )
    largest = max_magnitude(x.reshape(groups, -1))
    # Sums over a tile of such pixels do not overflow.
    limit = float(np.finfo(x.dtype).max) ** 0.75
    # False for NaN
    if (largest <= np.minimum(DARK_RATIO * sample.min(axis=(1, 2)), limit)).all():
        return False, None
    windows = _window_magnitudes(x, span)
    smallest = np.where(windows > 0, windows, np.inf).min(axis=(1, 2))
    return not (largest <= np.minimum(DARK_RATIO * smallest, limit)).all(), windows == 0


def _window_magnitudes(x: NDArray[Any], span: Sequence[int]) -> NDArray[Any]:
    """Return the largest magnitude of each window of x (G, C/G, H, W): (G, ...)."""
    magnitude = np.abs(x[:, 0]) if x.shape[1] == 1 else np.maximum(x.max(axis=1), -x.min(axis=1))
    return _running_maxima(_running_maxima(magnitude, span[0], 1), span[1], 2)


def _running_maxima(x: NDArray[Any], length: int, axis: int) -> NDArray[Any]:
    """Return the maximum of each `length` neighbours along an axis."""
    x = x.swapaxes(0, axis)
    reach = 1
    while reach < length:
        step = min(reach, length - reach)
        x = np.maximum(x[: len(x) - step], x[step:])
        reach += step
    return x.swapaxes(0, axis)


def window_maxima(x: NDArray[Any], kernel: int, step: int) -> NDArray[Any]:
    """Return the maxima of x (b, H, W) in kernel x kernel windows, `step` apart: (b, h, w)."""
    for axis in (1, 2):
        last = (x.shape[axis] - kernel) // step * step + 1
        taps = [(slice(None),) * axis + (slice(t, t + last, step),) for t in range(kernel)]
        y = x[taps[0]].copy()
        for tap in taps[1:]:
            np.maximum(y, x[tap], out=y)
        x = y
    return x
