"""Paths that a user gives: they lead to something, or one sentence says what was expected there."""

import os
from pathlib import Path
from typing import TypeAlias

from tinygrad_ckn.errors import DataError

PathLike: TypeAlias = str | os.PathLike[str]


def existing_file(path: PathLike, expected: str) -> Path:
    """Return `path` as a Path, or raise a DataError that says what file was `expected` there."""
    path = Path(path)
    if not path.is_file():
        got = "a folder" if path.is_dir() else "nothing"
        raise DataError(f"{path}: expected {expected}, got {got}; check the path")
    return path


def existing_folder(path: PathLike, expected: str) -> Path:
    """Return `path` as a Path, or raise a DataError that says what folder was `expected` there."""
    path = Path(path)
    if not path.is_dir():
        got = "a file" if path.exists() else "nothing"
        raise DataError(f"{path}: expected a folder with {expected}, got {got}; check the path")
    return path
