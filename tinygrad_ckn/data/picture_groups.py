"""Which pictures belong together, by their folders or the names of their files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.picture_paths import TEST, TRAINING, VALIDATION
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import ConfigError, DataError

FOLDER, PREFIX = "folder", "prefix"


def groups_of(paths: Sequence[Path], folder: Path, reading: Reading) -> NDArray[Any] | None:
    """Return the group of each picture of a data set in a folder, (n,), as text.

    It is the name of the folder inside that of its class, or the beginning of the file's
    name. None: pictures that are read like those of a training have none.

    Raises
    ------
    ConfigError
        For another option than "folder" and "prefix".
    DataError
        For a picture without such a folder or beginning.
    """
    if reading.group not in (FOLDER, PREFIX):
        raise ConfigError(
            f"load: argument group expected folder or prefix with the pictures of {folder}, got "
            f"{reading.group!r}"
        )
    inside = [path.relative_to(folder).parts for path in paths]
    # DIR/train/CLASS/..., or DIR/CLASS/...
    in_parts = all(parts[0].lower() in (*TRAINING, *VALIDATION, *TEST) for parts in inside)
    names = [_group(parts, 1 + in_parts, reading.group) for parts in inside]
    if None in names and reading.like is not None:
        return None
    if None in names:
        expected, other = (
            ("in a folder inside that of its class", PREFIX)
            if reading.group == FOLDER
            else ("whose name has a _ or -, such as SUBJECT_1.png", FOLDER)
        )
        raise DataError(
            f"{paths[names.index(None)]}: expected a picture {expected}, got none; move or rename "
            f"it, or pass {other} as argument group"
        )
    return np.array(names)


def _group(inside: Sequence[str], depth: int, by: str) -> str | None:
    """Return the group of a picture, None if it has none.

    `inside` are the folders and the name of its path, `depth` those to its class.
    """
    *folders, name = inside
    if by == PREFIX:
        match = re.match(r"(.+?)[_-]", name)
        return None if match is None else match[1]
    return folders[depth] if len(folders) > depth else None
