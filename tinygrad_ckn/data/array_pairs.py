"""Pairs of array files, one of images and one of their labels.

The file of labels has the name of that of the images with another word: X.npy and y.npy,
X_train.npy and y_train.npy, images.npy and labels.npy, or, as Kuzushiji-MNIST is
published, kmnist-train-imgs.npz and kmnist-train-labels.npz. Words are separated by _
or -, in any case; `train`, `test` and `val` among them say which part it is. Hidden files
are ignored. An .npz file of a pair has one array without a name, which NumPy calls arr_0. Source:
http://codh.rois.ac.jp/kmnist/dataset/kmnist/.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.arrays import as_images
from tinygrad_ckn.data.dataset import Split
from tinygrad_ckn.data.files import existing_file
from tinygrad_ckn.data.npy import names_in, read_npy, read_npz
from tinygrad_ckn.data.parts import Parts
from tinygrad_ckn.data.picture_paths import has_pictures
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.labels import as_labels

# The word for images, and that for their labels.
_WORDS = {"x": "y", "images": "labels", "imgs": "labels"}
_PARTS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "validation": "validation",
}
_UNNAMED = "arr_0"


def is_array_file(path: Path) -> bool:
    """Return whether a file holds a single array: .npy, or .npz with one without a name."""
    suffix = path.suffix.lower()
    return suffix == ".npy" or (suffix == ".npz" and names_in(path) == {_UNNAMED})


def has_array_pairs(folder: Path) -> bool:
    """Return whether a folder holds a file of images by its name and kind."""
    return bool(_array_files(folder, _WORDS))


def read_array_file(path: Path, reading: Reading) -> NDArray[np.float32]:
    """Return the images of a file of one array as float32 (n, C, H, W)."""
    return as_images(_array(path, reading), str(path), reading)[0]


def pair_parts(path: Path, reading: Reading) -> Parts:
    """Return the images of a file with the labels beside it.

    Raises
    ------
    DataError
        For a missing file, a name without one of the words, without a file of labels, and
        for arrays that do not fit each other.
    """
    path = existing_file(path, "an array file with its labels beside it")
    split, read_as = _read_pair(path, reading)
    return Parts(path.stem, str(path), split, None, read_as)


def folder_of_pairs(folder: Path, reading: Reading) -> Parts:
    """Return the pairs of a folder as its parts.

    Raises
    ------
    DataError
        As `pair_parts`; for two pairs of one part, without one of training images, and for
        folders of pictures inside.
    """
    pictures = next((p for p in _visible(folder) if p.is_dir() and has_pictures(p)), None)
    if pictures is not None:
        raise DataError(
            f"{folder}: expected array files alone, got pictures in {pictures.name}, too; move "
            "either to another folder"
        )
    found: dict[str, Path] = {}
    images = _array_files(folder, _WORDS)
    paired = {_labels_beside(path) for path in images}
    for path in _array_files(folder, set(_WORDS.values())):
        if path not in paired:
            raise DataError(
                f"{path}: expected the images of these labels in a file beside it, got none; add "
                "it, or move the labels"
            )
    for path in images:
        part = _part(path)
        if part in found:
            raise DataError(
                f"{folder}: expected one file of {part} images, got {found[part].name} and "
                f"{path.name}; give one of them itself"
            )
        found[part] = path
    if "train" not in found:
        raise DataError(
            f"{folder}: expected a file of training images, such as X_train.npy, got "
            f"{', '.join(path.name for path in found.values())} alone; give that file itself"
        )
    train, read_as = _read_pair(found["train"], reading)
    as_train = reading if reading.like is not None else reading.with_format(read_as)
    test, validation = (
        _read_pair(found[part], as_train)[0] if part in found else None
        for part in ("test", "validation")
    )
    return Parts(folder.resolve().name, str(folder), train, test, read_as, validation=validation)


def _words(path: Path) -> list[str]:
    """Return the words of the name of a file, in lower case."""
    return re.split(r"[_-]", path.stem.lower())


def _array_files(folder: Path, words: Collection[str]) -> list[Path]:
    """Return the array files in a folder whose name has one of some words."""
    return [
        path
        for path in _visible(folder)
        if any(word in words for word in _words(path)) and path.is_file() and _may_be_array(path)
    ]


def _may_be_array(path: Path) -> bool:
    """Return whether a file is one of a single array, or damaged, which reading it says."""
    return is_array_file(path) or (path.suffix.lower() == ".npz" and not names_in(path))


def _visible(folder: Path) -> list[Path]:
    """Return what a folder holds, without hidden files such as macOS's copies ._X.npy."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _part(path: Path) -> str:
    """Return the part that the name of a file says; without one it is that of training."""
    return next((_PARTS[word] for word in _words(path) if word in _PARTS), "train")


def _labels_beside(path: Path) -> Path:
    """Return the file of the labels of images, or raise a DataError."""
    words = _words(path)
    of_images = [word for word in words if word in _WORDS]
    if len(of_images) != 1:
        raise _unnamed(path)
    word = of_images[0]
    found = _beside(path, word, _WORDS[word])
    if len(found) != 1:
        got = " and ".join(other.name for other in found) or "none"
        name = re.sub(rf"(?<![a-z]){word}(?![a-z])", _WORDS[word], path.name, flags=re.I)
        raise DataError(
            f"{path}: expected the labels of these images in one file, {name}, beside it, got "
            f"{got}; add or rename it, or give only files that have labels"
        )
    return found[0]


def _beside(path: Path, word: str, other: str) -> list[Path]:
    """Return the files beside one that have another word in place of one in its name."""
    wanted = [other if mine == word else mine for mine in _words(path)]
    suffix = path.suffix.lower()
    return [
        found
        for found in _visible(path.parent)
        if found.suffix.lower() == suffix and _words(found) == wanted
    ]


def _unnamed(path: Path) -> DataError:
    """Return the error for a name that does not say where the labels are."""
    images = [
        found.name
        for word, other in _WORDS.items()
        if other in _words(path)
        for found in _beside(path, other, word)
    ]
    if images:
        return DataError(
            f"{path}: expected images, got a file named as the labels of {' and '.join(images)}; "
            "give the file of the images"
        )
    return DataError(
        f"{path}: expected a name that says where the labels are, such as X.npy beside y.npy, "
        "or images_train.npy beside labels_train.npy, got another; rename both files, or "
        "store them in an .npz file with images and labels"
    )


def _array(path: Path, reading: Reading | None = None) -> NDArray[Any]:
    """Return the array of a file."""
    if path.suffix.lower() == ".npy":
        return read_npy(path, reading)
    return read_npz(path, (_UNNAMED,))[_UNNAMED]


def _read_pair(path: Path, reading: Reading) -> tuple[Split, DataFormat]:
    """Return images and their labels, and their format."""
    beside = _labels_beside(path)
    labels = as_labels(_array(beside), str(beside))
    images, read_as = as_images(_array(path, reading), str(path), reading, len(labels))
    if len(images) != len(labels):
        raise DataError(
            f"{beside}: expected {len(images)} labels, one for each image of {path.name}, got "
            f"{len(labels)}"
        )
    return Split(images, labels), read_as
