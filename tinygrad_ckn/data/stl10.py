"""The binary version of STL-10.

An image is 27,648 bytes: the red, green and blue planes of 96x96 bytes in column-major
order. Labels are bytes 1..10, in another file. `unlabeled_X.bin` is not read. Source:
A. Coates, https://cs.stanford.edu/~acoates/stl10/.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.arrays import format_of_bytes, scale_bytes
from tinygrad_ckn.data.dataset import Dataset, Split
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.lazy_images import LazyImages
from tinygrad_ckn.stored_rows import StoredRows

SUBFOLDER = "stl10_binary"
SIZE = 96
RECORD = 3 * SIZE * SIZE
_SHAPE = (3, SIZE, SIZE)
CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
_FILES = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")


def has_stl10_files(folder: Path) -> bool:
    """Return whether a folder holds files of STL-10, itself or in its published subfolder."""
    return (folder / SUBFOLDER).is_dir() or any((folder / name).is_file() for name in _FILES)


def load_stl10(folder: Path, reading: Reading) -> Dataset:
    """Read the labelled images of STL-10; labels are 1 .. 10, as published.

    Images that take too much memory are left in the files.

    Raises
    ------
    DataError
        For a missing file, an incomplete image, another number of labels than of images,
        or a label that is not 1 .. 10.
    """
    folder = folder / SUBFOLDER if (folder / SUBFOLDER).is_dir() else folder
    train = _read_split(folder, "train", reading)
    test = _read_split(folder, "test", reading)
    data_format = replace(format_of_bytes(train.images), classes=tuple(range(1, 11)))
    return Dataset("stl10", train, test, len(CLASSES), _class_names(folder), data_format)


def _read_split(folder: Path, part: str, reading: Reading) -> Split:
    """Read the images and labels of a part."""
    images_path, labels_path = folder / f"{part}_X.bin", folder / f"{part}_y.bin"
    for path in (images_path, labels_path):
        if not path.is_file():
            raise DataError(f"{path}: expected this file of STL-10, got nothing; add it there")
    count, extra = divmod(images_path.stat().st_size, RECORD)
    if extra or not count:
        raise DataError(
            f"{images_path}: expected images of {RECORD} bytes, got "
            f"{images_path.stat().st_size:,} bytes in all; copy or download the file again"
        )
    if labels_path.stat().st_size != count:
        raise DataError(
            f"{labels_path}: expected {count} bytes, a label for each image of {images_path.name}, "
            f"got {labels_path.stat().st_size:,}; copy or download both files again"
        )
    labels = np.fromfile(labels_path, np.uint8)
    wrong = (labels < 1) | (labels > len(CLASSES))
    if wrong.any():
        first = int(wrong.argmax())
        raise DataError(
            f"{labels_path}: expected labels 1 .. {len(CLASSES)}, got {labels[first]} at byte "
            f"{first}; is it STL-10's binary version?"
        )
    images: Any
    if reading.is_large((count, *_SHAPE)):
        rows = StoredRows.of_file(images_path, (count, *_SHAPE), np.uint8, 0)
        images = LazyImages(rows, reading.memory_limit).map(
            lambda columns, _: _upright(columns), _SHAPE, np.float32
        )
    else:
        images = _upright(np.fromfile(images_path, np.uint8).reshape(count, *_SHAPE))
    return Split(images, labels.astype(np.int64))


def _upright(columns: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return images whose columns come first in the file."""
    return scale_bytes(columns.swapaxes(2, 3))


def _class_names(folder: Path) -> tuple[str, ...]:
    """Return the names in class_names.txt, or the published ones."""
    path = folder / "class_names.txt"
    if not path.is_file():
        return CLASSES
    if path.stat().st_size > 10_000:
        raise DataError(f"{path}: expected {len(CLASSES)} names, got more; mend or move it")
    names = tuple(path.read_text(encoding="utf-8", errors="replace").split())
    if len(names) != len(CLASSES):
        raise DataError(
            f"{path}: expected {len(CLASSES)} names, one a line, got {len(names)}; mend or move it"
        )
    return names
