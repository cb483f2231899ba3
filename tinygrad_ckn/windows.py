"""The geometry of sliding windows, shared by unfold, fold, correlate2d and pooling.

N batch, C channels, H x W image, kh x kw kernel, Ho x Wo windows; every pair is
(vertical, horizontal).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

from tinygrad_ckn.backend import Namespace, is_whole
from tinygrad_ckn.errors import DTypeError, ShapeError
from tinygrad_ckn.plain import plain_array

Pair: TypeAlias = int | Sequence[int]
Padding: TypeAlias = int | Sequence[int] | str


def is_finite(value: object) -> bool:
    """Tell whether a value is a finite real number, Python's or NumPy's."""
    return isinstance(value, Real) and math.isfinite(value)


def pair(op: str, argument: str, value: Pair, least: int) -> tuple[int, int]:
    """Return an option as (vertical, horizontal).

    Raises
    ------
    ShapeError
        If it is no integer of at least `least`, nor two of them.
    """
    value = plain_array(value)
    both: tuple[Any, ...] = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(both) != 2 or not all(is_whole(n, least) for n in both):
        raise ShapeError(
            f"{op}: argument {argument} expected an integer >= {least} or two of them, got {value!r}"
        )
    return int(both[0]), int(both[1])


@dataclass(frozen=True, slots=True)
class Windows:
    """Where the windows of a kernel lie on an image."""

    op: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    # (top, bottom), (left, right)
    padding: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]

    @classmethod
    def of(
        cls, op: str, kernel_size: Pair, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1
    ) -> Windows:
        """Read the options as users write them.

        Padding is a number, a pair, or a word with SciPy's meaning for a correlation:
        "valid" (none), "full" (every window that touches the image), "same" (the middle
        of "full", of the image's size when the stride is 1; if the zeros do not halve,
        the odd one comes after the image, as in `scipy.signal.correlate2d` and
        PyTorch).
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
                f"{op}: argument padding expected 'valid', 'same', 'full' or numbers, got {padding!r}"
            )
        else:
            pads = [(p, p) for p in pair(op, "padding", padding, 0)]
        return cls(op, kernel, pair(op, "stride", stride, 1), (pads[0], pads[1]), dilation)

    @property
    def span(self) -> tuple[int, int]:
        """Height and width that a dilated kernel covers."""
        return (self.kernel[0] - 1) * self.dilation[0] + 1, (self.kernel[1] - 1) * self.dilation[
            1
        ] + 1

    def padded(self, size: Sequence[int]) -> tuple[int, int]:
        """Return the size of an image with its padding."""
        return size[0] + sum(self.padding[0]), size[1] + sum(self.padding[1])

    def output_size(self, size: Sequence[int]) -> tuple[int, int]:
        """Return (Ho, Wo) for an image of (H, W).

        Raises
        ------
        ShapeError
            If the kernel is larger than the padded image.
        """
        padded, span = self.padded(size), self.span
        if padded[0] < span[0] or padded[1] < span[1]:
            raise ShapeError(
                f"{self.op}: expected an image of at least the kernel's extent {span}, got {tuple(size)} "
                f"({padded} with padding); pad more or use a smaller kernel"
            )
        return (padded[0] - span[0]) // self.stride[0] + 1, (padded[1] - span[1]) // self.stride[
            1
        ] + 1

    def pad(self, xp: Namespace, x: Any, value: float = 0.0) -> Any:
        """Return an (N, C, H, W) array with its border."""
        (top, bottom), (left, right) = self.padding
        if not (top or bottom or left or right):
            return x
        n, c, height, width = x.shape
        y = xp.full((n, c, *self.padded((height, width))), value, dtype=x.dtype)
        y[:, :, top : top + height, left : left + width] = x
        return y

    def view(self, xp: Namespace, padded: Any) -> Any:
        """Return the windows of a padded (N, C, H, W) array as a view: (N, C, Ho, Wo, kh, kw)."""
        windows = xp.lib.stride_tricks.sliding_window_view(padded, self.span, axis=(2, 3))
        (sh, sw), (dh, dw) = self.stride, self.dilation
        return windows[:, :, ::sh, ::sw, ::dh, ::dw]

    def columns(self, xp: Namespace, x: Any) -> Any:
        """Return the windows of an (N, C, H, W) array as columns: (N, C*kh*kw, Ho*Wo)."""
        windows = self.view(xp, self.pad(xp, x)).transpose(
            0, 1, 4, 5, 2, 3
        )  # (N, C, kh, kw, Ho, Wo)
        n, c, kh, kw, ho, wo = windows.shape
        return windows.reshape(n, c * kh * kw, ho * wo)

    def scatter(self, xp: Namespace, columns: Any, size: tuple[int, int]) -> Any:
        """Add columns (N, C*kh*kw, Ho*Wo) up at their windows' places: (N, C, H, W), the adjoint of `columns`."""
        (kh, kw), (sh, sw), (dh, dw) = self.kernel, self.stride, self.dilation
        ho, wo = self.output_size(size)
        n = len(columns)
        parts = columns.reshape(n, columns.shape[1] // (kh * kw), kh, kw, ho, wo)
        y = xp.zeros((n, parts.shape[1], *self.padded(size)), dtype=columns.dtype)
        for i in range(kh):
            for j in range(kw):
                rows = slice(i * dh, i * dh + (ho - 1) * sh + 1, sh)
                cols = slice(j * dw, j * dw + (wo - 1) * sw + 1, sw)
                y[:, :, rows, cols] += parts[:, :, i, j]
        top, left = self.padding[0][0], self.padding[1][0]
        return y[:, :, top : top + size[0], left : left + size[1]]


@dataclass(frozen=True, slots=True)
class Correlation:
    """What a correlation is of, once its arguments are known to fit: (n, channels, *size) with (filters, ...)."""

    n: int
    channels: int
    size: tuple[int, int]
    filters: int
    groups: int
    windows: Windows

    @property
    def out(self) -> tuple[int, int]:
        """The size (Ho, Wo) of a result."""
        return self.windows.output_size(self.size)

    @property
    def w_shape(self) -> tuple[int, int, int, int]:
        """The shape of the filters, (O, C/groups, kh, kw)."""
        return self.filters, self.channels // self.groups, *self.windows.kernel


def image_shape(op: str, argument: str, x: Any) -> tuple[int, int, int, int]:
    """Return the shape (N, C, H, W) of a batch of images.

    Raises
    ------
    ShapeError
        If the array has not four axes.
    DTypeError
        If its dtype is not floating.
    """
    if len(x.shape) != 4:
        raise ShapeError(
            f"{op}: argument {argument} expected shape (N, C, H, W), got {tuple(x.shape)}"
        )
    if 0 in x.shape[1:]:
        raise ShapeError(
            f"{op}: argument {argument} expected at least one channel and pixel, got {tuple(x.shape)}"
        )
    if x.dtype.kind != "f":
        raise DTypeError(
            f"{op}: argument {argument} expected a floating dtype, got {x.dtype}; use .astype('float32')"
        )
    shape: tuple[int, int, int, int] = x.shape
    return shape
