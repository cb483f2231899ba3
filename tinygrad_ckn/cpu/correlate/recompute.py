"""What an algorithm that mixes pixels cannot give: which outputs those are, and how they are computed anew.

A sum over a window has the rounding of that window, and is NaN where it has one. An
algorithm that goes through sums of other pixels has theirs: 0 * NaN is NaN, and a pixel
10^6 times its neighbours leaves its rounding to all of a tile. So `toeplitz`,
`winograd` and `fft` look at what they mix, a pass over it in cache, and what is too
uneven is done window by window. How uneven that is bounds their errors; see "Accuracy"
in docs/performance.md.

b images of C channels, H x W, O filters, G groups, P outputs, K = C/G*kh*kw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU
from tinygrad_ckn.windows import Correlation

xp = CPU.xp

# elements of windows that are laid out at a time
_TOGETHER = 2**18
# root mean square over mean of a tile from which it has pixels that stand out
PEAK_RATIO = 4
DARK_RATIO = (
    2**8
)  # largest magnitude of a tile over that of the darkest window in it; an image of 8 bits has no more


def recompute_windows(
    x: Any, w: Any, shapes: Correlation, at: tuple[Any, Any, Any], y: Any
) -> None:
    """Write the outputs y (N, O, Ho, Wo) at given images, rows and columns (P,), each by the sum over its window."""
    (sh, sw), (dh, dw), (kh, kw) = (
        shapes.windows.stride,
        shapes.windows.dilation,
        shapes.windows.kernel,
    )
    (top, _), (left, _) = shapes.windows.padding
    groups, (o, per_group, *_) = shapes.groups, shapes.w_shape
    # (G, K, O/G)
    rows_of_w = w.reshape(groups, o // groups, -1).swapaxes(1, 2)
    for part in parallel.tiles(len(at[0]), shapes.channels * kh * kw, limit=_TOGETHER):
        n, i, j = (indices[part] for indices in at)
        # (P, kh)
        rows = i[:, None] * sh - top + xp.arange(kh) * dh
        columns = j[:, None] * sw - left + xp.arange(kw) * dw
        inside = ((rows >= 0) & (rows < x.shape[2]))[:, :, None] & (
            (columns >= 0) & (columns < x.shape[3])
        )[:, None]
        rows, columns = rows.clip(0, x.shape[2] - 1), columns.clip(0, x.shape[3] - 1)
        # (P, kh, kw, C)
        taps = x[n[:, None, None], :, rows[:, :, None], columns[:, None]]
        taps = xp.where(inside[..., None], taps, 0).transpose(3, 0, 1, 2)
        patches = (
            taps.reshape(groups, per_group, len(n), kh * kw)
            .swapaxes(1, 2)
            .reshape(groups, len(n), -1)
        )
        y[n, :, i, j] = xp.matmul(patches, rows_of_w).swapaxes(0, 1).reshape(len(n), o)


def nonfinite_outputs(y: Any) -> tuple[Any, Any, Any] | None:
    """Return images, rows and columns of maps (b, O, r, s) that have a number that is not finite; None: all are."""
    finite = xp.isfinite(y)
    return None if finite.all() else xp.nonzero(~finite.all(axis=1))


def all_finite(x: Any) -> bool:
    """Tell whether there is no NaN and no infinity, and the sum does not overflow."""
    with xp.errstate(all="ignore"):
        return bool(xp.isfinite(x.sum()))


def max_magnitude(flat: Any) -> Any:
    """Return the largest magnitude along the last axis; NaN where there is one."""
    return xp.maximum(flat.max(axis=-1), -flat.min(axis=-1))


def without_outliers(
    x: Any, groups: int, inside: Any, core: Sequence[slice] | None = None, flat: Any = None
) -> Any:
    """Tell of each of some tiles (b, C, H, W) whether no pixels stand out: (b,), bool.

    Nearly always the peak is near the root mean square, which it takes three passes to
    see. Else what counts is that a sum of magnitudes has its share.

    Parameters
    ----------
    x
        The tiles, with zeros around the image.
    groups
        G: channels of other groups are not mixed.
    inside
        How many pixels of a tile are of the image: a number, or (b, 1).
    core
        Rows and columns that every sum has, where not all go over the whole of the image.
    flat
        The memory that x lies in with zeros beside it, (b, G, n), contiguous; None: x
        lies in one piece.
    """
    b, c = x.shape[:2]
    flat = x.reshape(b, groups, -1) if flat is None else flat
    area = inside * (c // groups)
    with xp.errstate(all="ignore"):
        most, squares = max_magnitude(flat), xp.vecdot(flat, flat)
        # NaN is not
        good = area * most**2 <= (2 * PEAK_RATIO) ** 2 * squares
        if not good.all():
            inner = xp.abs(x if core is None else x[..., core[0], core[1]]).reshape(b, groups, -1)
            count = area if core is None else max(1, inner.shape[2])
            good = squares <= area * (PEAK_RATIO * inner.sum(axis=2) / count) ** 2
        return (good & (squares < xp.inf)).all(axis=1)


def dark_windows(x: Any, groups: int, span: tuple[int, int]) -> tuple[bool, Any]:
    """Tell whether a window of a tile (C, H, W) is dark beside it, and which have nothing: (G, H-span+1, W-span+1).

    None for these: there are none. Two rows and columns of each window nearly always
    say already that it is not.
    """
    _, *size = x.shape
    x = x.reshape(groups, -1, *size)
    steps = [max(1, length // 2) for length in span]
    some = _windows(
        x[..., :: steps[0], :: steps[1]], [n // s for n, s in zip(span, steps, strict=True)]
    )
    most = max_magnitude(x.reshape(groups, -1))
    # sums of a tile stay below
    limit = float(xp.finfo(x.dtype).max) ** 0.75
    # NaN is not
    if (most <= xp.minimum(DARK_RATIO * some.min(axis=(1, 2)), limit)).all():
        return False, None
    windows = _windows(x, span)
    seen = xp.where(windows > 0, windows, xp.inf).min(axis=(1, 2))
    return not (most <= xp.minimum(DARK_RATIO * seen, limit)).all(), windows == 0


def _windows(x: Any, span: Sequence[int]) -> Any:
    """Return the largest magnitude of windows of x (G, C/G, H, W): (G, ...)."""
    size = xp.abs(x[:, 0]) if x.shape[1] == 1 else xp.maximum(x.max(axis=1), -x.min(axis=1))
    return _maxima(_maxima(size, span[0], 1), span[1], 2)


def _maxima(x: Any, length: int, axis: int) -> Any:
    """Return the largest of so many neighbours along an axis."""
    x = x.swapaxes(0, axis)
    reach = 1
    while reach < length:
        step = min(reach, length - reach)
        x = xp.maximum(x[: len(x) - step], x[step:])
        reach += step
    return x.swapaxes(0, axis)


def _sums(x: Any, length: int, axis: int) -> Any:
    """Return the sums of so many neighbours along an axis, in float64."""
    sums = x.cumsum(axis=axis, dtype="float64")
    ends = sums.swapaxes(0, axis)
    found = ends[length - 1 :].copy()
    found[1:] -= ends[: len(ends) - length]
    return found.swapaxes(0, axis)


def window_maxima(x: Any, kernel: int, step: int) -> Any:
    """Return the largest of magnitudes (b, H, W) in windows of kernel x kernel elements, `step` apart: (b, h, w)."""
    for axis in (1, 2):
        last = (x.shape[axis] - kernel) // step * step + 1
        at = [(slice(None),) * axis + (slice(t, t + last, step),) for t in range(kernel)]
        y = x[at[0]].copy()
        for here in at[1:]:
            xp.maximum(y, x[here], out=y)
        x = y
    return x
