"""Standardization of channels to mean 0 and standard deviation 1."""

from __future__ import annotations

import math
from typing import Any, Self

from tinygrad_ckn.backend import Images, NDArray, Shape, xp_of
from tinygrad_ckn.block_sums import sum_over
from tinygrad_ckn.models.preprocessing.base import FittedPreprocessor, apply_in_blocks
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor


class Standardize(FittedPreprocessor):
    """Standardize each channel: (x - mean) / std over all pixels of the training images.

    A constant channel is divided by 1.

    Parameters
    ----------
    in_channels : int or None, default None
        C. None: that of the images it is fitted to. With a number, a state can be loaded
        without fitting.

    Attributes
    ----------
    mean, std : Tensor
        (C,), float64, after fitting.

    Raises
    ------
    ConfigError
        If it is applied before it is fitted.
    ShapeError, DTypeError
        If images are not floating or not of shape (N, C, H, W).
    DataError
        If it is fitted to no images, or to NaN or infinity.

    Examples
    --------
    >>> x = np.array([[[[1.0, 3.0]], [[5.0, 5.0]]]])
    >>> Standardize().fit(x)(x).tolist()
    [[[[-1.0, 1.0]], [[0.0, 0.0]]]]
    """

    name = "standardize"
    mean: Tensor
    std: Tensor

    @plain_arguments
    def __init__(self, in_channels: int | None = None) -> None:
        super().__init__(in_channels)

    def _buffer_shapes(self, in_channels: int) -> dict[str, Shape]:
        return {"mean": (in_channels,), "std": (in_channels,)}

    def fit(self, images: Images) -> Self:
        """Fit mean and standard deviation of each channel to images (N, C, H, W)."""
        array, blocks = self._training_images(images)
        xp = xp_of(array)
        n, channels, height, width = array.shape
        # Deviations are taken from a pixel, so those of a constant channel are exactly 0.
        origin = array[:1][0, :, 0, 0].astype("float64")

        def add(rows: slice, sums: NDArray[Any]) -> None:
            deviations = array[rows] - origin[:, None, None]
            sums[0] += deviations.sum(axis=(0, 2, 3))
            sums[1] += xp.square(deviations).sum(axis=(0, 2, 3))

        sums = sum_over(array, add, blocks, lambda: xp.zeros((2, channels)))
        first, second = sums / (n * height * width)
        variance = second - first**2
        std = xp.sqrt(xp.where(variance > 0, variance, 1))
        return self._set_buffers(channels, mean=origin + first, std=std)

    def forward(self, x: Images) -> Tensor:
        """Return standardized images (N, C, H, W)."""
        shape = self._check(x)
        mean = self._buffer("mean", x.dtype)[:, None, None]
        std = self._buffer("std", x.dtype)[:, None, None]
        size = 2 * math.prod(shape[1:]) * x.dtype.itemsize
        return apply_in_blocks(lambda block: (block - mean) / std, x, shape, size)

    def config(self) -> dict[str, Any]:
        """Return the name and the constructor's arguments as JSON values."""
        return {"name": self.name, "in_channels": self.in_channels}
