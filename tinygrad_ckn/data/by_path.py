"""Images of a file or folder, whose format its content says."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.arrays import warn_of_memory
from tinygrad_ckn.data.files import existing_file
from tinygrad_ckn.data.formats import FILES, PICTURES, SETS, Format
from tinygrad_ckn.data.parts import Parts
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import DataError

_ARCHIVES = (".tar", ".tgz", ".zip", ".rar", ".7z", ".tar.gz", ".tar.bz2", ".tar.xz")
# Files of a folder, and folders inside it, that are looked at for a hint.
_FEW = 30
_DEPTH = 2


def read_parts(path: Path, reading: Reading, names: str) -> Parts:
    """Return the labelled images of a file or folder; `names` are those of known sets.

    Raises
    ------
    DataError
        For another kind of file, a folder with files of several formats, an option that
        has no meaning for it, and whatever its reader raises.
    """
    found = _format_of_folder(path) if path.is_dir() else _format_of_file(path)
    if found is None or found.parts is None:
        raise _unknown_folder(path) if path.is_dir() else _unknown_file(path, names)
    found.check(str(path), reading)
    return found.parts(path, reading)


def read_images(path: Path, reading: Reading) -> NDArray[np.float32]:
    """Return the images of a file that is no picture; errors are those of `read_parts`."""
    kinds = [known.words for known in FILES if known.images]
    expected = f"a picture, {either(kinds)}"
    path = existing_file(path, f"a file of images: {expected}")
    found = next((known for known in FILES if known.images and known.holds(path)), None)
    if found is None or found.images is None:
        raise DataError(f"{path}: expected {expected}, got another kind of file")
    found.check(str(path), reading)
    images = found.images(path, reading)
    warn_of_memory([images], str(path), reading)
    return images


def _format_of_file(path: Path) -> Format | None:
    """Return the format of a file of labelled images, None for another."""
    return next((known for known in FILES if known.parts and known.holds(path)), None)


def _format_of_folder(folder: Path) -> Format | None:
    """Return the format of a folder, None for another.

    Pictures beside files of another format are illustrations.
    """
    found = [known for known in SETS if known.holds(folder)]
    if len(found) > 1:
        got = either([known.words for known in found], "and")
        raise DataError(
            f"{folder}: expected files of one format, got {got}; move those of others out, or give "
            "the name of the data set and this folder as argument data_dir"
        )
    if found:
        return found[0]
    return PICTURES if PICTURES.holds(folder) else None


def _unknown_folder(folder: Path) -> DataError:
    """Return the error for a folder that holds no labelled images itself."""
    inside = _inside(folder, _DEPTH)
    what = inside or "the folder that holds the files, or the folders of the classes,"
    words = ", ".join(known.words for known in SETS)
    return DataError(
        f"{folder}: expected a folder with {words}, or {PICTURES.words}, got none of these; give "
        f"{what} itself"
    )


def _unknown_file(path: Path, names: str) -> DataError:
    """Return the error for a path that is no folder, and no file of labelled images."""
    expected = (
        f"the name {names}, {', '.join(known.words for known in FILES if known.parts)}, or a "
        "folder of published files or pictures"
    )
    if not path.exists():
        return DataError(f"{path}: expected {expected}, got none of these; check the path")
    beside = None
    with suppress(OSError):
        # A folder whose files may be read, but not listed, gives no hint.
        beside = next((known for known in SETS if known.holds(path.parent)), None)
    alone = next((known for known in FILES if known.holds(path)), None)
    if path.name.lower().endswith(_ARCHIVES):
        got = "an archive; unpack it, and give what it holds"
    elif beside is not None:
        got = f"another file; give its folder {path.parent}, which holds {beside.words}"
    elif alone is not None:
        got = f"{alone.words}, which has no labels; give a folder with {SETS[0].words}"
    else:
        got = "another file; store the images and labels in one of these formats"
    return DataError(f"{path}: expected {expected}, got {got}")


def _inside(folder: Path, depth: int) -> Path | None:
    """Return a file or folder inside a folder that can be read, for training if named so."""
    with suppress(OSError):
        paths = sorted(islice(folder.iterdir(), _FEW), key=lambda p: ("train" not in p.name, p))
        paths = [path for path in paths if not path.name.startswith(".")]
        folders = [path for path in paths if path.is_dir()]
        for path in folders:
            if any(known.holds(path) for known in SETS):
                return path
        for path in paths:
            if path.is_file() and _format_of_file(path) is not None:
                return path
        if depth > 1:
            return next((found for path in folders if (found := _inside(path, depth - 1))), None)
    return None


def either(words: list[str], conjunction: str = "or") -> str:
    """Return words as "a, b or c"."""
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"
