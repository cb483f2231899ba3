"""The pictures in a folder, with their classes and parts of the data set.

A data set is DIR/CLASS/PICTURE, or DIR/train, DIR/val and DIR/test with a folder for
each class inside. Pictures may lie in folders inside a class's folder. Hidden files,
the files that systems leave (Thumbs.db, desktop.ini, __MACOSX) and texts (README,
LICENSE, .txt, .md, .csv, .json, ...) are ignored; any other file is refused.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tinygrad_ckn.data.pictures import SUFFIXES
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.labels import Label

TRAINING = ("train", "training")
VALIDATION = ("val", "valid", "validation")
TEST = ("test", "testing")
_IGNORED = frozenset(["thumbs.db", "desktop.ini", "__macosx", "readme", "license", "licence"])
_TEXTS = frozenset(
    ".txt .md .rst .csv .tsv .json .jsonl .xml .yaml .yml .html .htm .log .ini .py".split()
)


class ClassPictures(NamedTuple):
    """Paths of pictures in natural order, with the name of the class of each."""

    paths: list[Path]
    names: list[str]


class PictureParts(NamedTuple):
    """The parts of a data set in a folder; None: the folder has no such part."""

    train: ClassPictures
    validation: ClassPictures | None
    test: ClassPictures | None


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a key that sorts numbers within names by value: a2 before a10.

    Examples
    --------
    >>> sorted(["a10", "a2", "B1"], key=natural_key)
    ['a2', 'a10', 'B1']
    """
    pieces = re.split(r"([0-9]+)", name.casefold())
    return [int(p) if i % 2 else p for i, p in enumerate(pieces)], name


def has_pictures(folder: Path) -> bool:
    """Return whether a folder holds a picture, itself or in folders inside."""
    return any(_is_picture_name(path) for path in _files(folder))


def find_pictures(path: Path) -> list[Path]:
    """Return the pictures of a folder, and of folders inside, in natural order.

    Raises
    ------
    DataError
        If there is none, or a file that is neither a picture nor ignored.
    """
    paths = _pictures(path)
    if not paths:
        raise DataError(f"{path}: expected a folder with pictures, got none; check the path")
    return paths


def find_classes(folder: Path) -> PictureParts:
    """Return the pictures of a data set with a folder for each class.

    The folder has parts if its train folder holds folders with pictures; then its other
    folders must be parts as well. Otherwise its folders are the classes.

    Raises
    ------
    DataError
        For pictures without a class, an empty class, classes of the validation or test
        part that the training part lacks, and files of other kinds.
    """
    folders = _folders(folder)
    parts = {_part_of(path): path for path in folders}
    train = parts.get("train")
    if train is None or not any(has_pictures(path) for path in _folders(train)):
        return PictureParts(_classes(folder), None, None)
    if len(parts) < len(folders) or None in parts:
        wrong = [p.name for p in folders if _part_of(p) is None or parts[_part_of(p)] != p]
        raise DataError(
            f"{folder}: expected one folder {', '.join(TRAINING)}, one of {', '.join(VALIDATION)} "
            f"and one of {', '.join(TEST)} at most, got also {', '.join(wrong)}; move it out"
        )
    _refuse_loose(folder)
    found = {part: _classes(path) for part, path in parts.items() if part is not None}
    known = set(found["train"].names)
    for part in ("validation", "test"):
        unknown = sorted(set(found[part].names) - known) if part in found else []
        if unknown:
            raise DataError(
                f"{parts[part]}: expected classes of the training part {train}, got also "
                f"{', '.join(unknown[:5])}; add pictures of them there, or remove the folder"
            )
    return PictureParts(found["train"], found.get("validation"), found.get("test"))


def class_labels(names: Sequence[str]) -> dict[str, Label]:
    """Return the label of each class, in natural order: integers if all names are.

    Examples
    --------
    >>> class_labels(["10", "9"]), class_labels(["cat10", "cat9"])
    ({'9': 9, '10': 10}, {'cat9': 'cat9', 'cat10': 'cat10'})
    """
    distinct = sorted(set(names), key=natural_key)
    whole = [int(name) for name in distinct if re.fullmatch(r"-?[0-9]{1,18}", name)]
    if len(set(whole)) == len(distinct):
        return dict(sorted(zip(distinct, whole, strict=True), key=lambda pair: pair[1]))
    return {name: name for name in distinct}


def _classes(folder: Path) -> ClassPictures:
    """Return the pictures in the folders of a folder."""
    _refuse_loose(folder)
    paths: list[Path] = []
    names: list[str] = []
    for path in _folders(folder):
        pictures = _pictures(path)
        if not pictures:
            raise DataError(
                f"{path}: expected pictures of a class, got none; add some, or remove the folder"
            )
        paths += pictures
        names += [path.name] * len(pictures)
    if not paths:
        raise DataError(
            f"{folder}: expected a folder for each class with pictures, got none; move the "
            "pictures into folders named as their classes"
        )
    return ClassPictures(paths, names)


def _refuse_loose(folder: Path) -> None:
    """Raise a DataError for pictures, or other files, beside the folders of classes."""
    loose = [entry for entry in _entries(folder) if not entry.is_dir()]
    if loose:
        raise DataError(
            f"{folder}: expected folders named as the classes, got {len(loose):,} files beside "
            f"them, the first {loose[0].name}; move pictures into the folders of their classes, "
            "and other files out"
        )


def _pictures(folder: Path) -> list[Path]:
    """Return the pictures in a folder and in folders inside; refuse other files."""
    files = list(_files(folder))
    others = [path for path in files if not _is_picture_name(path)]
    if others:
        kinds = Counter(path.suffix.lower() or "without a suffix" for path in others)
        counted = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(5))
        raise DataError(
            f"{folder}: expected pictures only, got {len(others):,} other "
            f"{'file' if len(others) == 1 else 'files'} ({counted}), the first {others[0]}; "
            "convert or remove them"
        )
    return files


def _files(folder: Path, seen: set[str] | None = None) -> Iterator[Path]:
    """Yield the files of a folder, then those of its folders, in natural order.

    A folder that links lead to again is read once.
    """
    seen = set() if seen is None else seen
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    entries = _entries(folder)
    yield from (path for path in entries if not path.is_dir())
    for path in entries:
        if path.is_dir():
            yield from _files(path, seen)


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder in natural order."""
    return [path for path in _entries(folder) if path.is_dir()]


def _entries(folder: Path) -> list[Path]:
    """Return files and folders in natural order, without those that are ignored."""
    paths = (path for path in folder.iterdir() if not _is_ignored(path))
    return sorted(paths, key=lambda path: natural_key(path.name))


def _is_ignored(path: Path) -> bool:
    """Return whether a file is obviously no picture."""
    name = path.name.lower()
    return name.startswith(".") or name in _IGNORED or path.suffix.lower() in _TEXTS


def _is_picture_name(path: Path) -> bool:
    """Return whether a file has the suffix of a picture."""
    return path.suffix.lower() in SUFFIXES


def _part_of(path: Path) -> str | None:
    """Return the part that a folder's name says: train, validation, test or None."""
    name = path.name.lower()
    for part, names in (("train", TRAINING), ("validation", VALIDATION), ("test", TEST)):
        if name in names:
            return part
    return None
