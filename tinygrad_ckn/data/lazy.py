"""Images of files that are read in blocks, because all would take too much memory.

n images, C channels, H rows, W columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.backend import DType, Shape
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data.shapes import Order, arrange, from_rows, sample_of
from tinygrad_ckn.lazy_images import LazyImages, Source


def arrange_lazy(
    raw: LazyImages, reading: Reading, source: str, count: int | None = None
) -> tuple[LazyImages | NDArray[Any], bool]:
    """Return lazy images as (n, C, H, W), and whether they had the channels last.

    Parameters, results and errors are those of `shapes.arrange`, which decides by the
    shape, and for rows of pixels by the same sample of them. A single image is read.
    """
    shape = reading.expected_shape
    if raw.ndim == 2 and shape is not None and raw.shape[1] == math.prod(shape):
        images, last = from_rows(sample_of(raw), reading, source)
        order = Order(shape, last)
        return raw.map(lambda rows, _: order.arrange(rows), shape, raw.dtype), last
    # An array of this shape that takes no memory.
    alike = np.broadcast_to(np.zeros((), raw.dtype), raw.shape)
    images, last = arrange(alike, reading, source, count)
    if len(images) != len(raw):
        return arrange(raw[:], reading, source, count)

    def to_images(block: NDArray[Any], _: NDArray[np.integer[Any]]) -> NDArray[Any]:
        return block[:, np.newaxis] if raw.ndim == 3 else block.transpose(0, 3, 1, 2)

    if raw.ndim == 4 and not last:
        return raw, last
    return raw.map(to_images, images.shape[1:], raw.dtype), last


class Joined:
    """Several sources of images of one shape, one after the other.

    Examples
    --------
    >>> from tinygrad_ckn.stored_rows import StoredRows
    >>> parts = [StoredRows.temporary((n, 1), "uint8", "an example") for n in (1, 2)]
    >>> for value, part in enumerate(parts):
    ...     part[:] = np.full((len(part), 1), value)
    >>> Joined(parts).read(np.array([2, 0, 1])).tolist()
    [[1], [0], [1]]
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self.dtype: DType = np.dtype(sources[0].dtype)
        # Number of images before each source, and in all.
        self.starts = np.cumsum([0, *(source.shape[0] for source in sources)])
        self.shape: Shape = (int(self.starts[-1]), *sources[0].shape[1:])

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Return the images with the given indices, in their order."""
        images: NDArray[Any] = np.empty((len(indices), *self.shape[1:]), self.dtype)
        owners = np.searchsorted(self.starts, indices, side="right") - 1
        for i in np.unique(owners).tolist():
            chosen = owners == i
            images[chosen] = self.sources[i].read(indices[chosen] - self.starts[i])
        return images
