"""How the images and labels of a training were read, so that what comes later is read in the same way or refused.

A model keeps the `DataFormat` of its training images. Loaders and the command line apply it to files; `predict`,
`scores`, `encode` and `accuracy` hold images in memory against its `PixelRange`.

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

from tinygrad_ckn.backend import is_whole, to_numpy, xp_of
from tinygrad_ckn.errors import ConfigError, DataError, DataWarning
from tinygrad_ckn.labels import Label, is_name

ImageShape: TypeAlias = tuple[int, int, int]
Stored: TypeAlias = Literal["integers", "floats", "booleans"]
FACTOR = 10  # an image so many times fainter or brighter than nearly all training images is scaled otherwise
_BLOCK = 1024  # images that are measured at a time


@dataclass(frozen=True)
class PixelRange:
    """The pixel values of training images, as the model sees them.

    Parameters
    ----------
    low, high : float
        The smallest and the largest pixel of all images.
    faint, bright : float
        An image's peak is its largest absolute pixel. Of 100 images that are not black, one has a lower peak than
        `faint`, one a higher peak than `bright`.

    Examples
    --------
    >>> PixelRange.of(np.linspace(-1, 3, 8).reshape(2, 1, 2, 2))
    PixelRange(low=-1.0, high=3.0, faint=1.02, bright=2.98)
    """

    low: float
    high: float
    faint: float
    bright: float

    @classmethod
    def of(cls, images: Any) -> Self:
        """Measure images (n, C, H, W), n >= 1, on any device."""
        peaks = peaks_of(images)
        lit = peaks[peaks > 0]
        faint, bright = np.quantile(lit, (0.01, 0.99)) if len(lit) else (0.0, 0.0)
        return cls(float(images.min()), float(images.max()), float(faint), float(bright))

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
            If all images are 10 times brighter or fainter than nearly all training images; where some are, a
            DataWarning is given.
        """
        peaks = peaks_of(images)
        off = (peaks > FACTOR * self.bright) | ((peaks > 0) & (peaks < self.faint / FACTOR))
        n_off, n_lit = int(off.sum()), int((peaks > 0).sum())
        if not n_off or not self.bright:
            return
        first = int(off.argmax())
        which = "all images" if n_off == n_lit else f"{n_off} of {len(peaks)} images, the first at index {first},"
        message = (
            f"{source}: expected images scaled as the training images, whose largest pixels are {self.faint:g} to "
            f"{self.bright:g}, got {which} with a largest pixel of {peaks[first]:g}; {mend}"
        )
        if n_off == n_lit:
            raise DataError(message)
        if warn:
            warnings.warn(message, DataWarning, stacklevel=4)


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
                f"DataFormat.from_config: expected what config() returns, got {str(config)[:80]!r} ({error})"
            ) from error

    @classmethod
    def _of(cls, config: dict[str, Any]) -> Self:
        pixels = PixelRange(**_numbers(config["pixels"], ("low", "high", "faint", "bright")))
        classes, names, shape = (_tuple(config[name]) for name in ("classes", "class_names", "image_shape"))
        known = {
            "image_shape": len(shape) == 3 and all(is_whole(size, 1) for size in shape),
            "classes": any(all(type(label) is kind for label in classes) for kind in (int, str, bool))
            and len(set(classes)) == len(classes),
            "class_names": len(names) == len(classes) and all(is_name(name) for name in names),
            "stored": config["stored"] in get_args(Stored),
            "channels_last": isinstance(config["channels_last"], bool),
            "header": isinstance(config["header"], bool | None),
            "scale": config["scale"] > 0,
        }
        for name, sound in known.items():
            if not sound:
                raise ValueError(f"{name}: {str(config[name])[:40]}")
        own = {"pixels": pixels, "classes": classes, "class_names": names, "image_shape": shape}
        return cls(**{**config, **own, **_numbers(config, ("scale",))})


def peaks_of(images: Any) -> NDArray[np.float64]:
    """Return the largest absolute pixel of each image (n, C, H, W), on the host."""
    xp = xp_of(images)
    peaks = np.empty(len(images))
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK]
        highest, lowest = block.max(axis=(1, 2, 3)), block.min(axis=(1, 2, 3))
        peaks[start : start + _BLOCK] = to_numpy(xp.maximum(highest, -lowest))
    return peaks


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
