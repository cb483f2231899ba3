"""The binary version of CIFAR-10.

A file is a sequence of records of 3,073 bytes: the label 0..9, then the red, green and
blue planes of 32x32 bytes in row-major order. Source: A. Krizhevsky,
https://www.cs.toronto.edu/~kriz/cifar.html ("Binary version").
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.arrays import format_of_bytes, scale_bytes
from tinygrad_ckn.data.dataset import Dataset, Split
from tinygrad_ckn.data.files import existing_folder
from tinygrad_ckn.data.lazy import Joined
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.lazy_images import LazyImages
from tinygrad_ckn.stored_rows import StoredRows

SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32
SUBFOLDER = "cifar-10-batches-bin"
TRAIN_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_FILES = ("test_batch.bin",)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_cifar10(folder: PathLike, *, memory: int | str | None = None) -> Dataset:
    """Read CIFAR-10 from its six binary files.

    Parameters
    ----------
    folder : str or PathLike
        Holds data_batch_1.bin .. data_batch_5.bin and test_batch.bin, itself or in a
        subfolder cifar-10-batches-bin.
    memory : int or str, optional
        As for `load`.

    Returns
    -------
    Dataset
        Images of shape (3, 32, 32) in [0, 1], 10 classes; the official files hold
        50,000 and 10,000 images.

    Raises
    ------
    DataError
        For a missing file, an incomplete record, or a label above 9, with the byte
        offset of the record.
    """
    folder = existing_folder(folder, "the CIFAR-10 binary files")
    if (folder / SUBFOLDER).is_dir():
        folder = folder / SUBFOLDER
    reading = Reading.of(memory=memory)
    train = _read_split(folder, TRAIN_FILES, reading)
    test = _read_split(folder, TEST_FILES, reading)
    return Dataset("cifar10", train, test, len(CLASSES), CLASSES, format_of_bytes(train.images))


def has_cifar_files(folder: Path) -> bool:
    """Return whether a folder holds any file that `load_cifar10` reads."""
    return (folder / SUBFOLDER).is_dir() or any(
        (folder / name).is_file() for name in (*TRAIN_FILES, *TEST_FILES)
    )


def _read_split(folder: Path, names: tuple[str, ...], reading: Reading) -> Split:
    """Read files into one array, which is allocated once, one file at a time.

    Images that take too much memory are left in the files.
    """
    paths = [folder / name for name in names]
    counts = [_count_records(path) for path in paths]
    shape = (sum(counts), *SHAPE)
    lazy = reading.is_large(shape)
    images = np.empty((0, *SHAPE) if lazy else shape, dtype=np.float32)
    labels = np.empty(sum(counts), dtype=np.int64)
    start = 0
    for path, count in zip(paths, counts, strict=True):
        # (count, RECORD)
        records = _read_records(path)
        labels[start : start + count] = records[:, 0]
        if not lazy:
            images[start : start + count] = records[:, 1:].reshape(count, *SHAPE)
        start += count
    if lazy:
        return Split(_in_files(paths, counts, reading), labels)
    images /= 255
    return Split(images, labels)


def _in_files(paths: list[Path], counts: list[int], reading: Reading) -> NDArray[np.float32]:
    """Return the images of files as LazyImages, to type checkers an array."""
    sources = [
        StoredRows.of_file(path, (count, RECORD), np.uint8, 0)
        for path, count in zip(paths, counts, strict=True)
    ]

    def convert(records: NDArray[Any], _: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        return scale_bytes(records[:, 1:].reshape(-1, *SHAPE))

    records = LazyImages(Joined(sources), reading.memory_limit)
    images: Any = records.map(convert, SHAPE, np.float32)
    return images


def _count_records(path: Path) -> int:
    """Return the number of records in a file, computed from its size."""
    if not path.is_file():
        raise DataError(
            f"{path}: expected this file of CIFAR-10's binary version, got nothing; add it there"
        )
    size = path.stat().st_size
    count, extra = divmod(size, RECORD)
    if extra:
        raise DataError(
            f"{path}: expected records of {RECORD} bytes, got {extra} bytes in the last one, at "
            f"byte {count * RECORD}; copy or download the file again"
        )
    if count == 0:
        raise DataError(
            f"{path}: expected at least one record of {RECORD} bytes at byte 0, got an empty file"
        )
    return count


def _read_records(path: Path) -> NDArray[np.uint8]:
    """Return the records of a file, (count, RECORD), with checked labels."""
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, RECORD)
    wrong = records[:, 0] >= len(CLASSES)
    if wrong.any():
        first = int(wrong.argmax())
        raise DataError(
            f"{path}: expected a label 0 .. {len(CLASSES) - 1} at byte {first * RECORD}, where "
            f"record {first} starts, got {records[first, 0]}; is it CIFAR-10's binary version?"
        )
    return records
