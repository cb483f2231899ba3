"""The Python versions of CIFAR-10 and CIFAR-100: pickled batches.

A batch is a dictionary with `data`, uint8 (n, 3072), the red, green and blue planes of
32x32 bytes in row-major order, and `labels`, or `fine_labels` and `coarse_labels`; a
file `batches.meta` or `meta` has the names of the classes. Source: A. Krizhevsky,
https://www.cs.toronto.edu/~kriz/cifar.html ("Python version").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.arrays import format_of_bytes, scale_bytes
from tinygrad_ckn.data.cifar import CLASSES
from tinygrad_ckn.data.cifar100 import KINDS, kind_of_labels, said
from tinygrad_ckn.data.cifar_records import SHAPE
from tinygrad_ckn.data.dataset import Dataset, Split
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data.unpickle import read_pickle, starts_as_pickle
from tinygrad_ckn.errors import DataError


@dataclass(frozen=True)
class Batches:
    """The files of one of the sets, and their keys."""

    name: str
    subfolder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    labels: str
    names: str
    n_classes: int


CIFAR10 = Batches(
    "cifar10",
    "cifar-10-batches-py",
    tuple(f"data_batch_{i}" for i in range(1, 6)),
    ("test_batch",),
    "batches.meta",
    "labels",
    "label_names",
    10,
)
CIFAR100 = Batches(
    "cifar100",
    "cifar-100-python",
    ("train",),
    ("test",),
    "meta",
    "fine_labels",
    "fine_label_names",
    100,
)


def has_batches(folder: Path, batches: Batches = CIFAR10) -> bool:
    """Return whether a folder holds such files, itself or in its published subfolder."""
    inside = _inside(folder, batches)
    files = (*batches.train, *batches.test)
    return inside != folder or any(starts_as_pickle(inside / name) for name in files)


def load_cifar100_batches(folder: Path, reading: Reading) -> Dataset:
    """Read the batches of CIFAR-100, with its fine or its coarse labels."""
    kind = kind_of_labels(reading)
    batches = replace(
        CIFAR100, labels=f"{kind}_labels", names=f"{kind}_label_names", n_classes=KINDS[kind]
    )
    return load_batches(folder, batches, said(kind))


def load_batches(folder: Path, batches: Batches = CIFAR10, label: str | None = None) -> Dataset:
    """Read the batches of a folder.

    Labels are class numbers; `label` is kept in the format. Names of classes are those of
    the file beside the batches, or, without it, CIFAR-10's or numbers.

    Raises
    ------
    DataError
        For a missing or damaged file, and for anything in it other than such a batch.
    """
    folder = _inside(folder, batches)
    train = _read_split(folder, batches.train, batches)
    test = _read_split(folder, batches.test, batches)
    names = _class_names(folder, batches)
    data_format = replace(format_of_bytes(train.images), label=label)
    return Dataset(batches.name, train, test, batches.n_classes, names, data_format)


def _inside(folder: Path, batches: Batches) -> Path:
    """Return the published subfolder if there is one, otherwise the folder."""
    inside = folder / batches.subfolder
    return inside if inside.is_dir() else folder


def _read_split(folder: Path, names: tuple[str, ...], batches: Batches) -> Split:
    """Read and join batches."""
    pixels, labels = zip(*(_read_batch(folder / name, batches) for name in names), strict=True)
    return Split(scale_bytes(np.concatenate(pixels)), np.concatenate(labels))


def _read_batch(path: Path, batches: Batches) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the images (n, 3, 32, 32) and labels (n,) of a batch."""
    if not path.is_file():
        raise DataError(
            f"{path}: expected this file of the Python version of {batches.name}, got nothing; add "
            "it there"
        )
    batch = read_pickle(path)
    for key in ("data", batches.labels):
        if key not in batch:
            raise DataError(
                f"{path}: expected the key {key} of {batches.name}, got "
                f"{', '.join(sorted(batch))[:80] or 'none'}; is it the Python version?"
            )
    pixels: Any = batch["data"]
    width = int(np.prod(SHAPE))
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise DataError(f"{path}, data: expected uint8 of shape (n, {width}), got another array")
    if pixels.shape[1] != width or not len(pixels):
        raise DataError(f"{path}, data: expected shape (n, {width}), n >= 1, got {pixels.shape}")
    return pixels.reshape(-1, *SHAPE), _labels(path, batch[batches.labels], len(pixels), batches)


def _labels(path: Path, stored: object, count: int, batches: Batches) -> NDArray[np.int64]:
    """Return checked class numbers (count,)."""
    source = f"{path}, {batches.labels}"
    labels = stored.tolist() if isinstance(stored, np.ndarray) else stored
    if not isinstance(labels, list) or len(labels) != count:
        raise DataError(f"{source}: expected a list of {count} labels, one per image, got another")
    for index, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < batches.n_classes:
            raise DataError(
                f"{source}: expected integers 0 .. {batches.n_classes - 1}, got "
                f"{str(label)[:20] if isinstance(label, int | float | str) else 'another value'} "
                f"at index {index}; is it {batches.name}?"
            )
    return np.array(labels, np.int64)


def _class_names(folder: Path, batches: Batches) -> tuple[str, ...]:
    """Return the names of the classes."""
    path = folder / batches.meta
    if not path.is_file():
        n = batches.n_classes
        return CLASSES if n == len(CLASSES) else tuple(str(number) for number in range(n))
    stored = read_pickle(path).get(batches.names)
    names = [
        name.decode("latin1") if isinstance(name, bytes) else name
        for name in (stored if isinstance(stored, list) else [])
    ]
    if len(names) != batches.n_classes or not all(isinstance(name, str) for name in names):
        raise DataError(
            f"{path}: expected {batches.names}, a list of {batches.n_classes} names, got another; "
            "copy or download it again"
        )
    return tuple(names)
