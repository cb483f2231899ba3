"""config.json of a run, checked field by field, because people edit it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.integers import is_whole

CONFIG = "config.json"
FORMAT = "tinygrad-ckn run"
FORMAT_VERSION = 1
# Characters of a value, and of an error, in a message.
MAX_SHOWN = 60
MAX_SHOWN_OF_ERRORS = 360


def read_config(folder: Path) -> dict[str, Any]:
    """Return the content of a run's config.json.

    Raises
    ------
    DataError
        If it is missing, damaged, of another program or of a newer format, or a field
        has the wrong type.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise DataError(
            f"{folder}: expected the folder of a run, with a config.json, got none; check the path"
        )
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        # Invalid JSON or invalid UTF-8.
        raise DataError(
            f"{path}: expected JSON, got something else ({shown(error)}); train again"
        ) from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise DataError(
            f"{path}: expected the configuration of a {FORMAT}, got another JSON file; check the "
            "path"
        )
    version = config.get("format_version")
    if type(version) is not int or version > FORMAT_VERSION:
        raise DataError(
            f"{path}: expected format_version {FORMAT_VERSION} or older, got {shown(version)}; "
            "update the checkout of tinygrad-ckn (git pull)"
        )
    check_config(config, path)
    return config


def check_config(config: Mapping[str, Any], path: Path) -> None:
    """Raise a DataError that names the first field with a wrong type."""
    for name in ("data", "options", "model", "versions"):
        if name in config and not isinstance(config[name], Mapping):
            raise DataError(
                f"{path}: expected {name} to be an object, got {shown(config[name])}; train again"
            )
    data = config.get("data", {})
    for name, (expected, fits) in _FIELDS.items():
        if name in data and not fits(data[name]):
            raise DataError(
                f"{path}: expected data.{name} to be {expected}, got {shown(data[name])}; train "
                "again"
            )


def shown(value: object) -> str:
    r"""Return a value for an error message: one short line without control characters.

    Examples
    --------
    >>> shown(["a", 1]), shown("\t" * 99)[:9], len(shown("a" * 1000))
    ("['a', 1]", "'\\t\\t\\t\\t", 60)
    """
    try:
        text = str(value) if isinstance(value, Exception) else repr(value)
    except (ValueError, RecursionError):
        # An integer of too many digits, or a list nested too deeply.
        text = f"a {type(value).__name__} that is too large to print"
    text = "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )
    if len(text) <= (limit := MAX_SHOWN_OF_ERRORS if isinstance(value, Exception) else MAX_SHOWN):
        return text
    # The end of an error has its hint.
    end = limit // 3 if isinstance(value, Exception) else 0
    return f"{text[: limit - end - 3]}...{text[len(text) - end :]}"


def _is_text(value: object) -> bool:
    """Return whether a value is a string without line ends or terminal escapes."""
    return isinstance(value, str) and value.isprintable()


_READING = {field.name for field in fields(Reading)} - {"like"}
_FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "data": ("a text or null", lambda value: value is None or isinstance(value, str)),
    "data_dir": ("a text or null", lambda value: value is None or isinstance(value, str)),
    "reading": (
        "an object with options of load",
        lambda value: isinstance(value, Mapping) and value.keys() <= _READING,
    ),
    "division": (
        "an object with test_data, validation_data and holdout at most",
        lambda value: (
            isinstance(value, Mapping)
            and value.keys() <= {"test_data", "validation_data", "holdout"}
            and all(
                isinstance(x, int | float) if name == "holdout" else isinstance(x, str)
                for name, x in value.items()
            )
        ),
    ),
    "name": ("a text that can be printed", _is_text),
    "train": ("an integer >= 0", lambda value: is_whole(value, 0)),
    "test": ("an integer >= 0", lambda value: is_whole(value, 0)),
    "validation": ("an integer >= 0", lambda value: is_whole(value, 0)),
    "conflicting_labels": ("an integer >= 0", lambda value: is_whole(value, 0)),
    **{
        name: (
            "an object of integers >= 0",
            lambda value: (
                isinstance(value, Mapping) and all(is_whole(x, 0) for x in value.values())
            ),
        )
        for name in ("copies", "shared_groups")
    },
    "image_shape": (
        "three integers",
        lambda value: (
            isinstance(value, list | tuple)
            and len(value) == 3
            and all(is_whole(size, 0) for size in value)
        ),
    ),
    "n_classes": ("an integer >= 0", lambda value: is_whole(value, 0)),
    "classes": (
        "a list of integers and texts that can be printed",
        lambda value: (
            isinstance(value, list | tuple)
            and all(isinstance(x, int) or _is_text(x) for x in value)
        ),
    ),
    "class_names": (
        "a list of texts that can be printed",
        lambda value: isinstance(value, list | tuple) and all(map(_is_text, value)),
    ),
}
