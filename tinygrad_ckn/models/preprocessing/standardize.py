"""Channels of mean 0 and standard deviation 1."""

from __future__ import annotations

import math
from typing import Any, Self

from tinygrad_ckn.backend import Shape, xp_of
from tinygrad_ckn.block_sums import sum_over
from tinygrad_ckn.models.preprocessing.base import Learned, applied
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor


class Standardize(Learned):
    """(x - mean) / std of each channel, over all pixels of the training images; a constant channel is divided by 1.

    Parameters
    ----------
    in_channels
        C; None: that of the images it is fitted to. With a number, a state can be
        loaded without fitting.

    Attributes
    ----------
    mean, std : Tensor
        (C,), float64, once fitted.

    Raises
    ------
    ConfigError
        If it is applied before it is fitted.
    ShapeError, DTypeError
        If images are not floating ones of shape (N, C, H, W).
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

    def buffer_shapes(self, in_channels: int) -> dict[str, Shape]:
        """Return the shape of each buffer by name."""
        return {"mean": (in_channels,), "std": (in_channels,)}

    def fit(self, images: Any) -> Self:
        """Learn mean and standard deviation of each channel from images (N, C, H, W); return self."""
        array, cuts = self.training_images(images)
        xp, (n, channels, height, width) = xp_of(array), array.shape
        origin = array[0, :, 0, 0].astype(
            "float64"
        )  # deviations from a pixel: of a constant channel all are 0

        def add(rows: slice, sums: Any) -> None:
            deviations = array[rows] - origin[:, None, None]
            sums[0] += deviations.sum(axis=(0, 2, 3))
            sums[1] += xp.square(deviations).sum(axis=(0, 2, 3))

        first, second = sum_over(array, add, cuts, lambda: xp.zeros((2, channels))) / (
            n * height * width
        )
        variance = second - first**2
        return self.learn(
            channels, mean=origin + first, std=xp.sqrt(xp.where(variance > 0, variance, 1))
        )

    def forward(self, x: Any) -> Any:
        """Return standardized images (N, C, H, W)."""
        shape = self.check(x)
        mean, std = (self.learned(name, x.dtype)[:, None, None] for name in ("mean", "std"))
        return applied(
            lambda block: (block - mean) / std,
            x,
            shape,
            2 * math.prod(shape[1:]) * x.dtype.itemsize,
        )

    def config(self) -> dict[str, Any]:
        """Return the name and the constructor's arguments, as JSON takes them."""
        return {"name": self.name, "in_channels": self.in_channels}
