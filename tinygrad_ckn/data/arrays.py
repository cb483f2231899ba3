"""Conversion of arrays from files to float32 images (n, C, H, W) on the training scale.

Axes: n images, C channels, H rows, W columns. `source` begins the error messages: the
file, and the key or part of it.
"""

import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.chunks import slices
from tinygrad_ckn.data.lazy import arrange_lazy
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data.shapes import arrange
from tinygrad_ckn.data_format import DataFormat, PixelRange, Stored, warn_of_two_scales
from tinygrad_ckn.errors import DataError, DataWarning
from tinygrad_ckn.lazy_images import is_lazy

# Largest integer pixel, unless the user says otherwise.
BYTES = 255
# Number of images in which a wrong pixel is looked for at a time.
_BLOCK = 1024
_STORED: dict[str, Stored] = {"b": "booleans", "i": "integers", "u": "integers", "f": "floats"}


def scale_bytes(pixels: NDArray[np.integer[Any]], top: int = BYTES) -> NDArray[np.float32]:
    """Return integer pixels 0..top as float32 in [0, 1]: one copy, divided in place."""
    scaled = pixels.astype(np.float32, order="C")
    scaled /= top
    return scaled


def format_of_bytes(images: NDArray[np.float32], top: int = BYTES) -> DataFormat:
    """Return the format of images (n, C, H, W) that were integer pixels 0..top."""
    return replace(DataFormat.of_arrays(images), stored="integers", scale=float(top))


def check_finite(
    images: NDArray[np.floating[Any]], source: str, numbers: NDArray[np.integer[Any]] | None = None
) -> None:
    """Raise a DataError that names the first NaN or infinity of an array.

    `numbers` (n,) are the indices of the images; None: 0 .. n - 1. Lazy images are checked
    when they are read.
    """
    if is_lazy(images) or not images.size:
        return
    # The minimum and maximum of NaN are NaN; no array of the size of the images is made.
    if np.isfinite(images.min()) and np.isfinite(images.max()):
        return
    first = tuple(int(i) for i in np.argwhere(~np.isfinite(images))[0])
    index = first if numbers is None else (int(numbers[first[0]]), *first[1:])
    raise DataError(
        f"{source}: expected finite pixels, got {images[first]} at index {index}; remove or repair "
        "that image"
    )


def as_images(
    array: NDArray[Any], source: str, reading: Reading, count: int | None = None
) -> tuple[NDArray[np.float32], DataFormat]:
    """Return an array of images in the library's format.

    Parameters
    ----------
    array : NDArray, shape (n, H, W), (n, C, H, W) or (n, H, W, C)
        Integers, booleans or finite floats; if the shape is known also rows (n, C H W),
        or a single image. Lazy ones give lazy images.
    source : str
        Name of the array in error messages.
    reading : Reading
        How to read it.
    count : int, optional
        The number of images, if known.

    Returns
    -------
    images : NDArray[np.float32], shape (n, C, H, W)
        C-contiguous.
    data_format : DataFormat
        How they were read, without classes.

    Raises
    ------
    DataError
        For an empty array, another dtype, NaN or infinity; for an unexpected or
        ambiguous shape or scale.
    """
    images: Any
    if is_lazy(array):
        images, channels_last = arrange_lazy(array, reading, source, count)
    else:
        images, channels_last = arrange(array, reading, source, count)
    if images.dtype.kind not in _STORED:
        raise DataError(
            f"{source}: expected pixels of dtype uint8 or float32, got {images.dtype}; store one "
            "of these"
        )
    return scaled(images, _STORED[images.dtype.kind], channels_last, source, reading)


def scaled(
    images: NDArray[Any], stored: Stored, channels_last: bool, source: str, reading: Reading
) -> tuple[NDArray[np.float32], DataFormat]:
    """Return images (n, C, H, W) on the scale of the training images, and their format.

    The images are C-contiguous.

    Raises
    ------
    DataError
        For NaN or infinity, and for pixels on another scale than expected.
    """
    lazy: Any = images
    in_blocks = bool(is_lazy(images))
    floats: Any = None if in_blocks else _as_floats(images, stored, source)
    scale = _scale(images, stored, source, reading)

    def convert(block: NDArray[Any], numbers: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        return _divided(_as_floats(block, stored, source, numbers), scale, block)

    if in_blocks:
        floats = lazy.map(convert, images.shape[1:], np.float32)
    else:
        floats = _divided(floats, scale, images)
    channels, height, width = floats.shape[1:]
    data_format = DataFormat(
        (channels, height, width),
        PixelRange.of(floats),
        scale=scale,
        stored=stored,
        channels_last=channels_last,
    )
    like = reading.like
    if like is None:
        warn_of_two_scales(floats, source)
    certain = (
        like is not None and stored == like.stored == "integers" and scale == like.scale == BYTES
    )
    if like is not None and reading.scale is None and not certain:
        hint = "pass the divisor of its pixels, or 1, as argument scale"
        like.pixels.check(floats, source, hint, warn=False)
    return floats, data_format


def warn_of_memory(images: Iterable[NDArray[Any]], source: str, reading: Reading) -> None:
    """Warn of parts that are in memory, and take more of it than the user says."""
    count = sum(array.nbytes for array in images if not is_lazy(array))
    if reading.memory is None or count <= reading.memory:
        return
    warnings.warn(
        f"{source}: expected images that take at most {reading.memory:,} bytes of memory, got "
        f"{count:,} in parts that are read whole; in blocks are read larger parts alone, of IDX, "
        "CIFAR and STL-10 files, pictures, and .npy files in C order",
        DataWarning,
        stacklevel=3,
    )


def _as_floats(
    images: NDArray[Any],
    stored: Stored,
    source: str,
    numbers: NDArray[np.integer[Any]] | None = None,
) -> NDArray[np.float32]:
    """Return pixels as float32, C-contiguous, after checking them."""
    with np.errstate(over="ignore"):
        # A float64 beyond float32 becomes an infinity, which is refused by its index.
        floats = np.ascontiguousarray(images, dtype=np.float32)
    if stored == "floats":
        check_finite(floats, source, numbers)
    return floats


def _divided(
    floats: NDArray[np.float32], scale: float, images: NDArray[Any]
) -> NDArray[np.float32]:
    """Return pixels divided by the scale, in place unless they are the images themselves."""
    if scale == 1:
        return floats
    return np.divide(floats, np.float32(scale), out=None if floats is images else floats)


def _scale(images: NDArray[Any], stored: Stored, source: str, reading: Reading) -> float:
    """Return the divisor of the pixels: given, of the training, or the only possible."""
    like = reading.like
    if reading.scale is not None:
        return reading.scale
    if stored == "booleans":
        return 1.0
    if like is None:
        return 1.0 if stored == "floats" else _of_bytes(images, source)
    if stored == like.stored:
        return (
            _of_bytes(images, source) if (stored, like.scale) == ("integers", BYTES) else like.scale
        )
    return _scale_of_others(images, stored, source, like)


def _scale_of_others(images: NDArray[Any], stored: Stored, source: str, like: DataFormat) -> float:
    """Return the divisor of pixels stored differently from the training images.

    Floats in [0, 1] have been divided. Integers are on the scale of the training images
    before their division, if they were divided; otherwise on the scale of the training
    images, or, if that is [0, 1], on 0..255.
    """
    lowest = float(images.min())
    highest = float(images.max())
    in_unit = 0 <= lowest <= highest <= 1
    if stored == "floats" and (in_unit or like.stored == "booleans"):
        return 1.0
    if stored == "integers" and like.scale != 1:
        return like.scale
    if stored == "integers" and like.pixels.low >= 0:
        if like.pixels.high > 1 or (in_unit and (like.stored == "booleans" or not highest)):
            return 1.0
        if not in_unit:
            return _of_bytes(images, source)
    raise DataError(
        f"{source}: expected {like.stored} as those the model was trained on, whose pixels were "
        f"divided by {like.scale:g} and are {like.pixels.low:g} to {like.pixels.high:g}, got "
        f"{stored} from {lowest:g} to {highest:g}; pass their divisor as argument scale"
    )


def _of_bytes(images: NDArray[Any], source: str) -> float:
    """Return 255, or raise a DataError that names the first integer outside 0..255."""
    if images.dtype == np.uint8 or (images.min() >= 0 and images.max() <= BYTES):
        return float(BYTES)
    for rows in slices(len(images), _BLOCK):
        block = images[rows]
        wrong = np.argwhere((block < 0) | (block > BYTES))
        if len(wrong):
            break
    number, *position = wrong[0].tolist()
    raise DataError(
        f"{source}: expected integer pixels 0 .. {BYTES}, got {block[(number, *position)]:g} at "
        f"index {(rows.start + number, *position)}; pass the divisor of the pixels as argument "
        "scale, or store floats"
    )
