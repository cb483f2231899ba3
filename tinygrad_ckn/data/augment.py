"""Images as they might have been taken: what a training shows instead of the images themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_ckn.backend import is_whole, xp_of
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.plain import plain_arguments


@plain_arguments
def crop_flip(images: Any, rng: np.random.Generator, *, padding: int = 4) -> Any:
    """Shift each image at random, zeros coming in at its border, and mirror it, left to right, with probability 1/2.

    As if each image were padded with zeros on all sides and a part of its own size cut
    out at random.

    Parameters
    ----------
    images : array, shape (n, C, H, W)
        Of any dtype, on any device; not changed.
    rng : np.random.Generator
        Draws, for each image and whatever it shows, two offsets and whether it is mirrored.
    padding : int
        The largest shift in each direction, less than H and W.

    Returns
    -------
    array, shape (n, C, H, W)
        New, of the same dtype.

    Raises
    ------
    ShapeError
        If images are not of rank 4.
    ConfigError
        If padding is not an integer from 0 to the smaller side less 1.

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
    mirrored = (rng.random(n) < 0.5).tolist()
    y = xp_of(images).zeros_like(images)
    for i, ((down, right), mirror) in enumerate(zip(offsets, mirrored, strict=True)):
        # (C, H, W)
        image = images[i, :, :, ::-1] if mirror else images[i]
        (into, rows), (at, columns) = _shifted(height, down), _shifted(width, right)
        y[i, :, into, at] = image[:, rows, columns]
    return y


def _shifted(size: int, offset: int) -> tuple[slice, slice]:
    """Return where an axis shifted by an offset lands, and what of it does."""
    return (
        slice(max(0, offset), min(size, size + offset)),
        slice(max(0, -offset), min(size, size - offset)),
    )


AUGMENTATIONS: dict[str, Callable[[Any, np.random.Generator], Any]] = {"crop-flip": crop_flip}
