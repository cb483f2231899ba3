"""Loaders of NumPy archives (.npz), arrays (.npy) and CSV files.

Nothing is ever unpickled: arrays of Python objects are refused. Sources of the formats:
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html and
`tinygrad_ckn.data.csv`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.backend import Shape
from tinygrad_ckn.data.arrays import as_images
from tinygrad_ckn.data.csv import read_table
from tinygrad_ckn.data.dataset import Dataset, Split
from tinygrad_ckn.data.files import existing_file
from tinygrad_ckn.data.npy import names_in, read_npz
from tinygrad_ckn.data.parts import Parts
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.labels import as_labels, is_name


class _Names(NamedTuple):
    """Names of the arrays of images and labels, by part; test and validation are optional."""

    train: tuple[str, str]
    test: tuple[str, str]
    validation: tuple[str, str]


_OURS = _Names(("images", "labels"), ("test_images", "test_labels"), ("val_images", "val_labels"))
_KERAS = _Names(("x_train", "y_train"), ("x_test", "y_test"), ("x_val", "y_val"))
_MEDMNIST = _Names(("train_images", "train_labels"), *_OURS[1:])


def load_npz(
    path: PathLike,
    *,
    image_shape: Sequence[int] | None = None,
    channels_last: bool | None = None,
    scale: float | None = None,
    seed: int = 0,
) -> Dataset:
    """Read a NumPy archive with the arrays `images` and `labels`.

    Parameters
    ----------
    path : str or PathLike
        `images` is (n, H, W), (n, C, H, W) or, with channels_last, (n, H, W, C):
        integers 0..255, which are divided by 255, booleans, or finite floats, which are
        not changed. `labels` is (n,): integers, strings or booleans. `test_images` and
        `test_labels`, read in the same way, are the test part, `val_images` and
        `val_labels` the validation part; `class_names` has a name for each class. The
        names of Keras (x_train, y_train, x_test, y_test, x_val, y_val) and of MedMNIST
        (train_images, train_labels, ...) stand for these.
    image_shape : tuple of int, optional
        (C, H, W) or (H, W); needed for rows of pixels (n, C H W).
    channels_last : bool, optional
        Whether pixels are in the order (H, W, C); needed if both orders are possible.
    scale : float, optional
        Divisor of the pixels.
    seed : int
        Chooses the test part, a stratified fifth of the images, if the archive has none.

    Returns
    -------
    Dataset
        Named as the file; its classes are the sorted distinct labels.

    Raises
    ------
    DataError
        For a missing or damaged file, a missing key, an array of objects, another shape
        or dtype, too few images, or images of ambiguous shape.
    """
    return npz_parts(path, Reading.of(image_shape, channels_last, None, scale)).dataset(seed)


def load_csv(
    path: PathLike,
    *,
    image_shape: Sequence[int] | None = None,
    channels_last: bool | None = None,
    header: bool | None = None,
    label: str | None = None,
    scale: float | None = None,
    seed: int = 0,
) -> Dataset:
    """Read a CSV file whose rows are a label and the pixels of one image.

    Parameters
    ----------
    path : str or PathLike
        Cells are separated by commas, semicolons, tabs or spaces, the file is compressed
        with gzip or zip, or not. A column holds labels: integers, strings or booleans.
        Integer pixels are 0..255 and are divided by 255; if any
        pixel has a decimal point or an exponent, none is changed.
    image_shape : tuple of int, optional
        (C, H, W) or (H, W); None: a grey square.
    channels_last : bool, optional
        Whether pixels are in the order (H, W, C); None: (C, H, W).
    header : bool, optional
        Whether the first row is a header; needed if it consists of numbers 0, 1, 2, ...
    label : str, optional
        "first", "last", or the name of the column of the labels; None: that which the
        header names label, class, target or y; without a header the first or the last,
        where only one of them can be meant.
    scale : float, optional
        Divisor of the pixels.
    seed : int
        Chooses the test part, a stratified fifth of the images.

    Returns
    -------
    Dataset
        Named as the file; its classes are the sorted distinct labels.

    Raises
    ------
    DataError
        With the row and column: for rows of different lengths and invalid cells. Also
        for ambiguous widths and headers, and for pixels that look like those of another
        shape.
    """
    reading = Reading.of(image_shape, channels_last, header, scale, label=label)
    return csv_parts(path, reading).dataset(seed)


def npz_parts(path: PathLike, reading: Reading) -> Parts:
    """Return the labelled images of an archive, with its other parts if any."""
    path = existing_file(path, "an .npz file")
    names = _names_of(path)
    group = reading.group
    of_group = () if group is None else (group, f"test_{group}", f"val_{group}")
    required = names.train if group is None or reading.like is not None else (*names.train, group)
    arrays = read_npz(path, required, (*names.test, *names.validation, *of_group, "class_names"))
    images, labels = names.train
    if names is _MEDMNIST and reading.channels_last is None and _is_rgb(arrays[images].shape):
        reading = replace(reading, channels_last=True)
    train, read_as = _labelled(path, arrays, (images, labels, group), reading)
    as_train = reading if reading.like is not None else reading.with_format(read_as)
    test, validation = (
        _other_part(path, arrays, keys, prefix, as_train)
        for keys, prefix in ((names.test, "test_"), (names.validation, "val_"))
    )
    names_of_classes = _class_names(path, arrays)
    return Parts(path.stem, str(path), train, test, read_as, names_of_classes, validation)


def csv_parts(path: PathLike, reading: Reading) -> Parts:
    """Return all labelled images of a CSV file."""
    path = existing_file(path, "a CSV file")
    images, labels, read_as, groups = read_table(path, labelled=True, reading=reading)
    assert labels is not None
    return Parts(path.stem, str(path), Split(images, labels, groups), None, read_as)


def read_npz_images(path: PathLike, reading: Reading) -> NDArray[np.float32]:
    """Return the images of an archive as float32 (n, C, H, W)."""
    path = existing_file(path, "an .npz file")
    return as_images(read_npz(path, ("images",), ())["images"], f"{path}, images", reading)[0]


def _names_of(path: Path) -> _Names:
    """Return the names of the arrays of an archive, ours if there are none of the others."""
    stored = names_in(path)
    found = [names for names in (_OURS, _KERAS, _MEDMNIST) if names.train[0] in stored]
    if len(found) > 1:
        got = " and ".join(names.train[0] for names in found)
        raise DataError(
            f"{path}: expected one array of training images, got {got}; store them in two archives"
        )
    return found[0] if found else _OURS


def _other_part(
    path: Path,
    arrays: dict[str, NDArray[Any]],
    keys: Sequence[str],
    prefix: str,
    reading: Reading,
) -> Split | None:
    """Return the test or the validation part of an archive, None if it has none."""
    missing = [key for key in keys if key not in arrays]
    if len(missing) == len(keys):
        return None
    if missing:
        raise DataError(
            f"{path}: expected both {' and '.join(keys)}, got no {missing[0]}; store both or "
            "neither"
        )
    group = None if reading.group is None else f"{prefix}{reading.group}"
    return _labelled(path, arrays, (keys[0], keys[1], group), reading)[0]


def _labelled(
    path: Path,
    arrays: dict[str, NDArray[Any]],
    keys: tuple[str, str, str | None],
    reading: Reading,
) -> tuple[Split, DataFormat]:
    """Return images, labels and groups of one part of an archive, and their format."""
    images_key, labels_key, group = keys
    labels = as_labels(arrays[labels_key], f"{path}, {labels_key}")
    images, read_as = as_images(arrays[images_key], f"{path}, {images_key}", reading, len(labels))
    if len(images) != len(labels):
        raise DataError(
            f"{path}, {labels_key}: expected {len(images)} labels, one per image, got {len(labels)}"
        )
    groups = None
    if group is not None and group in arrays:
        groups = as_labels(arrays[group], f"{path}, {group}")
        if len(groups) != len(labels):
            raise DataError(
                f"{path}, {group}: expected {len(labels)} groups, one per image, got {len(groups)}"
            )
    return Split(images, labels, groups), read_as


def _is_rgb(shape: Shape) -> bool:
    """Return whether an array can be MedMNIST's images (n, H, H, 3) only."""
    return len(shape) == 4 and shape[3] == 3 and shape[1] == shape[2] > 3


def _class_names(path: Path, arrays: dict[str, NDArray[Any]]) -> tuple[str, ...] | None:
    """Return the names of the classes, None if an archive has none."""
    if "class_names" not in arrays:
        return None
    names = as_labels(arrays["class_names"], f"{path}, class_names").tolist()
    if not all(is_name(name) for name in names):
        raise DataError(
            f"{path}, class_names: expected a name for each class, got {str(names)[:80]}; store "
            "strings"
        )
    return tuple(names)
