"""Pooling of images: Gaussian and average.

N batch, C channels, H x W image, kh x kw kernel, Ho x Wo output.
"""

from __future__ import annotations

from tinygrad_ckn.backend import CPU, Array, Namespace, backend_of, place_of
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.ops.pool_matrices import (
    Subsampling,
    box_matrices,
    check_subsampling,
    gaussian_matrices,
    gaussian_size,
    separable,
)
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.windows import Pair, Windows, image_shape, pair


@primitive()
def gaussian_pool2d(xp: Namespace, x: Array, subsampling: Subsampling) -> Array:
    """Return Gaussian-weighted means on a coarser grid: (N, C, H, W) -> (N, C, Ho, Wo).

    Output i is centered at i*s, i = 0 .. floor((H-1)/s). Its weights are exp(-(z - i
    s)^2 / s^2) over |z - i s| <= s, normalised to sum 1 in the interior; the image is 0
    outside. Source: Mairal 2016 (arXiv 1605.06265), with this truncation.

    Parameters
    ----------
    x
        Images (N, C, H, W), floating; the dtype is kept.
    subsampling
        s >= 1, in pixels: number, which may be fractional, or (vertical, horizontal); 1
        is the identity.

    Raises
    ------
    ShapeError
        If x does not have four axes, or the subsampling is below 1.
    DTypeError
        If x is not floating.

    Examples
    --------
    >>> ones = Tensor([[[[1.0], [1.0], [1.0], [1.0], [1.0]]]])
    >>> gaussian_pool2d(ones, 2).numpy().round(3).ravel().tolist()
    [0.198, 0.304, 0.198]
    """
    height, width = image_shape("gaussian_pool2d", "x", x)[2:]
    s = check_subsampling("gaussian_pool2d", subsampling)
    return separable(xp, x, *gaussian_matrices(xp, (height, width), s, x.dtype, place_of(x)))


gaussian_pool2d.vjp(
    x=lambda g, x_shape, subsampling: gaussian_unpool2d(g, x_shape[2:], subsampling)
)


@primitive()
def gaussian_unpool2d(
    xp: Namespace, y: Array, size: tuple[int, int], subsampling: Subsampling
) -> Array:
    """Return the adjoint of `gaussian_pool2d`: (N, C, Ho, Wo) -> (N, C, H, W).

    Parameters
    ----------
    y
        Pooled images (N, C, Ho, Wo), floating; the dtype is kept.
    size
        (H, W) of the images.
    subsampling
        As for `gaussian_pool2d`.

    Raises
    ------
    ShapeError
        If y does not have the size that pooling gives, or the subsampling is below 1.
    DTypeError
        If y is not floating.

    Examples
    --------
    >>> gaussian_unpool2d(Tensor([[[[1.0]]]]), (1, 2), 2).numpy().round(3).ravel().tolist()
    [0.092, 0.072]
    """
    s = check_cotangent(y, size, subsampling)
    rows, columns = gaussian_matrices(xp, size, s, y.dtype, place_of(y))
    return separable(xp, y, rows.T, columns.T)


gaussian_unpool2d.vjp(y=lambda g, subsampling: gaussian_pool2d(g, subsampling))


def check_cotangent(
    y: Array, size: tuple[int, int], subsampling: Subsampling
) -> tuple[float, float]:
    """Check the arguments of `gaussian_unpool2d`; return the subsampling as a pair."""
    s = check_subsampling("gaussian_unpool2d", subsampling)
    expected = gaussian_size(size, s)
    if image_shape("gaussian_unpool2d", "y", y)[2:] != expected:
        raise ShapeError(
            f"gaussian_unpool2d: argument y expected size {expected} for images {size}, "
            f"got {y.shape}"
        )
    return s


@primitive()
def avg_pool2d(
    xp: Namespace, x: Array, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Array:
    """Return the mean of each window: (N, C, H, W) -> (N, C, Ho, Wo).

    Zeros of the padding are part of the mean.

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
        Zeros on each side: number or (vertical, horizontal), at most half of
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
    >>> avg_pool2d(Tensor([[[[1.0, 3.0], [5.0, 7.0]]]]), 2).item()
    4.0
    """
    size = image_shape("avg_pool2d", "x", x)[2:]
    windows = pooling_windows("avg_pool2d", kernel_size, stride, padding)
    windows.output_size(size)
    if backend_of(x) is CPU:
        return separable(xp, x, *box_matrices(size, windows, x.dtype))
    return windows.view(xp, windows.pad(xp, x)).mean(axis=(4, 5))


avg_pool2d.vjp(
    x=lambda g, x_shape, kernel_size, stride, padding: avg_unpool2d(
        g, x_shape[2:], kernel_size, stride, padding
    )
)


@primitive()
def avg_unpool2d(
    xp: Namespace,
    y: Array,
    size: tuple[int, int],
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
) -> Array:
    """Return the adjoint of `avg_pool2d`: (N, C, Ho, Wo) -> (N, C, H, W).

    Parameters
    ----------
    y
        Pooled images (N, C, Ho, Wo), floating; the dtype is kept.
    size
        (H, W) of the images.
    kernel_size, stride, padding
        As for `avg_pool2d`.

    Raises
    ------
    ShapeError
        If y does not have the size that pooling gives, or an option is out of range.
    DTypeError
        If y is not floating.

    Examples
    --------
    >>> avg_unpool2d(Tensor([[[[4.0]]]]), (2, 2), 2)
    Tensor((1, 1, 2, 2), float64, cpu) [[[[1. 1.] [1. 1.]]]]
    """
    windows = pooling_windows("avg_unpool2d", kernel_size, stride, padding)
    size = pair("avg_unpool2d", "size", size, 1)
    expected = windows.output_size(size)
    if image_shape("avg_unpool2d", "y", y)[2:] != expected:
        raise ShapeError(
            f"avg_unpool2d: argument y expected size {expected} for images {size}, got {y.shape}"
        )
    if backend_of(y) is CPU:
        rows, columns = box_matrices(size, windows, y.dtype)
        return separable(xp, y, rows.T, columns.T)
    n, c, ho, wo = y.shape
    taps = windows.kernel[0] * windows.kernel[1]
    shares = xp.broadcast_to((y / taps).reshape(n, c, 1, ho * wo), (n, c, taps, ho * wo))
    return windows.scatter(xp, shares.reshape(n, c * taps, ho * wo), size)


avg_unpool2d.vjp(
    y=lambda g, kernel_size, stride, padding: avg_pool2d(g, kernel_size, stride, padding)
)


def pooling_windows(op: str, kernel_size: Pair, stride: Pair | None, padding: Pair) -> Windows:
    """Return the windows of a pooling; its padding is numbers, at most half a kernel."""
    # "same" is refused here, because it is not symmetric.
    both = pair(op, "padding", padding, 0)
    windows = Windows.of(op, kernel_size, kernel_size if stride is None else stride, both)
    if any(2 * before > k for (before, _), k in zip(windows.padding, windows.kernel, strict=True)):
        raise ShapeError(
            f"{op}: argument padding expected at most half of kernel_size {kernel_size}, "
            f"got {padding}"
        )
    return windows
