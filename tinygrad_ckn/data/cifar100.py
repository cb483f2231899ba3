"""The binary version of CIFAR-100.

A file is a sequence of records of 3,074 bytes: the coarse label 0..19, the fine label
0..99, then the red, green and blue planes of 32x32 bytes in row-major order. Source:
A. Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html ("Binary version").
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinygrad_ckn.data.arrays import format_of_bytes, scale_bytes
from tinygrad_ckn.data.cifar import SHAPE
from tinygrad_ckn.data.dataset import Dataset, Split
from tinygrad_ckn.errors import DataError

SUBFOLDER = "cifar-100-binary"
RECORD = 2 + 3 * 32 * 32
N_COARSE, N_FINE = 20, 100
FILES = ("train.bin", "test.bin")
_NAMES = "fine_label_names.txt"


def has_cifar100_files(folder: Path) -> bool:
    """Return whether a folder holds the set, itself or in its published subfolder."""
    return (folder / SUBFOLDER).is_dir() or any((folder / name).is_file() for name in FILES)


def load_cifar100(folder: Path) -> Dataset:
    """Read CIFAR-100 from train.bin and test.bin, with its 100 fine labels.

    Names of classes are those in fine_label_names.txt beside them, or numbers.

    Raises
    ------
    DataError
        For a missing file, an incomplete record, or a label out of its range, with the
        byte offset.
    """
    folder = folder / SUBFOLDER if (folder / SUBFOLDER).is_dir() else folder
    train, test = (_read_split(folder / name) for name in FILES)
    names = _class_names(folder / _NAMES)
    return Dataset("cifar100", train, test, N_FINE, names, format_of_bytes(train.images))


def _read_split(path: Path) -> Split:
    """Return the images and fine labels of a file."""
    if not path.is_file():
        raise DataError(
            f"{path}: expected this file of CIFAR-100's binary version, got nothing; add it there"
        )
    size = path.stat().st_size
    count, extra = divmod(size, RECORD)
    if extra or not count:
        got = f"{extra} bytes in the last one" if extra else "an empty file"
        raise DataError(
            f"{path}: expected records of {RECORD} bytes, got {got}, at byte {count * RECORD}; is "
            "it CIFAR-100's binary version, copied whole?"
        )
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, RECORD)
    for column, (kind, n) in enumerate((("coarse", N_COARSE), ("fine", N_FINE))):
        wrong = records[:, column] >= n
        if wrong.any():
            first = int(wrong.argmax())
            raise DataError(
                f"{path}: expected a {kind} label 0 .. {n - 1} at byte {first * RECORD + column}, "
                f"in record {first}, got {records[first, column]}; is it CIFAR-100's binary "
                "version?"
            )
    images = scale_bytes(np.ascontiguousarray(records[:, 2:]).reshape(-1, *SHAPE))
    return Split(images, records[:, 1].astype(np.int64))


def _class_names(path: Path) -> tuple[str, ...]:
    """Return the names of the fine classes."""
    if not path.is_file():
        return tuple(str(number) for number in range(N_FINE))
    names = tuple(path.read_text("utf-8", errors="replace").split())
    if len(names) != N_FINE:
        raise DataError(
            f"{path}: expected {N_FINE} names, one a line, got {len(names)}; mend or move it"
        )
    return names
