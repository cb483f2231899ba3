"""Errors for options of reading that have no meaning for the data."""

from __future__ import annotations

from tinygrad_ckn.data.reading import OF_PICTURES, Reading
from tinygrad_ckn.errors import DataError


def refuse_label(source: str, reading: Reading) -> None:
    """Raise a DataError for the column of labels of data that is no table."""
    if reading.label is not None:
        raise DataError(
            f"load: argument label expected None with {source}, which is no table, got "
            f"{reading.label!r}; leave it out"
        )


def refuse_group(source: str, reading: Reading) -> None:
    """Raise a DataError for groups of data that have none, unless read like a training."""
    if reading.group is not None and reading.like is None:
        raise DataError(
            f"load: argument group expected None with {source}, whose format has no groups, got "
            f"{reading.group!r}; leave it out"
        )


def refuse_options(name: str, reading: Reading) -> None:
    """Raise a DataError for a reading option of a data set whose format is fixed."""
    refuse_group(name, reading)
    for option in ("image_shape", "channels_last", "header", "label", "scale", *OF_PICTURES):
        if getattr(reading, option) is not None:
            raise DataError(
                f"load: argument {option} expected None with {name}, whose format is fixed, got "
                f"{getattr(reading, option)}; leave it out"
            )


def refuse_options_of_pictures(source: str, reading: Reading) -> None:
    """Raise a DataError for an option of pictures with other images."""
    for option in OF_PICTURES:
        if getattr(reading, option) is not None:
            raise DataError(
                f"load: argument {option} expected None with {source}, which is no picture or "
                f"folder of pictures, got {getattr(reading, option)}; leave it out"
            )
