"""How the images and labels of a training were read, so that what comes later is read in the same way or refused.

A model keeps the `DataFormat` of its training images. Loaders and the command line
apply it to files; `predict`, `scores`, `encode` and `accuracy` hold images in memory
against its `PixelRange`.

n images, C channels, H rows, W columns.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.backend import is_whole, to_numpy
from tinygrad_ckn.errors import ConfigError, DataError, DataWarning
from tinygrad_ckn.labels import Label, is_name

ImageShape: TypeAlias = tuple[int, int, int]
Stored: TypeAlias = Literal["integers", "floats", "booleans"]
# an image so many times fainter or brighter than nearly all training images is scaled otherwise
FACTOR = 10
# images that are measured at a time
_BLOCK = 1024
# images that are no scale of their own
_FEW = 5


@dataclass(frozen=True)
class PixelRange:
    """The pixel values of training images, as the model sees them.

    Parameters
    ----------
    low, high : float
        The smallest and the largest pixel of all images.
    faint, bright : float
        An image's peak is its largest absolute pixel. Of 100 images that are not black,
        one has a lower peak than `faint`, one a higher peak than `bright`.
    shallow : float
        The largest of the smallest pixels of images that are not black: each of them
        has a pixel as low.

    Examples
    --------
    >>> PixelRange.of(np.arange(-1, 7).reshape(2, 1, 2, 2))
    PixelRange(low=-1.0, high=6.0, faint=2.04, bright=5.96, shallow=3.0)
    """

    low: float
    high: float
    faint: float
    bright: float
    shallow: float

    @classmethod
    def of(cls, images: Any) -> Self:
        """Measure images (n, C, H, W), n >= 1, on any device."""
        lowest, highest = extremes_of(images)
        peaks = np.maximum(highest, -lowest)
        lit = peaks > 0
        faint, bright = np.quantile(peaks[lit], (0.01, 0.99)) if lit.any() else (0.0, 0.0)
        shallow = lowest[lit].max() if lit.any() else 0.0
        return cls(
            float(lowest.min()), float(highest.max()), float(faint), float(bright), float(shallow)
        )

    def check(self, images: Any, source: str, mend: str, *, warn: bool = True) -> None:
        """Compare the scale of images with that of the training images.

        Parameters
        ----------
        images : array, shape (n, C, H, W)
            On any device. Black images have every scale.
        source, mend : str
            What an error message begins with, and how to mend it.
        warn : bool
            Whether to warn where only some images are scaled otherwise.

        Raises
        ------
        DataError
            If all images are 10 times brighter or fainter than nearly all training
            images; where some are, a DataWarning is given. If all have negative pixels
            and no training image had, or the other way round.
        """
        lowest, highest = extremes_of(images)
        peaks = np.maximum(highest, -lowest)
        self._check_signs(lowest[peaks > 0], source)
        off = (peaks > FACTOR * self.bright) | ((peaks > 0) & (peaks < self.faint / FACTOR))
        n_off, n_lit = int(off.sum()), int((peaks > 0).sum())
        if not n_off or not self.bright:
            return
        first = int(off.argmax())
        which = (
            "all images"
            if n_off == n_lit
            else f"{n_off} of {len(peaks)} images, the first at index {first},"
        )
        message = (
            f"{source}: expected images scaled as the training images, whose largest pixels are "
            f"{self.faint:g} to {self.bright:g}, got {which} with a largest pixel of "
            f"{peaks[first]:g}; {mend}"
        )
        if n_off == n_lit:
            raise DataError(message)
        if warn:
            warnings.warn(message, DataWarning, stacklevel=4)

    def _check_signs(self, lowest: NDArray[np.float64], source: str) -> None:
        """Raise a DataError if the smallest pixels of images that are not black tell that those are not centred alike.

        Where no training image was negative, overshoots of less than a tenth of the
        brightness are nothing.
        """
        if not len(lowest) or not self.bright:
            return
        if self.shallow < 0 and lowest.min() >= 0:
            wanted, got = "negative pixels in each, as the training images", "none in any"
        elif self.low >= 0 and lowest.max() < -self.bright / FACTOR:
            wanted, got = (
                f"pixels from {self.low:g} up, as the training images",
                "negative ones in each",
            )
        else:
            return
        raise DataError(
            f"{source}: expected images with {wanted}, got {got}; centre and scale them as those "
            "were, or set data_format = None of the model if they are right"
        )


@dataclass(frozen=True)
class DataFormat:
    """How the images and labels of a training were read.

    Parameters
    ----------
    image_shape : tuple[int, int, int]
        (C, H, W).
    pixels : PixelRange
        The pixels of the training images.
    classes : tuple of int, str or bool
        The label of each class, by class number; empty where there were no labels.
    class_names : tuple[str, ...]
        The name of each class.
    scale : float
        What the pixels in files were divided by.
    stored : {"floats", "integers", "booleans"}
        What pixels were in the file.
    channels_last : bool
        Whether the file had them in the order (H, W, C).
    header : bool or None
        Whether the CSV file began with a header; None: it was no CSV file.
    """

    image_shape: ImageShape
    pixels: PixelRange
    classes: tuple[Label, ...] = ()
    class_names: tuple[str, ...] = ()
    scale: float = 1.0
    stored: Stored = "floats"
    channels_last: bool = False
    header: bool | None = None

    @classmethod
    def of_arrays(cls, images: Any, classes: tuple[Label, ...] = ()) -> Self:
        """Describe images (n, C, H, W) that came as an array, n >= 1, and their classes."""
        channels, height, width = images.shape[1:]
        names = tuple(str(label) for label in classes)
        return cls((channels, height, width), PixelRange.of(images), classes, names)

    def config(self) -> dict[str, Any]:
        """Return this as JSON takes it."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Return what `config` was made of.

        Raises
        ------
        ConfigError
            If it is not what `config()` returns.
        """
        try:
            return cls._of(dict(config))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ConfigError(
                f"DataFormat.from_config: expected what config() returns, got {str(config)[:80]!r} "
                f"({error})"
            ) from error

    @classmethod
    def _of(cls, config: dict[str, Any]) -> Self:
        pixels = PixelRange(
            **_numbers(config["pixels"], ("low", "high", "faint", "bright", "shallow"))
        )
        classes, names, shape = (
            _tuple(config[name]) for name in ("classes", "class_names", "image_shape")
        )
        known = {
            "image_shape": len(shape) == 3 and all(is_whole(size, 1) for size in shape),
            "classes": any(
                all(type(label) is kind for label in classes) for kind in (int, str, bool)
            )
            and len(set(classes)) == len(classes),
            "class_names": len(names) == len(classes) and all(is_name(name) for name in names),
            "stored": config["stored"] in get_args(Stored),
            "channels_last": isinstance(config["channels_last"], bool),
            "header": isinstance(config["header"], bool | None),
            "scale": config["scale"] > 0,
            "pixels": pixels.low <= pixels.shallow <= pixels.high
            and 0 <= pixels.faint <= pixels.bright,
        }
        for name, sound in known.items():
            if not sound:
                raise ValueError(f"{name}: {str(config[name])[:40]}")
        own = {"pixels": pixels, "classes": classes, "class_names": names, "image_shape": shape}
        return cls(**{**config, **own, **_numbers(config, ("scale",))})


def warn_of_two_scales(images: Any, source: str) -> None:
    """Give a DataWarning where training images (n, C, H, W) fall into faint ones and ones 10 times as bright."""
    lowest, highest = extremes_of(images)
    peaks = np.sort(np.maximum(highest, -lowest))
    peaks = peaks[peaks > 0]
    # so many may be odd
    rest = max(_FEW, len(peaks) // 100)
    if len(peaks) < 2 * rest:
        return
    rises = (peaks[1:] / peaks[:-1])[rest - 1 : len(peaks) - rest]
    if rises.max() > FACTOR:
        count = int(rises.argmax()) + rest
        message = (
            f"{source}: expected images of one scale, got {count:,} with a largest pixel of at "
            f"most {peaks[count - 1]:g} and {len(peaks) - count:,} of at least {peaks[count]:g}; "
            "scale them alike"
        )
        warnings.warn(message, DataWarning, stacklevel=4)


def extremes_of(images: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the smallest and the largest pixel of each image (n, C, H, W), on the host."""
    lowest, highest = np.empty(len(images)), np.empty(len(images))
    for start in range(0, len(images), _BLOCK):
        block = slice(start, start + _BLOCK)
        lowest[block] = to_numpy(images[block].min(axis=(1, 2, 3)))
        highest[block] = to_numpy(images[block].max(axis=(1, 2, 3)))
    return lowest, highest


def _tuple(value: Any) -> tuple[Any, ...]:
    """Return the elements of a sequence that is no string."""
    if not isinstance(value, list | tuple):
        raise TypeError(f"expected a list, got {str(value)[:40]!r}")
    return tuple(value)


def _numbers(config: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, float]:
    """Return the named numbers, finite."""
    values = {name: float(config[name]) for name in names}
    for name, value in values.items():
        if isinstance(config[name], str) or not math.isfinite(value):
            raise ValueError(f"{name}: {str(config[name])[:40]}")
    return values
