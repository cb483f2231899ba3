"""How images are stored: as the user says, or as a model remembers, before any guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Self

from tinygrad_ckn.checks import positive
from tinygrad_ckn.data_format import DataFormat, ImageShape
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.integers import is_whole


@dataclass(frozen=True)
class Reading:
    """How to read images: as the user says, otherwise like the training images.

    Parameters
    ----------
    image_shape : tuple[int, int, int] or None
        (C, H, W).
    channels_last : bool or None
        Whether pixels are stored in the order (H, W, C).
    header : bool or None
        Whether CSV files begin with a header.
    scale : float or None
        Divisor of the pixels.
    like : DataFormat or None
        The format of the training images of the model that reads these.
    """

    image_shape: Annotated[
        ImageShape | None,
        "Channels, height and width of each image. Default: rows of pixels are grey squares.",
    ] = None
    channels_last: Annotated[
        bool | None,
        "Order of the pixels in .npz, .npy and .csv files: (H, W, C) or (C, H, W). Default: "
        "detected in arrays, (C, H, W) in .csv files.",
    ] = None
    header: Annotated[
        bool | None,
        "Whether .csv files begin with a header. Default: detected, unless the header is all "
        "numbers.",
    ] = None
    scale: Annotated[
        float | None, "Divisor of the pixels. Default: 255 for integers, 1 for floats."
    ] = None
    like: DataFormat | None = None

    @classmethod
    def of(
        cls,
        image_shape: Sequence[int] | None = None,
        channels_last: bool | None = None,
        header: bool | None = None,
        scale: float | None = None,
        data_format: DataFormat | None = None,
    ) -> Self:
        """Check the arguments of a loader; an image_shape (H, W) has one channel.

        Raises
        ------
        ConfigError
            If an argument is out of its range.
        """
        if scale is not None:
            positive("load", scale=scale)
            scale = float(scale)
        shape = None if image_shape is None else _shape(image_shape)
        return cls(shape, channels_last, header, scale, data_format)

    @property
    def expected_shape(self) -> ImageShape | None:
        """The shape (C, H, W) that images must have, if known."""
        return self.image_shape or (None if self.like is None else self.like.image_shape)

    def with_format(self, data_format: DataFormat) -> Self:
        """Return how to read more images of the data set with the given format."""
        return replace(self, like=data_format)

    def check_shape(self, shape: ImageShape, source: str) -> None:
        """Raise a DataError unless images have the expected shape (C, H, W)."""
        if self.expected_shape not in (None, shape):
            whose = (
                "as image_shape says" if self.image_shape else "as those the model was trained on"
            )
            raise DataError(
                f"{source}: expected images {_text(self.expected_shape)} {whose}, got "
                f"{_text(shape)}; bring them to that size"
            )


def _shape(image_shape: Sequence[int]) -> ImageShape:
    """Return (C, H, W) for an argument (C, H, W) or (H, W)."""
    sizes = (
        tuple(image_shape)
        if isinstance(image_shape, Sequence) and not isinstance(image_shape, str)
        else ()
    )
    if len(sizes) not in (2, 3) or not all(is_whole(size, 1) for size in sizes):
        raise ConfigError(
            f"load: argument image_shape expected (C, H, W) or (H, W), got {image_shape!r}"
        )
    channels, height, width = [1, *sizes][-3:]
    return int(channels), int(height), int(width)


def _text(shape: ImageShape | None) -> str:
    """Return a shape as text, such as 3x32x32."""
    return "x".join(str(size) for size in shape or ())
