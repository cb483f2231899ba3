"""Street View House Numbers, cropped digits (format 2), in MATLAB files.

X is uint8 (32, 32, 3, n): rows, columns, channels, images; y is (n, 1) with labels
1..10, where 10 is the digit 0. Source: Y. Netzer et al.,
http://ufldl.stanford.edu/housenumbers/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.arrays import format_of_bytes, scale_bytes
from tinygrad_ckn.data.dataset import Dataset, Split
from tinygrad_ckn.data.matlab_tags import check_numbers
from tinygrad_ckn.data.parts import Parts
from tinygrad_ckn.errors import DataError

TRAIN = "train_32x32.mat"
TEST = "test_32x32.mat"
CLASSES = tuple("0123456789")
# zlib packs at most this many bytes into one.
_MAX_INFLATION = 1032


def has_svhn_files(folder: Path) -> bool:
    """Return whether a folder holds train_32x32.mat or test_32x32.mat."""
    return (folder / TRAIN).is_file() or (folder / TEST).is_file()


def starts_as_matlab(path: Path) -> bool:
    """Return whether a file begins as MATLAB files do."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(7) == b"MATLAB "


def load_svhn(folder: Path) -> Dataset:
    """Read train_32x32.mat and test_32x32.mat of a folder; labels are the digits 0 .. 9.

    extra_32x32.mat is not read.

    Raises
    ------
    DataError
        For a missing or damaged file, other arrays, and MATLAB files of version 7.3.
    """
    train, test = _read_split(folder / TRAIN), _read_split(folder / TEST)
    return Dataset("svhn", train, test, 10, CLASSES, format_of_bytes(train.images))


def svhn_parts(path: Path) -> Parts:
    """Return the labelled images of one file, without a test part."""
    split = _read_split(path)
    return Parts(path.stem, str(path), split, None, format_of_bytes(split.images), CLASSES)


def _read_split(path: Path) -> Split:
    """Read the images and labels of a file."""
    if not path.is_file():
        raise DataError(f"{path}: expected this file of SVHN, got nothing; add it there")
    arrays = _read_matlab(path)
    labels = arrays["y"].reshape(-1)
    wrong = (labels < 1) | (labels > 10) | (labels != np.floor(labels))
    if wrong.any():
        first = int(wrong.argmax())
        raise DataError(
            f"{path}, y: expected labels 1 .. 10, got {labels[first]} at index {first}; is it "
            "SVHN's cropped digits?"
        )
    images = scale_bytes(arrays["X"].transpose(3, 2, 0, 1))
    return Split(images, labels.astype(np.int64) % 10)


def _read_matlab(path: Path) -> dict[str, NDArray[Any]]:
    """Return X and y, whose sizes are checked before they are read."""
    from scipy.io import loadmat, whosmat

    try:
        found = {name: (shape, kind) for name, shape, kind in whosmat(str(path))}
        _check_declared(path, found)
        check_numbers(path, ("X", "y"))
        arrays = loadmat(str(path), variable_names=["X", "y"])
        return {name: np.asarray(arrays[name]).reshape(found[name][0]) for name in ("X", "y")}
    except DataError:
        raise
    except NotImplementedError as error:
        raise DataError(
            f"{path}: expected a MATLAB file of version 5 to 7, got version 7.3 (HDF5); save it "
            "again with -v7"
        ) from error
    # SciPy raises errors of many kinds for damaged files.
    except Exception as error:
        raise DataError(
            f"{path}: expected a MATLAB file with X and y, got a damaged or another file; copy or "
            "download it again"
        ) from error


def _check_declared(path: Path, found: dict[str, tuple[tuple[int, ...], str]]) -> None:
    """Raise a DataError unless a file declares the arrays of SVHN."""
    shape, kind = found.get("X", ((), "none"))
    if kind != "uint8" or len(shape) != 4 or shape[:3] != (32, 32, 3) or not shape[3]:
        raise DataError(
            f"{path}, X: expected uint8 of shape (32, 32, 3, n), n >= 1, got {kind} of shape "
            f"{shape}; the cropped digits are train_32x32.mat and test_32x32.mat"
        )
    count = shape[3]
    labels_shape, labels_kind = found.get("y", ((), "none"))
    numbers = labels_kind in ("uint8", "double", "int64", "int32", "uint16", "int16", "int8")
    if not numbers or labels_shape not in ((count, 1), (1, count)):
        raise DataError(
            f"{path}, y: expected a label for each image, shape ({count}, 1), got {labels_kind} of "
            f"shape {labels_shape}"
        )
    if count * 3072 > path.stat().st_size * _MAX_INFLATION:
        raise DataError(f"{path}, X: expected {count:,} images, got a file too small for them")
