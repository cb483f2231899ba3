"""Axes of images in arrays and in rows of pixels.

Files give the number of pixels, not their order. What the user or the model says takes
precedence. Otherwise an array is accepted if only one order of its axes gives few
channels or square images, and rows of pixels if their length is that of a grey square
and no other shape makes neighbouring pixels distinctly more alike. Three times a square
is never guessed: it may be a colour image, in two orders of its pixels, or a grey one of
aspect ratio 4:3.

n images, C channels, H rows, W columns, D = C H W.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data_format import ImageShape
from tinygrad_ckn.errors import DataError, DataWarning

# Maximum number of channels: colour with opacity.
MAX_CHANNELS = 4
COLOUR = (3, 4)
# Number of images by which a shape is judged.
_SAMPLE = 500
# Maximum roughness of a more likely shape, relative to that of the square.
_MAX_ROUGHNESS = 0.9
# Number of standard errors by which it must be smoother.
_SIGNIFICANT = 5
# Minimum number of images for that decision.
_MIN_IMAGES = 20
# Maximum aspect ratio of an image.
_MAX_ASPECT = 8


class Order(NamedTuple):
    """The shape (C, H, W) of images, and whether the channels come last in files."""

    shape: ImageShape
    channels_last: bool

    def arrange(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return rows of pixels (n, D) as images (n, C, H, W), a view."""
        channels, height, width = self.shape
        if self.channels_last:
            return rows.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
        return rows.reshape(-1, *self.shape)

    def __str__(self) -> str:
        return f"{_text(self.shape)} images{' with channels last' if self.channels_last else ''}"


def arrange(
    array: NDArray[Any], reading: Reading, source: str, count: int | None = None
) -> tuple[NDArray[Any], bool]:
    """Return an array of images as (n, C, H, W), and whether it had the channels last.

    Parameters
    ----------
    array : NDArray
        (n, H, W), (n, C, H, W) or (n, H, W, C); if the shape is known also (n, D), or a
        single image.
    reading : Reading
        Shape and order, as far as known.
    source : str
        Name of the array in error messages.
    count : int, optional
        The number of images, if known.

    Raises
    ------
    DataError
        For an unexpected or ambiguous shape.
    """
    expected = reading.expected_shape
    if expected is not None and array.size:
        channels, height, width = expected
        grey = channels == 1 and array.shape == (height, width)
        if grey or (channels > 1 and array.shape in (expected, (height, width, channels))):
            array = array[np.newaxis]
        elif array.ndim in (1, 2) and array.shape[-1] == math.prod(expected):
            return from_rows(np.atleast_2d(array), reading, source)
    if array.ndim not in (3, 4) or array.size == 0:
        raise DataError(
            f"{source}: expected at least one image, as an array (n, H, W) or (n, C, H, W), got "
            f"shape {array.shape}; for rows of pixels pass their shape (C, H, W) as argument "
            "image_shape"
        )
    if array.ndim == 3:
        if (
            expected is None
            and count != len(array)
            and (array.shape[0] in COLOUR or array.shape[2] in COLOUR)
        ):
            raise DataError(
                f"{source}: expected images (n, H, W) or (n, C, H, W), got shape {array.shape}, "
                f"which can be {len(array)} grey images and one in colour; pass their shape "
                "(C, H, W) as argument image_shape"
            )
        last = False
        images = array[:, np.newaxis]
    else:
        last = _is_channels_last(array.shape[1:], reading, source)
        images = array.transpose(0, 3, 1, 2) if last else array
    reading.check_shape(images.shape[1:], source)
    return images, last


def from_rows(rows: NDArray[Any], reading: Reading, source: str) -> tuple[NDArray[Any], bool]:
    """Return rows of pixels (n, D) as images (n, C, H, W), and channels_last.

    Raises
    ------
    DataError
        For rows of another length than expected; if the shape is unknown, for pixels that
        look like those of another shape.

    Warns
    -----
    DataWarning
        If the shape is known but the order is not, for pixels that look like those of
        the other order.
    """
    order, others = _possible_orders(rows.shape[1], reading, source)
    smoother = _smoother(rows, order, others)
    if smoother is not None:
        message = (
            f"{source}: expected rows of {order}, got pixels that look more like {smoother}; "
            "pass the right argument image_shape and argument channels_last"
        )
        if reading.expected_shape is None:
            raise DataError(message)
        warnings.warn(message, DataWarning, stacklevel=2)
    return order.arrange(rows), order.channels_last


def sample_of(rows: Any) -> NDArray[Any]:
    """Return every so manieth row, by which a shape is judged; a sample of itself."""
    sample: NDArray[Any] = rows[:: max(1, len(rows) // _SAMPLE)]
    return sample


def _possible_orders(width: int, reading: Reading, source: str) -> tuple[Order, list[Order]]:
    """Return the order of rows of `width` pixels, and others to compare it with."""
    shape = reading.expected_shape
    if shape is None:
        return _square(width, source), _orders(width)
    count = math.prod(shape)
    if count != width:
        labels = "if a column holds labels, say which as argument label; otherwise "
        raise DataError(
            f"{source}: expected {count} pixels a row for images {_text(shape)}, got {width}; "
            f"{labels if width == count + 1 else ''}pass their shape (C, H, W) as argument "
            "image_shape"
        )
    if reading.channels_last is not None:
        return Order(shape, reading.channels_last), []
    like = reading.like
    from_csv = like is not None and like.header is not None
    if like is not None and not from_csv and shape[0] > 1 and reading.image_shape is None:
        raise DataError(
            f"{source}: expected images {_text(shape)} as the model was trained on, which came as "
            f"an array, got rows of {width} pixels, whose channels can be first and last; say "
            "which with argument channels_last"
        )
    last = like is not None and like.channels_last
    return Order(shape, last), [] if from_csv or shape[0] == 1 else [Order(shape, not last)]


def _is_channels_last(sizes: tuple[int, ...], reading: Reading, source: str) -> bool:
    """Return whether the axes after the first are (H, W, C), not (C, H, W)."""
    if reading.channels_last is not None:
        return reading.channels_last
    first = (sizes[0], sizes[1], sizes[2])
    last = (sizes[2], sizes[0], sizes[1])
    if reading.expected_shape is not None:
        fitting = [shape == reading.expected_shape for shape in (first, last)]
        if all(fitting) and reading.like is not None:
            return reading.like.channels_last
        if any(fitting) and not all(fitting):
            return fitting[1]
    shapes = [first, last]
    shapes = [shape for shape in shapes if shape[0] <= MAX_CHANNELS] or shapes
    shapes = [shape for shape in shapes if shape[1] == shape[2]] or shapes
    if shapes == [first] or sizes == (1, 1, 1):
        return False
    looks = (
        "looks like channels last"
        if shapes == [last]
        else "can be channels first and channels last"
    )
    raise DataError(
        f"{source}: expected images (n, C, H, W), got shape (n, {', '.join(map(str, sizes))}), "
        f"which {looks}; say which with argument channels_last"
    )


def _square(width: int, source: str) -> Order:
    """Return the order of grey squares of `width` pixels."""
    side = math.isqrt(width)
    if not width or side * side != width:
        colour = math.isqrt(width // 3)
        readings = (
            f" (3x{colour}x{colour}, or grey?)" if width and 3 * colour * colour == width else ""
        )
        raise DataError(
            f"{source}: expected rows of H*H pixels, which are read as grey squares, got {width}"
            f"{readings}; pass their shape (C, H, W) as argument image_shape, or, if a column "
            "holds labels, name it 'label' in a header, or say first or last as argument label"
        )
    return Order((1, side, side), False)


def _orders(width: int) -> list[Order]:
    """Return the orders in which `width` pixels can be images of a few channels."""
    orders = []
    for channels in range(1, MAX_CHANNELS + 1):
        area = width // channels if width % channels == 0 else 0
        for height in range(2, area // 2 + 1):
            sides = height, area // height
            if area % height == 0 and max(sides) <= _MAX_ASPECT * min(sides):
                orders += [
                    Order((channels, *sides), last) for last in (False, True)[: min(channels, 2)]
                ]
    return orders


def _smoother(rows: NDArray[Any], order: Order, others: list[Order]) -> Order | None:
    """Return an order in which neighbouring pixels are distinctly more alike, or None."""
    if len(rows) < _MIN_IMAGES or not others:
        return None
    sample = sample_of(rows).astype(np.float32)
    roughness = _roughness(sample, order)
    best = None
    best_ratio = _MAX_ROUGHNESS
    for other in others:
        gain = roughness - _roughness(sample, other)
        error = gain.std() / math.sqrt(len(gain))
        ratio = 1 - gain.mean() / roughness.mean() if roughness.any() else 1.0
        if ratio < best_ratio and gain.mean() > _SIGNIFICANT * error:
            best = other
            best_ratio = ratio
    return best


def _roughness(rows: NDArray[np.float32], order: Order) -> NDArray[np.float64]:
    """Return the mean difference of vertical plus horizontal neighbours, per image."""
    images = order.arrange(rows)
    differences = (
        np.abs(np.diff(images, axis=axis)).mean(axis=(1, 2, 3), dtype=np.float64) for axis in (2, 3)
    )
    roughness: NDArray[np.float64] = sum(differences, start=np.zeros(len(rows)))
    return roughness


def _text(shape: ImageShape) -> str:
    """Return a shape as text, such as 3x32x32."""
    return "x".join(map(str, shape))
