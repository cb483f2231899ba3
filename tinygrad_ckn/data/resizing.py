"""Sizes of pictures: cropped around the centre, averaged over areas, interpolated.

Pillow's `Resampling.BOX` counts each pixel wholly or not at all, which is a mean over
areas for integer factors only; here an edge divides the pixel it falls into.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.chunks import slices
from tinygrad_ckn.data.reading import Size

# Number of pixels that are summed at a time.
_MAX_ELEMENTS = 2**20


def centre_crop(pixels: NDArray[Any], size: Size) -> NDArray[Any]:
    """Return the largest part around the centre with the aspect ratio of a size, a view.

    Parameters
    ----------
    pixels : NDArray, shape (h, w) or (h, w, C)
    size : tuple[int, int]
        (H, W). The part has w/h = W/H up to rounding to pixels.

    Examples
    --------
    >>> centre_crop(np.zeros((6, 11)), (2, 3)).shape
    (6, 9)
    """
    height, width = pixels.shape[:2]
    rows = min(height, max(1, round(width * size[0] / size[1])))
    columns = min(width, max(1, round(height * size[1] / size[0])))
    top, left = (height - rows) // 2, (width - columns) // 2
    return pixels[top : top + rows, left : left + columns]


def resized(pixels: NDArray[Any], size: Size, top: float) -> NDArray[np.float32]:
    """Return pixels of another size: each axis averaged over areas, or interpolated.

    An axis that shrinks is averaged over the exact areas of the new pixels, parts of old
    pixels by their part; one that grows is interpolated by Lanczos' filter of 3 lobes,
    clipped to 0 .. top. Colours are weighted with their opacity.

    Parameters
    ----------
    pixels : NDArray, shape (h, w, C)
        From 0 to top; the last of 2 or 4 channels is opacity.
    size : tuple[int, int]
        (H, W).
    top : float
        The largest value a pixel can have.

    Returns
    -------
    NDArray[np.float32], shape (H, W, C)

    Examples
    --------
    >>> resized(np.array([[[0.0], [3.0], [6.0]]]), (1, 2), 6.0)[0, :, 0]
    array([1., 5.], dtype=float32)
    """
    has_opacity = pixels.shape[2] in (2, 4)
    y = pixels
    if has_opacity:
        opacity = pixels[..., -1:].astype(np.float32) / np.float32(top)
        y = np.concatenate([pixels[..., :-1] * opacity, pixels[..., -1:]], axis=2)
    for axis in (0, 1):
        if size[axis] < y.shape[axis]:
            y = _area_means(y, axis, size[axis])
    if y.shape[:2] != size:
        y = _interpolated(y, size)
    y = np.clip(y, 0, top, dtype=np.float32)
    if has_opacity:
        weight = y[..., -1:] / np.float32(top)
        visible = np.broadcast_to(weight > 0, y[..., :-1].shape)
        np.divide(y[..., :-1], weight, out=y[..., :-1], where=visible)
        np.minimum(y, np.float32(top), out=y)
    return y


def _area_means(y: NDArray[Any], axis: int, size: int) -> NDArray[np.float32]:
    """Return means of y (h, w, C) over equal intervals of an axis, fewer than its pixels."""
    y = np.moveaxis(y, axis, 0)
    n = len(y)
    edges = [divmod(i * n, size) for i in range(size + 1)]
    # Old pixels from the one that holds an edge to the one before the next edge's.
    starts = np.array([whole for whole, _ in edges])
    sums = np.empty((size, *y.shape[1:]), np.float32)
    # NumPy sums a copy in float32, so a part at a time.
    for rows in slices(size, max(1, _MAX_ELEMENTS * size // y.size)):
        first = starts[rows.start]
        part = y[first : starts[rows.stop]]
        np.add.reduceat(part, starts[rows] - first, axis=0, dtype=np.float32, out=sums[rows])
    for i, (whole, rest) in enumerate(edges):
        # An edge within a pixel gives its first part to the interval that ends there.
        if rest:
            part = y[whole] * np.float32(rest / size)
            sums[i] -= part
            sums[i - 1] += part
    sums *= np.float32(size / n)
    return np.moveaxis(sums, 0, axis)


def _interpolated(y: NDArray[Any], size: Size) -> NDArray[np.float32]:
    """Return y (h, w, C) with more pixels along one axis or both."""
    from PIL import Image

    height, width = size
    planes = [
        Image.fromarray(np.ascontiguousarray(y[..., c], dtype=np.float32)).resize(
            (width, height), Image.Resampling.LANCZOS
        )
        for c in range(y.shape[2])
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=2)
