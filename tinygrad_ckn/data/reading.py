"""How images are stored: as the user says, or as a model remembers, before any guess."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, NewType, Self, TypeAlias

from tinygrad_ckn.backend import Shape
from tinygrad_ckn.checks import positive
from tinygrad_ckn.data_format import DataFormat, ImageShape
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.integers import is_whole
from tinygrad_ckn.lazy_images import default_memory

ByteCount = NewType("ByteCount", int)
Size: TypeAlias = tuple[int, int]


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
    label : str or None
        "first", "last", or the name of the column of labels in CSV files; "fine" or "coarse"
        for CIFAR-100.
    scale : float or None
        Divisor of the pixels.
    resize : tuple[int, int] or None
        (H, W) that pictures are resized to.
    crop : bool or None
        Whether pictures are cropped to the aspect ratio of `resize` first.
    grey, rgb : bool or None
        Whether pictures are converted to grey, or to RGB.
    skip_broken : bool or None
        Whether pictures that cannot be read are left out.
    memory : int or None
        Bytes that all images may take in memory; None: a quarter of what the process may
        use. More are read in blocks, as `LazyImages`.
    like : DataFormat or None
        The format of the training images of the model that reads these.
    group : str or None
        What says which images are of one group: the column of a table, the array of an
        .npz file, "folder" or "prefix" for pictures. Images read like those of a training
        may lack it.
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
    resize: Annotated[
        Size | None,
        "Height and width of pictures (.png, .jpg, ...): averaged over areas to make them smaller, "
        "interpolated by Lanczos' filter to make them larger, distorted unless --crop is given.",
    ] = None
    crop: Annotated[
        bool | None, "Crop pictures around their centre to the aspect ratio of --resize first."
    ] = None
    grey: Annotated[
        bool | None, "Read pictures as grey: 0.299 red + 0.587 green + 0.114 blue (ITU-R 601)."
    ] = None
    rgb: Annotated[bool | None, "Read pictures as RGB: grey ones get three equal channels."] = None
    skip_broken: Annotated[
        bool | None, "Leave out pictures that cannot be read, with a warning that names them."
    ] = None
    label: Annotated[
        str | None,
        "Column of the labels in .csv files: first, last, or its name in the header. Default: the "
        "one named label, class, target or y; without a header detected, unless both the first "
        "and the last can be labels. For CIFAR-100: fine (the default) or coarse.",
    ] = None
    memory: Annotated[
        ByteCount | None,
        "Memory that all images may take, such as 500MB or 2GiB. More are read from IDX, CIFAR, "
        "STL-10 and .npy files and pictures in blocks, and what is computed of all is kept in "
        "temporary files; other files are read whole, with a warning. Default: a quarter of the "
        "memory.",
    ] = None
    like: DataFormat | None = None
    group: Annotated[
        str | None,
        "What says which images belong together, such as those of one subject: the column of a "
        ".csv file, the array of an .npz file, or for pictures folder (the folder inside that of "
        "the class) or prefix (of the file's name, to the first _ or -). They stay on one side of "
        "every split.",
    ] = None

    @classmethod
    def of(
        cls,
        image_shape: Sequence[int] | None = None,
        channels_last: bool | None = None,
        header: bool | None = None,
        scale: float | None = None,
        data_format: DataFormat | None = None,
        *,
        resize: Sequence[int] | None = None,
        crop: bool | None = None,
        grey: bool | None = None,
        rgb: bool | None = None,
        skip_broken: bool | None = None,
        label: str | None = None,
        memory: int | str | None = None,
        group: str | None = None,
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
        limit = None if memory is None else byte_count("load", memory)
        size = None if resize is None else _size(resize)
        if crop and size is None and (data_format is None or data_format.resize is None):
            raise ConfigError(
                "load: argument crop expected a size to crop to the aspect ratio of, got none; "
                "pass it as argument resize"
            )
        if label is not None and not (isinstance(label, str) and label.strip()):
            raise ConfigError(
                f"load: argument label expected first, last or the name of a column, got {label!r}"
            )
        if group is not None and not (isinstance(group, str) and group.strip()):
            raise ConfigError(
                "load: argument group expected the name of a column or of an array, folder or "
                f"prefix, got {group!r}"
            )
        if grey and rgb:
            raise ConfigError(
                "load: argument grey expected False with argument rgb, got both; choose one"
            )
        return cls(
            shape,
            channels_last,
            header,
            scale,
            size,
            crop,
            grey,
            rgb,
            skip_broken,
            label,
            limit,
            data_format,
            group,
        )

    @property
    def expected_shape(self) -> ImageShape | None:
        """The shape (C, H, W) that images must have, if known."""
        return self.image_shape or (None if self.like is None else self.like.image_shape)

    @property
    def memory_limit(self) -> int:
        """The bytes that all images may take in memory."""
        return default_memory() if self.memory is None else self.memory

    def is_large(self, shape: Shape) -> bool:
        """Return whether images of a shape (n, ...) would take more memory, as float32."""
        return 4 * math.prod(shape) > self.memory_limit

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


def byte_count(owner: str, memory: int | str) -> ByteCount:
    """Return a number of bytes, such as 500000000, "500MB" or "2 GiB".

    Raises
    ------
    ConfigError
        If it is something else, or less than 1.

    Examples
    --------
    >>> byte_count("load", "1.5 kB"), byte_count("load", "2GiB") == 2**31
    (1500, True)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([kmgt]?)(i?)b?", str(memory).strip().lower())
    count = 0
    if match is not None and (match[2] or not match[3]):
        base = 1024 if match[3] else 1000
        count = int(float(match[1]) * base ** " kmgt".index(match[2] or " "))
    if count < 1:
        raise ConfigError(
            f"{owner}: argument memory expected a number of bytes such as 500MB or 2GiB, got "
            f"{memory!r}"
        )
    return ByteCount(count)


def _size(resize: Sequence[int]) -> Size:
    """Return (H, W) for an argument resize."""
    sizes = tuple(resize) if isinstance(resize, Sequence) else ()
    if len(sizes) != 2 or not all(is_whole(size, 1) for size in sizes):
        raise ConfigError(f"load: argument resize expected (H, W), got {resize!r}")
    return int(sizes[0]), int(sizes[1])


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
