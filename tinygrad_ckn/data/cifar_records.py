"""Records of the binary versions of CIFAR-10 and CIFAR-100.

A record is one or two labels of a byte each, then the red, green and blue planes of 32x32
bytes in row-major order. Source: A. Krizhevsky,
https://www.cs.toronto.edu/~kriz/cifar.html ("Binary version").
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.arrays import scale_bytes
from tinygrad_ckn.data.dataset import Split
from tinygrad_ckn.data.lazy import Joined
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.lazy_images import LazyImages
from tinygrad_ckn.stored_rows import StoredRows

SHAPE = (3, 32, 32)


class Layout(NamedTuple):
    """The labels of a record: what each is, such as "fine label", and its classes."""

    title: str
    kinds: tuple[str, ...]
    n_classes: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of a record."""
        return len(self.kinds) + 3 * 32 * 32


def read_split(paths: Sequence[Path], layout: Layout, column: int, reading: Reading) -> Split:
    """Read files into one array, which is allocated once, one file at a time.

    Images that take too much memory are left in the files.

    Parameters
    ----------
    paths
        The files, in order.
    layout
        That of their records.
    column
        Which of the labels of a record to return.
    reading
        How much memory the images may take.

    Raises
    ------
    DataError
        For a missing file, an incomplete record, or a label out of its range, with the
        byte offset.
    """
    counts = [_count(path, layout) for path in paths]
    shape = (sum(counts), *SHAPE)
    lazy = reading.is_large(shape)
    images = np.empty((0, *SHAPE) if lazy else shape, dtype=np.float32)
    labels = np.empty(sum(counts), dtype=np.int64)
    start = 0
    for path, count in zip(paths, counts, strict=True):
        # (count, size)
        records = _read(path, layout)
        labels[start : start + count] = records[:, column]
        if not lazy:
            images[start : start + count] = _planes(records, layout)
        start += count
    if lazy:
        return Split(_in_files(paths, counts, layout, reading), labels)
    images /= 255
    return Split(images, labels)


def _planes(records: NDArray[np.uint8], layout: Layout) -> NDArray[np.uint8]:
    """Return the pixels of records, (n, 3, 32, 32)."""
    return records[:, len(layout.kinds) :].reshape(-1, *SHAPE)


def _in_files(
    paths: Sequence[Path], counts: Sequence[int], layout: Layout, reading: Reading
) -> NDArray[np.float32]:
    """Return the images of files as LazyImages, to type checkers an array."""
    sources = [
        StoredRows.of_file(path, (count, layout.size), np.uint8, 0)
        for path, count in zip(paths, counts, strict=True)
    ]

    def convert(records: NDArray[Any], _: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        return scale_bytes(_planes(records, layout))

    records = LazyImages(Joined(sources), reading.memory_limit)
    images: Any = records.map(convert, SHAPE, np.float32)
    return images


def _count(path: Path, layout: Layout) -> int:
    """Return the number of records in a file, computed from its size."""
    if not path.is_file():
        raise DataError(
            f"{path}: expected this file of {layout.title}'s binary version, got nothing; add it "
            "there"
        )
    count, extra = divmod(path.stat().st_size, layout.size)
    if extra or not count:
        got = f"{extra} bytes in the last one" if extra else "an empty file"
        raise DataError(
            f"{path}: expected records of {layout.size} bytes, got {got}, at byte "
            f"{count * layout.size}; is it {layout.title}'s binary version, copied whole?"
        )
    return count


def _read(path: Path, layout: Layout) -> NDArray[np.uint8]:
    """Return the records of a file, (count, size), with checked labels."""
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, layout.size)
    for column, (kind, n) in enumerate(zip(layout.kinds, layout.n_classes, strict=True)):
        wrong = records[:, column] >= n
        if wrong.any():
            first = int(wrong.argmax())
            raise DataError(
                f"{path}: expected a {kind} 0 .. {n - 1} at byte {first * layout.size + column}, "
                f"in record {first}, got {records[first, column]}; is it {layout.title}'s binary "
                "version?"
            )
    return records
