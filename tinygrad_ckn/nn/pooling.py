"""Pooling as modules: (N, C, H, W) -> (N, C, Ho, Wo)."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import Array
from tinygrad_ckn.nn.module import Module
from tinygrad_ckn.ops.pool import avg_pool2d, gaussian_pool2d, max_pool2d
from tinygrad_ckn.ops.pool_matrices import Subsampling, check_subsampling
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.windows import Pair, pair


class _WindowPool2d(Module):
    """What the poolings over sliding windows share: their options."""

    @plain_arguments
    def __init__(self, kernel_size: Pair, *, stride: Pair | None = None, padding: Pair = 0) -> None:
        owner = type(self).__name__
        self.kernel_size = pair(owner, "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair(owner, "stride", stride, 1)
        self.padding = pair(owner, "padding", padding, 0)

    def extra_repr(self) -> str:
        """Return the kernel's size, and the options that differ from their defaults."""
        kh, kw = self.kernel_size
        stride = f", stride={self.stride}" if self.stride != self.kernel_size else ""
        return f"{kh}x{kw}{stride}" + (
            f", padding={self.padding}" if self.padding != (0, 0) else ""
        )


class MaxPool2d(_WindowPool2d):
    """The maximum of each window.

    Parameters
    ----------
    kernel_size
        Number or (vertical, horizontal), as are the others.
    stride
        Default: `kernel_size`, so that windows do not overlap.
    padding
        On each side, at most half of `kernel_size`; it never wins.

    Raises
    ------
    ShapeError
        If an option is out of range.

    Examples
    --------
    >>> MaxPool2d(2)(Tensor([[[[1.0, 3.0], [5.0, 7.0]]]])).item()
    7.0
    """

    def forward(self, x: Array) -> Any:
        """Return the maxima."""
        return max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(_WindowPool2d):
    """The mean of each window, the padding's zeros included.

    Parameters
    ----------
    kernel_size
        Number or (vertical, horizontal), as are the others.
    stride
        Default: `kernel_size`, so that windows do not overlap.
    padding
        On each side, at most half of `kernel_size`.

    Raises
    ------
    ShapeError
        If an option is out of range.

    Examples
    --------
    >>> AvgPool2d(2)(Tensor([[[[1.0, 3.0], [5.0, 7.0]]]])).item()
    4.0
    """

    def forward(self, x: Array) -> Any:
        """Return the means."""
        return avg_pool2d(x, self.kernel_size, self.stride, self.padding)


class GaussianPool2d(Module):
    """Gaussian-weighted means around positions `subsampling` apart, as in `ops.gaussian_pool2d`.

    Parameters
    ----------
    subsampling
        At least 1, which is the identity; may be fractional; a number or (vertical,
        horizontal).

    Raises
    ------
    ShapeError
        If it is no finite number >= 1, nor two of them.

    Examples
    --------
    >>> GaussianPool2d(2)(Tensor(np.ones((1, 1, 5, 7)))).shape
    (1, 1, 3, 4)
    """

    @plain_arguments
    def __init__(self, subsampling: Subsampling) -> None:
        self.subsampling = check_subsampling("GaussianPool2d", subsampling)

    def forward(self, x: Array) -> Any:
        """Return the weighted means."""
        return gaussian_pool2d(x, self.subsampling)

    def extra_repr(self) -> str:
        """Return the subsampling."""
        return " x ".join(f"{s:g}" for s in self.subsampling)
