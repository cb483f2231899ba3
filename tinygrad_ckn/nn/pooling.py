"""Pooling as modules: (N, C, H, W) -> (N, C, Ho, Wo)."""

from __future__ import annotations

from tinygrad_ckn.backend import Array
from tinygrad_ckn.nn.module import Module
from tinygrad_ckn.ops.max_pool import max_pool2d
from tinygrad_ckn.ops.pool import avg_pool2d, gaussian_pool2d
from tinygrad_ckn.ops.pool_matrices import Subsampling, check_subsampling
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import Pair, pair


class _WindowPool2d(Module):
    """Options of the poolings over sliding windows."""

    @plain_arguments
    def __init__(self, kernel_size: Pair, *, stride: Pair | None = None, padding: Pair = 0) -> None:
        owner = type(self).__name__
        self.kernel_size = pair(owner, "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair(owner, "stride", stride, 1)
        self.padding = pair(owner, "padding", padding, 0)

    def extra_repr(self) -> str:
        """Return the kernel size, and the options that differ from their defaults."""
        kh, kw = self.kernel_size
        stride = f", stride={self.stride}" if self.stride != self.kernel_size else ""
        padding = f", padding={self.padding}" if self.padding != (0, 0) else ""
        return f"{kh}x{kw}{stride}{padding}"


class MaxPool2d(_WindowPool2d):
    """Maximum of each window.

    Parameters
    ----------
    kernel_size
        (kh, kw), or one number for both, in pixels.
    stride
        Number or (vertical, horizontal); default `kernel_size`, so that windows do not
        overlap.
    padding
        Border on each side: number or (vertical, horizontal), at most half of
        `kernel_size`; never the maximum. Default 0.

    Raises
    ------
    ShapeError
        If an option is out of range.

    Examples
    --------
    >>> MaxPool2d(2)(Tensor([[[[1.0, 3.0], [5.0, 7.0]]]])).item()
    7.0
    """

    def forward(self, x: Array) -> Tensor:
        """Return the maxima of images (N, C, H, W)."""
        return max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(_WindowPool2d):
    """Mean of each window, zeros of the padding included.

    Parameters
    ----------
    kernel_size
        (kh, kw), or one number for both, in pixels.
    stride
        Number or (vertical, horizontal); default `kernel_size`, so that windows do not
        overlap.
    padding
        Zeros on each side: number or (vertical, horizontal), at most half of
        `kernel_size`; default 0.

    Raises
    ------
    ShapeError
        If an option is out of range.

    Examples
    --------
    >>> AvgPool2d(2)(Tensor([[[[1.0, 3.0], [5.0, 7.0]]]])).item()
    4.0
    """

    def forward(self, x: Array) -> Tensor:
        """Return the means of images (N, C, H, W)."""
        return avg_pool2d(x, self.kernel_size, self.stride, self.padding)


class GaussianPool2d(Module):
    """Gaussian-weighted means on a coarser grid, as `ops.gaussian_pool2d`.

    Parameters
    ----------
    subsampling
        Distance between the means, in pixels, >= 1: number, which may be fractional, or
        (vertical, horizontal); 1 is the identity.

    Raises
    ------
    ShapeError
        If it is not a finite number >= 1 or two of them.

    Examples
    --------
    >>> GaussianPool2d(2)(Tensor(np.ones((1, 1, 5, 7)))).shape
    (1, 1, 3, 4)
    """

    @plain_arguments
    def __init__(self, subsampling: Subsampling) -> None:
        self.subsampling = check_subsampling("GaussianPool2d", subsampling)

    def forward(self, x: Array) -> Tensor:
        """Return the weighted means of images (N, C, H, W)."""
        return gaussian_pool2d(x, self.subsampling)

    def extra_repr(self) -> str:
        """Return the subsampling."""
        return " x ".join(f"{s:g}" for s in self.subsampling)
