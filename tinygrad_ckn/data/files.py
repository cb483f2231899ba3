"""Checks of the paths that a user gives."""

import os
from pathlib import Path

from tinygrad_ckn.errors import DataError, DTypeError
from tinygrad_ckn.files import PathLike


def given_path(path: PathLike) -> Path:
    """Return `path` as a Path, or raise an error for another type or an empty text.

    An empty text, such as that of a variable of the shell without a value, would be the
    current folder.
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise DTypeError(
            f"data: expected a path, or the name of a data set, got {type(path).__name__}; pass "
            "arrays to from_arrays, or to the model itself"
        )
    if path == "":
        raise DataError(
            "data: expected a path, or the name of a data set, got an empty text; write . for the "
            "current folder"
        )
    return Path(path)


def existing_file(path: PathLike, expected: str) -> Path:
    """Return `path` as a Path, or raise a DataError unless it is a file."""
    path = given_path(path)
    if not path.is_file():
        got = "a folder" if path.is_dir() else "nothing"
        raise DataError(f"{path}: expected {expected}, got {got}; check the path")
    return path


def existing_folder(path: PathLike, expected: str) -> Path:
    """Return `path` as a Path, or raise a DataError unless it is a folder."""
    path = given_path(path)
    if not path.is_dir():
        got = "a file" if path.exists() else "nothing"
        raise DataError(f"{path}: expected a folder with {expected}, got {got}; check the path")
    return path
