"""Data augmentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from tinygrad_ckn.backend import Generator, xp_of
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.integers import is_whole
from tinygrad_ckn.plain import plain_arguments


@plain_arguments
def crop_flip(images: NDArray[Any], rng: Generator, *, padding: int = 4) -> NDArray[Any]:
    """Shift each image at random, and mirror it left to right with probability 1/2.

    The shift is a random crop of the image padded with zeros on all sides.

    Parameters
    ----------
    images : array, shape (n, C, H, W)
        Of any dtype, on any device; not changed.
    rng : numpy.random.Generator
        Draws two offsets per image, and whether to mirror it, independently of its pixels.
    padding : int
        Maximum shift in each direction in pixels, smaller than H and W.

    Returns
    -------
    array, shape (n, C, H, W)
        New, of the same dtype.

    Raises
    ------
    ShapeError
        If images do not have 4 axes.
    ConfigError
        If padding is not an integer >= 0 that is smaller than both sides.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.arange(1, 10, dtype="float32").reshape(1, 1, 3, 3)
    >>> crop_flip(image, np.random.default_rng(3), padding=1)
    array([[[[0., 0., 0.],
             [2., 1., 0.],
             [5., 4., 0.]]]], dtype=float32)
    """
    if images.ndim != 4:
        raise ShapeError(
            f"crop_flip: argument images expected shape (n, C, H, W), got {images.shape}"
        )
    n, _, height, width = images.shape
    if not is_whole(padding, 0) or padding >= min(height, width):
        raise ConfigError(
            f"crop_flip: argument padding expected an integer from 0 to {min(height, width) - 1}, "
            f"got {padding!r}"
        )
    offsets = rng.integers(-padding, padding + 1, size=(n, 2)).tolist()
    mirrored = (rng.random((n,)) < 0.5).tolist()
    y: NDArray[Any] = xp_of(images).zeros_like(images)
    for i, ((down, right), mirror) in enumerate(zip(offsets, mirrored, strict=True)):
        # (C, H, W)
        image = images[i, :, :, ::-1] if mirror else images[i]
        to_rows, rows = _shifted(height, down)
        to_columns, columns = _shifted(width, right)
        y[i, :, to_rows, to_columns] = image[:, rows, columns]
    return y


def _shifted(size: int, offset: int) -> tuple[slice, slice]:
    """Return the target and the source slice of an axis shifted by an offset."""
    return (
        slice(max(0, offset), min(size, size + offset)),
        slice(max(0, -offset), min(size, size - offset)),
    )


AUGMENTATIONS: dict[str, Callable[[NDArray[Any], Generator], NDArray[Any]]] = {
    "crop-flip": crop_flip
}
