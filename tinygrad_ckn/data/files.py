"""Checks of the paths that a user gives."""

from pathlib import Path

from tinygrad_ckn.errors import DataError
from tinygrad_ckn.files import PathLike


def existing_file(path: PathLike, expected: str) -> Path:
    """Return `path` as a Path, or raise a DataError unless it is a file."""
    path = Path(path)
    if not path.is_file():
        got = "a folder" if path.is_dir() else "nothing"
        raise DataError(f"{path}: expected {expected}, got {got}; check the path")
    return path


def existing_folder(path: PathLike, expected: str) -> Path:
    """Return `path` as a Path, or raise a DataError unless it is a folder."""
    path = Path(path)
    if not path.is_dir():
        got = "a file" if path.exists() else "nothing"
        raise DataError(f"{path}: expected a folder with {expected}, got {got}; check the path")
    return path
