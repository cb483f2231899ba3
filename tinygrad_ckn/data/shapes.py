"""Where an array or the rows of a table leave open what is a channel, a row and a column: the one reading, or none.

Files say how many numbers there are, not how they lie. What the user or the model says
is taken first. Then an array is read where only one order of its axes gives few
channels or square images, and rows of pixels where they are as many as those of a grey
square and no other shape makes neighbouring pixels distinctly more alike. Three times a
square is never guessed: it is a colour image, in two orders of its pixels, as well as a
grey one of 4:3.

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

# channels: grey, colour, with an opacity
FEW = 4
COLOUR = (3, 4)
# images by which a shape is judged
_SAMPLE = 500
# share of the square's roughness that makes another shape the likelier one
_SMOOTHER = 0.9
# standard errors by which it has to be smoother
_SIGNIFICANT = 5
# images from which that can be said
_ENOUGH = 20
# no image is taken to be so many times longer than wide
_SLENDER = 8


class Order(NamedTuple):
    """The shape (C, H, W) of images, and whether their pixels lie in the order (H, W, C)."""

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
        (n, H, W), (n, C, H, W) or (n, H, W, C); where the shape is known also (n, D),
        or a single image.
    reading : Reading
        What is known.
    source : str
        What an error message calls the array.
    count : int, optional
        The number of images, where it is known.

    Raises
    ------
    DataError
        For another shape than expected, and for one that can be read in two ways.
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
            f"{source}: expected at least one image, as an array (n, H, W) or (n, C, H, W), got shape {array.shape}; "
            "for rows of pixels pass argument image_shape"
        )
    if array.ndim == 3:
        if (
            expected is None
            and count != len(array)
            and (array.shape[0] in COLOUR or array.shape[2] in COLOUR)
        ):
            raise DataError(
                f"{source}: expected images (n, H, W) or (n, C, H, W), got shape {array.shape}, which can be "
                f"{len(array)} grey images and one in colour; pass argument image_shape"
            )
        images, last = array[:, np.newaxis], False
    else:
        last = _is_channels_last(array.shape[1:], reading, source)
        images = array.transpose(0, 3, 1, 2) if last else array
    reading.check_shape(images.shape[1:], source)
    return images, last


def from_rows(rows: NDArray[Any], reading: Reading, source: str) -> tuple[NDArray[Any], bool]:
    """Return rows of pixels (n, D) as images (n, C, H, W), and whether their channels come last.

    Raises
    ------
    DataError
        For rows that are not as long as they should be, and where the shape is not
        known for pixels that look like those of another one; where it is known but not
        the order, a DataWarning is given.
    """
    width, shape = rows.shape[1], reading.expected_shape
    if shape is None:
        order, others = _square(width, source), _orders(width)
    elif math.prod(shape) != width:
        raise DataError(
            f"{source}: expected {math.prod(shape)} pixels a row for images {_text(shape)}, got {width}; "
            "pass their shape (C, H, W) as argument image_shape"
        )
    elif reading.channels_last is None:
        like = reading.like
        told = like is not None and like.header is not None
        if like is not None and not told and shape[0] > 1 and reading.image_shape is None:
            raise DataError(
                f"{source}: expected images {_text(shape)} as the model was trained on, which came as an array, got "
                f"rows of {width} pixels, whose channels can be first and last; say which with argument channels_last"
            )
        last = like is not None and like.channels_last
        order, others = (
            Order(shape, last),
            [] if told or shape[0] == 1 else [Order(shape, not last)],
        )
    else:
        order, others = Order(shape, reading.channels_last), []
    smoother = _smoother(rows, order, others)
    if smoother is not None:
        message = (
            f"{source}: expected rows of {order}, got pixels that look more like {smoother}; "
            "pass the right argument image_shape and argument channels_last"
        )
        if shape is None:
            raise DataError(message)
        warnings.warn(message, DataWarning, stacklevel=2)
    return order.arrange(rows), order.channels_last


def _is_channels_last(sizes: tuple[int, ...], reading: Reading, source: str) -> bool:
    """Tell whether the axes of an array after the first are (H, W, C) and not (C, H, W)."""
    if reading.channels_last is not None:
        return reading.channels_last
    first, last = (sizes[0], sizes[1], sizes[2]), (sizes[2], sizes[0], sizes[1])
    if reading.expected_shape is not None:
        fitting = [shape == reading.expected_shape for shape in (first, last)]
        if all(fitting) and reading.like is not None:
            return reading.like.channels_last
        if any(fitting) and not all(fitting):
            return fitting[1]
    shapes = [first, last]
    shapes = [shape for shape in shapes if shape[0] <= FEW] or shapes
    shapes = [shape for shape in shapes if shape[1] == shape[2]] or shapes
    if shapes == [first] or sizes == (1, 1, 1):
        return False
    looks = (
        "looks like channels last"
        if shapes == [last]
        else "can be channels first and channels last"
    )
    raise DataError(
        f"{source}: expected images (n, C, H, W), got shape (n, {', '.join(map(str, sizes))}), which {looks}; "
        "say which with argument channels_last"
    )


def _square(width: int, source: str) -> Order:
    """Return the order of grey squares of so many pixels."""
    side = math.isqrt(width)
    if not width or side * side != width:
        colour = math.isqrt(width // 3)
        readings = (
            f" (3x{colour}x{colour}, or grey?)" if width and 3 * colour * colour == width else ""
        )
        raise DataError(
            f"{source}: expected rows of H*H pixels, which are read as grey squares, got {width}"
            f"{readings}; pass argument image_shape, or, if the first column holds labels, add a "
            "header that names it 'label'"
        )
    return Order((1, side, side), False)


def _orders(width: int) -> list[Order]:
    """Return the orders in which so many pixels can make images of a few channels."""
    found = []
    for channels in range(1, FEW + 1):
        area = width // channels if width % channels == 0 else 0
        for height in range(2, area // 2 + 1):
            sides = height, area // height
            if area % height == 0 and max(sides) <= _SLENDER * min(sides):
                found += [
                    Order((channels, *sides), last) for last in (False, True)[: min(channels, 2)]
                ]
    return found


def _smoother(rows: NDArray[Any], order: Order, others: list[Order]) -> Order | None:
    """Return the order, if any, in which neighbouring pixels are distinctly more alike than in the given one."""
    if len(rows) < _ENOUGH or not others:
        return None
    sample = rows[:: max(1, len(rows) // _SAMPLE)].astype(np.float32)
    own = _roughness(sample, order)
    best, least = None, _SMOOTHER
    for other in others:
        # (n,)
        gain = own - _roughness(sample, other)
        error = gain.std() / math.sqrt(len(gain))
        share = 1 - gain.mean() / own.mean() if own.any() else 1.0
        if share < least and gain.mean() > _SIGNIFICANT * error:
            best, least = other, share
    return best


def _roughness(rows: NDArray[np.float32], order: Order) -> NDArray[np.float64]:
    """Return the mean difference of vertical plus that of horizontal neighbours, for each image."""
    images = order.arrange(rows)
    differences = (
        np.abs(np.diff(images, axis=axis)).mean(axis=(1, 2, 3), dtype=np.float64) for axis in (2, 3)
    )
    roughness: NDArray[np.float64] = sum(differences, start=np.zeros(len(rows)))
    return roughness


def _text(shape: ImageShape) -> str:
    return "x".join(map(str, shape))
