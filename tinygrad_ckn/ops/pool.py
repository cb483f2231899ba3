"""Pooling. Average and Gaussian pooling are linear and separable: y = R x C^T with a banded matrix per axis.

N batch, C channels, H x W image, Ho x Wo output, R (Ho, H), C (Wo, W).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from tinygrad_ckn.backend import CPU, Array, Namespace, backend_of, place_of, xp_of
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.elementwise import where
from tinygrad_ckn.ops.window import fold
from tinygrad_ckn.plain import plain_array
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.windows import Pair, Windows, image_shape, is_finite, pair

Subsampling: TypeAlias = float | Sequence[float]


def _separable(xp: Namespace, x: Any, rows: Any, columns: Any) -> Any:
    """Return R x C^T for every image and channel, of matrices without negative elements."""

    def product(x: Any) -> Any:
        return xp.matmul(rows, xp.matmul(x, columns.T))

    y = product(x)
    # A device is not asked, for to ask is to wait for it.
    return (
        y
        if not backend_of(x).asynchronous and bool(xp.isfinite(y).all())
        else where_seen(xp, product, x)
    )


def where_seen(xp: Namespace, linear: Callable[[Any], Any], x: Any) -> Any:
    """Return a linear map of x without negative weights in which NaN and infinity are but where they have a weight.

    In a product with a matrix the zeros count: 0 * NaN is NaN. So the finite numbers
    are mapped, and of each of the others where it is.
    """
    y = linear(xp.where(xp.isfinite(x), x, 0))
    for value, places in (
        (math.inf, x == math.inf),
        (-math.inf, x == -math.inf),
        (math.nan, xp.isnan(x)),
    ):
        y = xp.where(linear(places.astype(x.dtype)) > 0, y + value, y)
    return y


def gaussian_size(size: tuple[int, int], subsampling: tuple[float, float]) -> tuple[int, int]:
    """Return (Ho, Wo) of Gaussian pooling: centres at i * subsampling within the image, on each axis."""
    return _gaussian_length(size[0], subsampling[0]), _gaussian_length(size[1], subsampling[1])


def _gaussian_length(length: int, subsampling: float) -> int:
    return math.floor((length - 1) / subsampling + 1e-9) + 1


@functools.lru_cache(maxsize=64)
def _gaussian_matrix(xp: Namespace, length: int, subsampling: float, dtype: Any, place: int) -> Any:
    """Return the (Ho, H) matrix of one axis: row i holds exp(-(z - i s)^2 / s^2), |z - i s| <= s, over its full sum.

    `place` is the device that it is for, and in use: matrices are kept.
    """
    centres = [i * subsampling for i in range(_gaussian_length(length, subsampling))]
    reach = math.ceil(subsampling) + 1
    rows = []
    for centre in centres:
        nearest = round(centre)
        weights = {
            z: math.exp(-(((z - centre) / subsampling) ** 2))
            if subsampling > 1
            else float(z == nearest)
            for z in range(nearest - reach, nearest + reach + 1)
            if math.fabs(z - centre) <= subsampling + 1e-9
        }
        total = math.fsum(weights.values())
        rows.append([weights.get(z, 0.0) / total for z in range(length)])
    return xp.asarray(rows, dtype=dtype)


def gaussian_matrices(
    xp: Namespace,
    size: tuple[int, int],
    subsampling: tuple[float, float],
    dtype: Any,
    place: int = -1,
) -> tuple[Any, Any]:
    """Return the matrices R (Ho, H) and C (Wo, W) of Gaussian pooling, y = R x C^T; `place`: see `place_of`."""
    rows, columns = (_gaussian_matrix(xp, size[a], subsampling[a], dtype, place) for a in (0, 1))
    return rows, columns


def check_subsampling(op: str, subsampling: Subsampling) -> tuple[float, float]:
    """Return a subsampling as (vertical, horizontal); a ShapeError unless both are numbers of at least 1."""
    subsampling = plain_array(subsampling)
    both = tuple(subsampling) if isinstance(subsampling, Sequence) else (subsampling, subsampling)
    if len(both) != 2 or not all(is_finite(s) and s >= 1 for s in both):
        raise ShapeError(
            f"{op}: argument subsampling expected a number >= 1 or two of them, got {subsampling!r}"
        )
    return float(both[0]), float(both[1])


@primitive()
def gaussian_pool2d(xp: Namespace, x: Array, subsampling: Subsampling) -> Any:
    """Return Gaussian-weighted means around positions `subsampling` apart: (N, C, H, W) -> (N, C, Ho, Wo).

    Output i is centred at i*s, i = 0 .. floor((H-1)/s), with weights exp(-(z - i s)^2 /
    s^2) over |z - i s| <= s that sum to 1 as if the image went on; outside it is zero.
    s may be fractional; s = 1 is the identity; a pair is (vertical, horizontal).
    Source: Mairal 2016 (arXiv 1605.06265), with this truncation.

    Raises
    ------
    ShapeError
        If x has not four axes or the subsampling is below 1.

    Examples
    --------
    >>> gaussian_pool2d(Tensor([[[[1.0], [1.0], [1.0], [1.0], [1.0]]]]), 2).numpy().round(3).ravel().tolist()
    [0.198, 0.304, 0.198]
    """
    height, width = image_shape("gaussian_pool2d", "x", x)[2:]
    s = check_subsampling("gaussian_pool2d", subsampling)
    return _separable(xp, x, *gaussian_matrices(xp, (height, width), s, x.dtype, place_of(x)))


def check_cotangent(y: Any, size: tuple[int, int], subsampling: Subsampling) -> tuple[float, float]:
    """Check the arguments of `gaussian_unpool2d`; return the subsampling as (vertical, horizontal)."""
    s = check_subsampling("gaussian_unpool2d", subsampling)
    expected = gaussian_size(size, s)
    if image_shape("gaussian_unpool2d", "y", y)[2:] != expected:
        raise ShapeError(
            f"gaussian_unpool2d: argument y expected size {expected} for images {size}, got {y.shape}"
        )
    return s


@primitive()
def gaussian_unpool2d(
    xp: Namespace, y: Array, size: tuple[int, int], subsampling: Subsampling
) -> Any:
    """Return the adjoint of `gaussian_pool2d` for images of `size` (H, W): (N, C, Ho, Wo) -> (N, C, H, W).

    Raises
    ------
    ShapeError
        If y is not of the size that pooling gives.

    Examples
    --------
    >>> gaussian_unpool2d(Tensor([[[[1.0]]]]), (1, 2), 2).numpy().round(3).ravel().tolist()
    [0.092, 0.072]
    """
    s = check_cotangent(y, size, subsampling)
    rows, columns = gaussian_matrices(xp, size, s, y.dtype, place_of(y))
    return _separable(xp, y, rows.T, columns.T)


gaussian_pool2d.vjp(
    x=lambda g, x_shape, subsampling: gaussian_unpool2d(g, x_shape[2:], subsampling)
)
gaussian_unpool2d.vjp(y=lambda g, subsampling: gaussian_pool2d(g, subsampling))


@functools.lru_cache(maxsize=64)
def _box_matrix(length: int, kernel: int, stride: int, padding: int, dtype: Any) -> Any:
    """Return the (Ho, H) matrix of one axis, on the host: 1/kernel within each window."""
    starts = range(-padding, length + padding - kernel + 1, stride)
    return CPU.xp.asarray(
        [[float(i <= z < i + kernel) / kernel for z in range(length)] for i in starts], dtype=dtype
    )


def _box_matrices(size: tuple[int, int], windows: Windows, dtype: Any) -> list[Any]:
    return [
        _box_matrix(size[a], windows.kernel[a], windows.stride[a], windows.padding[a][0], dtype)
        for a in (0, 1)
    ]


def average_matrices(
    xp: Namespace, size: tuple[int, int], subsampling: tuple[float, float], dtype: Any
) -> tuple[Any, Any]:
    """Return the matrices R (Ho, H) and C (Wo, W) of means of windows that do not overlap, y = R x C^T."""
    rows, columns = (
        _box_matrix(n, int(s), int(s), 0, dtype) for n, s in zip(size, subsampling, strict=True)
    )
    return xp.asarray(rows), xp.asarray(columns)


def _pooling(op: str, kernel_size: Pair, stride: Pair | None, padding: Pair) -> Windows:
    # no words: "same" is not symmetric
    before = pair(op, "padding", padding, 0)
    windows = Windows.of(op, kernel_size, kernel_size if stride is None else stride, before)
    if any(2 * before > k for (before, _), k in zip(windows.padding, windows.kernel, strict=True)):
        raise ShapeError(
            f"{op}: argument padding expected at most half of kernel_size {kernel_size}, got {padding}"
        )
    return windows


@primitive()
def avg_pool2d(
    xp: Namespace, x: Array, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Any:
    """Return the mean of each window, zeros of the padding included: (N, C, H, W) -> (N, C, Ho, Wo).

    `stride` is `kernel_size` by default.

    Raises
    ------
    ShapeError
        If x has not four axes, the window does not fit, or the padding is more than
        half of it.

    Examples
    --------
    >>> avg_pool2d(Tensor([[[[1.0, 3.0], [5.0, 7.0]]]]), 2).item()
    4.0
    """
    size = image_shape("avg_pool2d", "x", x)[2:]
    windows = _pooling("avg_pool2d", kernel_size, stride, padding)
    windows.output_size(size)
    if backend_of(x) is CPU:
        return _separable(xp, x, *_box_matrices(size, windows, x.dtype))
    return windows.view(xp, windows.pad(xp, x)).mean(axis=(4, 5))


@primitive()
def avg_unpool2d(
    xp: Namespace,
    y: Array,
    size: tuple[int, int],
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
) -> Any:
    """Return the adjoint of `avg_pool2d` for images of `size` (H, W): (N, C, Ho, Wo) -> (N, C, H, W).

    Raises
    ------
    ShapeError
        If y is not of the size that pooling gives.

    Examples
    --------
    >>> avg_unpool2d(Tensor([[[[4.0]]]]), (2, 2), 2)
    Tensor((1, 1, 2, 2), float64, cpu) [[[[1. 1.] [1. 1.]]]]
    """
    windows = _pooling("avg_unpool2d", kernel_size, stride, padding)
    size = pair("avg_unpool2d", "size", size, 1)
    expected = windows.output_size(size)
    if image_shape("avg_unpool2d", "y", y)[2:] != expected:
        raise ShapeError(
            f"avg_unpool2d: argument y expected size {expected} for images {size}, got {y.shape}"
        )
    if backend_of(y) is CPU:
        rows, columns = _box_matrices(size, windows, y.dtype)
        return _separable(xp, y, rows.T, columns.T)
    n, c, ho, wo = y.shape
    taps = windows.kernel[0] * windows.kernel[1]
    spread = xp.broadcast_to((y / taps).reshape(n, c, 1, ho * wo), (n, c, taps, ho * wo))
    return windows.scatter(xp, spread.reshape(n, c * taps, ho * wo), size)


avg_pool2d.vjp(
    x=lambda g, x_shape, kernel_size, stride, padding: avg_unpool2d(
        g, x_shape[2:], kernel_size, stride, padding
    )
)
avg_unpool2d.vjp(
    y=lambda g, kernel_size, stride, padding: avg_pool2d(g, kernel_size, stride, padding)
)


@primitive()
def max_pool2d(
    xp: Namespace, x: Array, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Any:
    """Return the maximum of each window: (N, C, H, W) -> (N, C, Ho, Wo); padding never wins.

    `stride` is `kernel_size` by default. Of equal maxima the first in reading order
    gets the gradient.

    Raises
    ------
    ShapeError
        If x has not four axes, the window does not fit, or the padding is more than
        half of it.

    Examples
    --------
    >>> max_pool2d(Tensor([[[[1.0, 3.0], [5.0, 7.0]]]]), 2).item()
    7.0
    """
    size = image_shape("max_pool2d", "x", x)[2:]
    windows = _pooling("max_pool2d", kernel_size, stride, padding)
    windows.output_size(size)
    return windows.view(xp, windows.pad(xp, x, -math.inf)).max(axis=(4, 5))


def _max_pool2d_rule(g: Any, x: Any, kernel_size: Pair, stride: Pair | None, padding: Pair) -> Any:
    """Put g on the winner of each window, and 0, whatever g is, on its other taps."""
    x = unwrap(x)
    windows = _pooling("max_pool2d", kernel_size, stride, padding)
    n, c, ho, wo = g.shape
    kh, kw = windows.kernel
    xp = xp_of(x)
    taps = windows.view(xp, windows.pad(xp, x, -math.inf)).reshape(n, c, ho * wo, kh * kw)
    # (N, C, kh*kw, L)
    winners = taps.argmax(axis=3)[:, :, None] == xp.arange(kh * kw)[:, None]
    columns = where(winners, g.reshape((n, c, 1, ho * wo)), 0).reshape((n, c * kh * kw, ho * wo))
    return fold(columns, x.shape[2:], kernel_size, stride=windows.stride, padding=padding)


max_pool2d.vjp(x=_max_pool2d_rule)
