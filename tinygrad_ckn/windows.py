"""The geometry of sliding windows, shared by unfold, fold, correlate2d and pooling.

N batch, C channels, H x W image, kh x kw kernel, Ho x Wo windows; every pair is
(vertical, horizontal), in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, TypeAlias

from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.errors import DTypeError, ShapeError
from tinygrad_ckn.integers import is_whole
from tinygrad_ckn.plain import plain_array

Pair: TypeAlias = int | Sequence[int]
Padding: TypeAlias = int | Sequence[int] | Literal["valid", "same", "full"]


def is_finite(value: object) -> bool:
    """Return whether a value is a finite real number, Python's or NumPy's."""
    return isinstance(value, Real) and math.isfinite(value)


def pair(op: str, argument: str, value: Pair, minimum: int) -> tuple[int, int]:
    """Return an option as (vertical, horizontal).

    Raises
    ------
    ShapeError
        If it is not an integer of at least `minimum`, or two of them.
    """
    value = plain_array(value)
    both: tuple[Any, ...] = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(both) != 2 or not all(is_whole(n, minimum) for n in both):
        raise ShapeError(
            f"{op}: argument {argument} expected an integer >= {minimum} or two of them, "
            f"got {value!r}"
        )
    return int(both[0]), int(both[1])


@dataclass(frozen=True, slots=True)
class Windows:
    """Positions of the windows of a kernel on an image.

    Parameters
    ----------
    op
        Operation that error messages name.
    kernel, stride, dilation
        Pairs of integers >= 1.
    padding
        ((top, bottom), (left, right)).
    """

    op: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]

    @classmethod
    def of(
        cls, op: str, kernel_size: Pair, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1
    ) -> Windows:
        """Check the options of an operation.

        Padding is a number, a pair, or a word with SciPy's meaning for a correlation:
        "valid" (none), "full" (every window that touches the image), "same" (the middle
        of "full", of the image's size when the stride is 1). If "same" needs an odd number
        of zeros, the extra one comes after the image, as in `scipy.signal.correlate2d`
        and PyTorch.

        Raises
        ------
        ShapeError
            If an option is out of range.
        """
        kernel = pair(op, "kernel_size", kernel_size, 1)
        dilation = pair(op, "dilation", dilation, 1)
        reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        padding = plain_array(padding)
        if padding == "valid":
            pads = [(0, 0), (0, 0)]
        elif padding == "same":
            pads = [(r // 2, r - r // 2) for r in reach]
        elif padding == "full":
            pads = [(r, r) for r in reach]
        elif isinstance(padding, str):
            raise ShapeError(
                f"{op}: argument padding expected 'valid', 'same', 'full' or numbers, "
                f"got {padding!r}"
            )
        else:
            pads = [(p, p) for p in pair(op, "padding", padding, 0)]
        return cls(op, kernel, pair(op, "stride", stride, 1), (pads[0], pads[1]), dilation)

    @property
    def span(self) -> tuple[int, int]:
        """Height and width of the dilated kernel."""
        kh, kw = self.kernel
        dh, dw = self.dilation
        return (kh - 1) * dh + 1, (kw - 1) * dw + 1

    def padded(self, size: Sequence[int]) -> tuple[int, int]:
        """Return the size of an image with its padding."""
        return size[0] + sum(self.padding[0]), size[1] + sum(self.padding[1])

    def output_size(self, size: Sequence[int]) -> tuple[int, int]:
        """Return (Ho, Wo) for an image of size (H, W).

        Raises
        ------
        ShapeError
            If the kernel is larger than the padded image.
        """
        padded = self.padded(size)
        span = self.span
        if padded[0] < span[0] or padded[1] < span[1]:
            raise ShapeError(
                f"{self.op}: expected an image of at least the kernel's extent {span}, "
                f"got {tuple(size)} ({padded} with padding); pad more or use a smaller kernel"
            )
        sh, sw = self.stride
        return (padded[0] - span[0]) // sh + 1, (padded[1] - span[1]) // sw + 1

    def pad(self, xp: Namespace, x: Array, value: float = 0.0) -> Array:
        """Return images (N, C, H, W) with a border of `value`, or x itself if there is none."""
        (top, bottom), (left, right) = self.padding
        if not (top or bottom or left or right):
            return x
        n, c, height, width = x.shape
        y = xp.full((n, c, *self.padded((height, width))), value, dtype=x.dtype)
        y[:, :, top : top + height, left : left + width] = x
        return y

    def view(self, xp: Namespace, padded: Array) -> Array:
        """Return the windows of padded images as a view: (N, C, Ho, Wo, kh, kw)."""
        windows = xp.lib.stride_tricks.sliding_window_view(padded, self.span, axis=(2, 3))
        sh, sw = self.stride
        dh, dw = self.dilation
        return windows[:, :, ::sh, ::sw, ::dh, ::dw]

    def taps(self, padded: Array, size: Sequence[int]) -> Iterator[Array]:
        """Yield the pixels at each place of all windows, (N, C, Ho, Wo), as views.

        Places are in reading order; `size` is (Ho, Wo).
        """
        (kh, kw), (sh, sw), (dh, dw) = self.kernel, self.stride, self.dilation
        for i in range(kh):
            rows = slice(i * dh, i * dh + (size[0] - 1) * sh + 1, sh)
            for j in range(kw):
                yield padded[:, :, rows, j * dw : j * dw + (size[1] - 1) * sw + 1 : sw]

    def columns(self, xp: Namespace, x: Array) -> Array:
        """Return the windows of images (N, C, H, W) as columns: (N, C*kh*kw, Ho*Wo)."""
        # (N, C, kh, kw, Ho, Wo)
        windows = self.view(xp, self.pad(xp, x)).transpose(0, 1, 4, 5, 2, 3)
        n, c, kh, kw, ho, wo = windows.shape
        return windows.reshape(n, c * kh * kw, ho * wo)

    def scatter(self, xp: Namespace, columns: Array, size: tuple[int, int]) -> Array:
        """Return images (N, C, H, W) that sum overlapping windows: the adjoint of `columns`.

        Parameters
        ----------
        columns
            (N, C*kh*kw, Ho*Wo).
        size
            (H, W).
        """
        places = math.prod(self.kernel)
        out = self.output_size(size)
        n = len(columns)
        parts = columns.reshape(n, columns.shape[1] // places, places, *out)
        y = xp.zeros((n, parts.shape[1], *self.padded(size)), dtype=columns.dtype)
        for k, tap in enumerate(self.taps(y, out)):
            xp.add(tap, parts[:, :, k], out=tap)
        top = self.padding[0][0]
        left = self.padding[1][0]
        return y[:, :, top : top + size[0], left : left + size[1]]


@dataclass(frozen=True, slots=True)
class Correlation:
    """Shapes of a correlation whose arguments have been checked.

    Parameters
    ----------
    n
        Number of images.
    channels
        Channels C of each image.
    size
        (H, W).
    filters
        Number of filters O.
    groups
        Groups of channels; each filter sees C/groups of them.
    windows
        Positions of the filters.
    """

    n: int
    channels: int
    size: tuple[int, int]
    filters: int
    groups: int
    windows: Windows

    @property
    def out(self) -> tuple[int, int]:
        """Size (Ho, Wo) of a result."""
        return self.windows.output_size(self.size)

    @property
    def w_shape(self) -> tuple[int, int, int, int]:
        """Shape (O, C/groups, kh, kw) of the filters."""
        return self.filters, self.channels // self.groups, *self.windows.kernel


def image_shape(op: str, argument: str, x: Array) -> tuple[int, int, int, int]:
    """Return the shape (N, C, H, W) of a batch of images.

    Raises
    ------
    ShapeError
        If the array does not have four axes, or an image has no channel or pixel.
    DTypeError
        If its dtype is not floating.
    """
    if len(x.shape) != 4:
        raise ShapeError(
            f"{op}: argument {argument} expected shape (N, C, H, W), got {tuple(x.shape)}"
        )
    if 0 in x.shape[1:]:
        raise ShapeError(
            f"{op}: argument {argument} expected at least one channel and pixel, "
            f"got {tuple(x.shape)}"
        )
    if x.dtype.kind != "f":
        raise DTypeError(
            f"{op}: argument {argument} expected a floating dtype, got {x.dtype}; "
            "use .astype('float32')"
        )
    shape: tuple[int, int, int, int] = x.shape
    return shape
