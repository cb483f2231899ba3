"""Format of the training images and labels, so that others are read in the same way.

A model keeps the `DataFormat` of its training images. Loaders and the command line
apply it to files; `predict`, `scores`, `encode` and `accuracy` compare images in memory
with its `PixelRange`.

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

from tinygrad_ckn.backend import Images, to_numpy
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.errors import ConfigError, DataError, DataWarning
from tinygrad_ckn.integers import is_whole
from tinygrad_ckn.labels import Label, is_name
from tinygrad_ckn.lazy_images import is_lazy

ImageShape: TypeAlias = tuple[int, int, int]
Stored: TypeAlias = Literal["integers", "floats", "booleans"]
# Images that are this many times fainter or brighter than nearly all training images
# have another scale.
FACTOR = 10
# Number of images that are measured at a time.
_BLOCK = 1024
# Number of images that may be exceptions.
_FEW = 5
# Fields that models saved earlier do not have, with their defaults: what is done to
# pictures, and the columns of the labels and the groups.
_LATER: dict[str, Any] = {
    "resize": None,
    "crop": False,
    "grey": False,
    "rgb": False,
    "label": None,
    "group": None,
}


@dataclass(frozen=True)
class PixelRange:
    """Range of the pixels of training images.

    Parameters
    ----------
    low, high : float
        The smallest and the largest pixel of all images.
    faint, bright : float
        The 1 % and 99 % quantiles of the peaks of images that are not black; the peak of
        an image is its largest absolute pixel.
    shallow : float
        The largest of the smallest pixels of images that are not black: each of them has
        a pixel as low.

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
    def of(cls, images: Images) -> Self:
        """Measure images (n, C, H, W), n >= 1, on any device."""
        lowest, highest = extremes_of(images)
        peaks = np.maximum(highest, -lowest)
        lit = peaks > 0
        faint, bright = np.quantile(peaks[lit], (0.01, 0.99)) if lit.any() else (0.0, 0.0)
        shallow = lowest[lit].max() if lit.any() else 0.0
        return cls(
            float(lowest.min()), float(highest.max()), float(faint), float(bright), float(shallow)
        )

    def check(self, images: Images, source: str, hint: str, *, warn: bool = True) -> None:
        """Compare the scale of images with that of the training images.

        Parameters
        ----------
        images : array, shape (n, C, H, W)
            On any device. Black images have any scale.
        source, hint : str
            Beginning of a message, and its hint.
        warn : bool
            Whether to warn if only some images have another scale.

        Raises
        ------
        DataError
            If all images are 10 times brighter or fainter than nearly all training
            images; if all have negative pixels and no training image had, or the other
            way round.

        Warns
        -----
        DataWarning
            If some images are 10 times brighter or fainter.
        """
        lowest, highest = extremes_of(images)
        peaks = np.maximum(highest, -lowest)
        self._check_signs(lowest[peaks > 0], source)
        off = (peaks > FACTOR * self.bright) | ((peaks > 0) & (peaks < self.faint / FACTOR))
        n_off = int(off.sum())
        n_lit = int((peaks > 0).sum())
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
            f"{peaks[first]:g}; {hint}"
        )
        if n_off == n_lit:
            raise DataError(message)
        if warn:
            warnings.warn(message, DataWarning, stacklevel=4)

    def _check_signs(self, lowest: NDArray[np.float64], source: str) -> None:
        """Raise a DataError if images are not centred as the training images were.

        `lowest` has the smallest pixel of each image that is not black. If no training
        image was negative, overshoots of less than a tenth of the brightness are ignored.
        """
        if not len(lowest) or not self.bright:
            return
        if self.shallow < 0 and lowest.min() >= 0:
            expected = "negative pixels in each, as the training images"
            got = "none in any"
        elif self.low >= 0 and lowest.max() < -self.bright / FACTOR:
            expected = f"pixels >= {self.low:g}, as the training images"
            got = "negative pixels in each"
        else:
            return
        raise DataError(
            f"{source}: expected images with {expected}, got {got}; centre and scale them as those "
            "were, or set data_format = None of the model if they are right"
        )


@dataclass(frozen=True)
class DataFormat:
    """Format of the images and labels that a model is trained on.

    Parameters
    ----------
    image_shape : tuple[int, int, int]
        (C, H, W).
    pixels : PixelRange
        Range of the pixels of the training images.
    classes : tuple of int, str or bool
        The label of each class, by class number; empty without labels.
    class_names : tuple[str, ...]
        The name of each class.
    scale : float
        Divisor of the pixels in files.
    stored : {"floats", "integers", "booleans"}
        Type of the pixels in the file.
    channels_last : bool
        Whether the file had them in the order (H, W, C).
    header : bool or None
        Whether the CSV file began with a header; None: it was not a CSV file.
    label : str or None
        Which column of the CSV file held the labels: "last", or its name in the header in
        lower case; None: the first. For CIFAR-100 "coarse"; None: fine.
    group : str or None
        The column of the CSV file that held the groups, by its name in lower case.
    resize : tuple[int, int] or None
        (H, W) that pictures were resized to; None: they were not resized.
    crop : bool
        Whether pictures were cropped to the aspect ratio of `resize` first.
    grey, rgb : bool
        Whether pictures were converted to grey, or to RGB.
    """

    image_shape: ImageShape
    pixels: PixelRange
    classes: tuple[Label, ...] = ()
    class_names: tuple[str, ...] = ()
    scale: float = 1.0
    stored: Stored = "floats"
    channels_last: bool = False
    header: bool | None = None
    resize: tuple[int, int] | None = None
    crop: bool = False
    grey: bool = False
    rgb: bool = False
    label: str | None = None
    group: str | None = None

    @classmethod
    def of_arrays(cls, images: Images, classes: tuple[Label, ...] = ()) -> Self:
        """Return the format of an array of images (n, C, H, W), n >= 1."""
        channels, height, width = images.shape[1:]
        names = tuple(str(label) for label in classes)
        return cls((channels, height, width), PixelRange.of(images), classes, names)

    def config(self) -> dict[str, Any]:
        """Return the format as a dictionary for JSON.

        What was done to pictures is left out where nothing was done, and the column of the
        labels if it is the first.
        """
        return {k: v for k, v in asdict(self).items() if k not in _LATER or v}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the format that `config()` returned as a dictionary.

        Raises
        ------
        ConfigError
            If `config()` cannot have returned it.
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
        """Return the format of a checked dictionary; raise built-in errors."""
        given = {key: value for key, value in config.items() if value is not None}
        config = {**config, **{key: given.get(key, _LATER[key]) for key in _LATER}}
        resize = None if config["resize"] is None else _tuple(config["resize"])
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
            "label": isinstance(config["label"], str | None),
            "group": isinstance(config["group"], str | None),
            "scale": config["scale"] > 0,
            "pixels": pixels.low <= pixels.shallow <= pixels.high
            and 0 <= pixels.faint <= pixels.bright,
            "resize": resize is None
            or (len(resize) == 2 and all(is_whole(size, 1) for size in resize)),
            **{flag: isinstance(config[flag], bool) for flag in ("crop", "grey", "rgb")},
        }
        for name, sound in known.items():
            if not sound:
                raise ValueError(f"{name}: {str(config[name])[:40]}")
        parsed = {
            "pixels": pixels,
            "classes": classes,
            "class_names": names,
            "image_shape": shape,
            "resize": resize,
        }
        return cls(**{**config, **parsed, **_numbers(config, ("scale",))})


def warn_of_two_scales(images: Images, source: str) -> None:
    """Warn if training images (n, C, H, W) have two scales, 10 times apart."""
    lowest, highest = extremes_of(images)
    peaks = np.sort(np.maximum(highest, -lowest))
    peaks = peaks[peaks > 0]
    # This many images may be exceptions.
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


def extremes_of(images: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the smallest and largest pixels of images (n, C, H, W), (n,) each."""
    if is_lazy(images):
        extremes = images.of_each(_extremes)
        return extremes[:, 0], extremes[:, 1]
    lowest = np.empty(len(images))
    highest = np.empty(len(images))
    for block in slices(len(images), _BLOCK):
        lowest[block] = to_numpy(images[block].min(axis=(1, 2, 3)))
        highest[block] = to_numpy(images[block].max(axis=(1, 2, 3)))
    return lowest, highest


def _extremes(images: NDArray[Any]) -> NDArray[np.float64]:
    """Return the smallest and largest pixels of images (n, C, H, W): (n, 2)."""
    return np.stack(extremes_of(images), axis=1)


def _tuple(value: object) -> tuple[Any, ...]:
    """Return the elements of a list or tuple."""
    if not isinstance(value, list | tuple):
        raise TypeError(f"expected a list, got {str(value)[:40]!r}")
    return tuple(value)


def _numbers(config: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, float]:
    """Return the named numbers, checked to be finite."""
    values = {name: float(config[name]) for name in names}
    for name, value in values.items():
        if isinstance(config[name], str) or not math.isfinite(value):
            raise ValueError(f"{name}: {str(config[name])[:40]}")
    return values
