"""Errors for options of reading that have no meaning for the data."""

from __future__ import annotations

from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import DataError

# Options that have a meaning for arrays, for tables, and for pictures.
OF_ARRAYS = frozenset({"image_shape", "channels_last", "scale"})
OF_TABLES = OF_ARRAYS | {"header", "label", "group"}
_ONLY_OF_PICTURES = ("resize", "crop", "grey", "rgb", "skip_broken")
OF_PICTURES = frozenset({*_ONLY_OF_PICTURES, "image_shape", "scale", "group"})
_REASONS = {
    "label": "which is no table",
    "header": "which is no table",
    "group": "whose format has no groups",
    **dict.fromkeys(_ONLY_OF_PICTURES, "which is no picture or folder of pictures"),
}


def refuse_options(source: str, reading: Reading, allowed: frozenset[str]) -> None:
    """Raise a DataError for an option that is given and not allowed.

    Groups are refused only where they would be used: not of images read like a training.
    """
    for option in (*sorted(OF_TABLES), *_ONLY_OF_PICTURES):
        value = getattr(reading, option)
        if value is None or option in allowed or (option == "group" and reading.like is not None):
            continue
        reason = _REASONS.get(option, "whose format says it")
        if not allowed and option != "group":
            reason = "whose format is fixed"
        raise DataError(
            f"load: argument {option} expected None with {source}, {reason}, got {value!r}; leave "
            "it out"
        )
