"""The labelled images of a data set as its files, and other files, divide them."""

from __future__ import annotations

from dataclasses import replace

from tinygrad_ckn.data.arrays import warn_of_memory
from tinygrad_ckn.data.by_name import BY_NAME, read_named
from tinygrad_ckn.data.by_path import either, read_parts
from tinygrad_ckn.data.division import Division
from tinygrad_ckn.data.files import given_path
from tinygrad_ckn.data.parts import Parts
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.labels import classes_of


def load_divided(
    name_or_path: PathLike, data_dir: PathLike | None, reading: Reading, division: Division
) -> Parts:
    """Return the labelled images of a data set with those of other files as its parts.

    Raises
    ------
    ConfigError
        For another file in place of a part that the data set has, and for test images and
        a share to hold out.
    DataError
        For another file that has parts itself; and as `load`.
    """
    if division.test_data is not None and division.holdout is not None:
        raise ConfigError(
            "load: argument holdout expected None with argument test_data, got "
            f"{division.holdout:g}; leave one out"
        )
    parts = load_parts(name_or_path, data_dir, reading)
    of_training = parts.read_as.classes or classes_of(parts.train.labels, parts.source)
    like = reading.like or replace(parts.read_as, classes=of_training)
    for part, path in (("test", division.test_data), ("validation", division.validation_data)):
        if path is None:
            continue
        if getattr(parts, part) is not None:
            raise ConfigError(
                f"load: argument {part}_data expected None with {parts.source}, which has {part} "
                f"images, got {path}; leave it out"
            )
        others = load_parts(
            path,
            None,
            Reading(
                like=like,
                memory=reading.memory,
                group=reading.group,
                skip_broken=reading.skip_broken if given_path(path).is_dir() else None,
            ),
        )
        if others.test is not None or others.validation is not None:
            raise DataError(
                f"{path}: expected {part} images alone as argument {part}_data, got a data set "
                "with parts; pass a file or a folder with one part"
            )
        if part == "test":
            parts = parts._replace(test=others.train)
        else:
            parts = parts._replace(validation=others.train)
    return parts


def load_parts(name_or_path: PathLike, data_dir: PathLike | None, reading: Reading) -> Parts:
    """Return the labelled images of a data set, divided as in its files.

    Warns
    -----
    DataWarning
        If images that are read whole take more memory than the user says.
    """
    parts = _read(name_or_path, data_dir, reading)
    splits = (parts.train, parts.test, parts.validation)
    images = [split.images for split in splits if split is not None]
    warn_of_memory(images, str(name_or_path), reading)
    return parts


def _read(name_or_path: PathLike, data_dir: PathLike | None, reading: Reading) -> Parts:
    """Return the parts of a published set, or of a file or folder."""
    if isinstance(name_or_path, str) and name_or_path in BY_NAME:
        return read_named(name_or_path, data_dir, reading)
    names = [repr(name) for name in BY_NAME]
    if data_dir is not None:
        raise DataError(
            f"load: argument data_dir expected None unless the data set is {either(names[1:])}, "
            f"got {data_dir} with {name_or_path}"
        )
    return read_parts(given_path(name_or_path), reading, either(names))
