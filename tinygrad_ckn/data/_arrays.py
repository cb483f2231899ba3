"""Raw arrays from files to the two arrays the library works on: float32 images and int64 labels.

Axes: n images, C channels, H rows, W columns. `source` opens the error messages: the file, and the key or part of it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.errors import DataError

MAX_CLASSES = 65_536  # a larger "class number" is an identifier or a pixel read as a label


def scale_bytes(pixels: NDArray[np.integer[Any]], top: int = 255) -> NDArray[np.float32]:
    """Return whole pixels 0..top as float32 in [0, 1]: one copy, divided in place."""
    scaled = pixels.astype(np.float32, order="C")
    scaled /= top
    return scaled


def check_finite(images: NDArray[np.floating[Any]], source: str) -> None:
    """Raise a DataError that names the first NaN or infinity of a non-empty array; needs no array of its size."""
    if np.isfinite(images.min()) and np.isfinite(images.max()):  # min and max of a NaN are NaN
        return
    first = tuple(int(i) for i in np.argwhere(~np.isfinite(images))[0])
    raise DataError(
        f"{source}: expected finite pixels, got {images[first]} at index {first}; remove or mend that image"
    )


def as_images(array: NDArray[Any], source: str) -> NDArray[np.float32]:
    """Return an array of images as the library wants them.

    Parameters
    ----------
    array : NDArray, shape (n, H, W) or (n, C, H, W)
        Integers 0..255, which are divided by 255, or finite floats, which are taken as they are.
    source : str
        What to call the array in an error message.

    Returns
    -------
    NDArray[np.float32], shape (n, C, H, W)
        C-contiguous.

    Raises
    ------
    DataError
        For another rank, an empty array, channels last, another dtype, integers out of range, NaN or infinity.
    """
    if array.ndim not in (3, 4) or array.size == 0:
        raise DataError(
            f"{source}: expected at least one image, as an array (n, H, W) or (n, C, H, W), got shape {array.shape}"
        )
    if array.ndim == 4 and array.shape[3] in (1, 3) and array.shape[1] not in (1, 3):
        raise DataError(
            f"{source}: expected images (n, C, H, W), got shape {array.shape}, which looks like channels last; "
            "store images.transpose(0, 3, 1, 2)"
        )
    images = array[:, np.newaxis] if array.ndim == 3 else array  # (n, C, H, W)
    if images.dtype.kind in "iu":
        _check_bytes(images, source)
        return scale_bytes(images)
    if images.dtype.kind != "f":
        raise DataError(f"{source}: expected pixels of dtype uint8 or float32, got {images.dtype}; store one of these")
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes an infinity, which is refused by name
        floats = np.ascontiguousarray(images, dtype=np.float32)
    check_finite(floats, source)
    return floats


def as_labels(array: NDArray[Any], source: str) -> NDArray[np.int64]:
    """Return class numbers, an integer array of shape (n,), as int64; anything else is a DataError."""
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(
            f"{source}: expected labels as integers of shape (n,), got {array.dtype} of shape {array.shape}; "
            "store one class number an image"
        )
    wrong = (array < 0) | (array >= MAX_CLASSES)
    if wrong.any():
        first = int(wrong.argmax())
        raise DataError(
            f"{source}: expected labels 0 .. {MAX_CLASSES - 1}, got {array[first]} at index {first}; "
            "number the classes 0, 1, 2, ..."
        )
    return array.astype(np.int64)


def numbered_classes(*labels: NDArray[np.int64]) -> tuple[str, ...]:
    """Return the names "0", "1", ... up to the largest label in any of the arrays."""
    return tuple(str(i) for i in range(1 + max(int(part.max(initial=0)) for part in labels)))


def _check_bytes(images: NDArray[np.integer[Any]], source: str) -> None:
    """Raise a DataError that names the first integer outside 0..255."""
    if images.min() >= 0 and images.max() <= 255:
        return
    first = tuple(int(i) for i in np.argwhere((images < 0) | (images > 255))[0])
    raise DataError(
        f"{source}: expected integer pixels 0 .. 255, got {images[first]} at index {first}; "
        "scale the pixels, or store floats"
    )
