"""USPS, the postal digits, in either of its published text formats.

A line is an image of 16x16 pixels in [-1, 1] with its label. In zip.train and zip.test the
label 0..9 comes first, then the pixels, separated by spaces. In usps and usps.t, LIBSVM's
format, the label is 1..10, the digit plus 1, and pixels are written INDEX:VALUE. Sources:
T. Hastie, R. Tibshirani and J. Friedman, https://hastie.su.domains/ElemStatLearn/data.html
("ZIP code"); https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass.html#usps.
"""

from __future__ import annotations

import bz2
import gzip
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.arrays import as_images
from tinygrad_ckn.data.dataset import Split
from tinygrad_ckn.data.parts import Parts
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import DataError

SIDE = 16
CLASSES = tuple("0123456789")
_WIDTH = SIDE * SIDE
# The published files have a tenth of that.
_MAX_BYTES = 200_000_000


class _Version(NamedTuple):
    """The two files of a version, and the label of the digit 0."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    zero: int


_VERSIONS = (
    _Version(("zip.train", "zip.train.gz"), ("zip.test", "zip.test.gz"), 0),
    _Version(("usps", "usps.bz2"), ("usps.t", "usps.t.bz2"), 1),
)


def has_usps_files(folder: Path) -> bool:
    """Return whether a folder holds any file of either version."""
    return any((folder / name).is_file() for v in _VERSIONS for name in (*v.train, *v.test))


def usps_parts(folder: Path) -> Parts:
    """Return the training and the test part of USPS; labels are the digits.

    Raises
    ------
    DataError
        For a missing or damaged file, and, with the line, for another number of pixels,
        and labels or pixels out of their ranges.
    """
    version = next(
        (v for v in _VERSIONS if any((folder / name).is_file() for name in (*v.train, *v.test))),
        _VERSIONS[0],
    )
    paths = [
        next((folder / name for name in names if (folder / name).is_file()), folder / names[0])
        for names in (version.train, version.test)
    ]
    reading = Reading(image_shape=(1, SIDE, SIDE))
    splits = []
    for path in paths:
        labels, pixels = _read(path, version.zero)
        images, read_as = as_images(pixels, str(path), reading)
        splits.append(Split(images, labels))
        reading = reading.with_format(read_as)
    train, test = splits
    assert reading.like is not None
    return Parts("usps", str(folder), train, test, reading.like, CLASSES)


def _read(path: Path, zero: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the digits (n,) and the pixels (n, 256) of a file."""
    lines = [line.split() for line in _text(path).splitlines()]
    rows = [cells for cells in lines if cells]
    if not rows:
        raise DataError(f"{path}: expected at least one line of USPS, got none; copy it again")
    values = np.array([_numbers(cells, path, i, zero) for i, cells in enumerate(rows, start=1)])
    wrong = np.abs(values[:, 1:]) > 1
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(
            f"{path}, image {row + 1}: expected pixels from -1 to 1, got "
            f"{values[row, column + 1]:g}; is it USPS?"
        )
    return values[:, 0].astype(np.int64), values[:, 1:].astype(np.float32)


def _numbers(cells: list[str], path: Path, number: int, zero: int) -> list[float]:
    """Return the digit and the pixels of an image, the `number`-th of a file."""
    label, *pixels = cells
    if zero:
        # LIBSVM's format, where every pixel is written.
        written = [cell.partition(":") for cell in pixels]
        complete = [index for index, _, _ in written] == [str(i + 1) for i in range(_WIDTH)]
        pixels = [value for _, _, value in written] if complete else []
    try:
        numbers = [float(label) - zero, *map(float, pixels)]
    except ValueError:
        numbers = []
    if len(numbers) != 1 + _WIDTH or not np.isfinite(numbers).all():
        indices = f", written 1:VALUE .. {_WIDTH}:VALUE" if zero else ""
        raise DataError(
            f"{path}, image {number}: expected a label and {_WIDTH} numbers{indices}, got "
            f"{' '.join(cells)[:40]!r} ({len(cells)} in all); is it USPS?"
        )
    if numbers[0] not in range(10):
        raise DataError(
            f"{path}, image {number}: expected a label {zero} .. {zero + 9}, got {label[:20]}; is "
            "it USPS?"
        )
    return numbers


def _text(path: Path) -> str:
    """Return the text of a file, unzipped."""
    if not path.is_file():
        raise DataError(f"{path}: expected this file of USPS, got nothing; add it there")
    try:
        with path.open("rb") as raw:
            zipped: BinaryIO = raw
            if path.suffix == ".gz":
                zipped = cast(BinaryIO, gzip.GzipFile(fileobj=raw))
            elif path.suffix == ".bz2":
                zipped = cast(BinaryIO, bz2.BZ2File(raw))
            content = zipped.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ValueError(f"it has more than {_MAX_BYTES:,} bytes")
        return content.decode("ascii")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(
            f"{path}: expected a sound file of text, got one that is damaged "
            f"({' '.join(str(error).split())[:80]}); copy or download it again"
        ) from error
