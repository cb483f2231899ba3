"""CIFAR-100: which of its labels, and its binary version.

That is two files of `cifar_records`, with a coarse label 0..19 and a fine label 0..99.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tinygrad_ckn.data.arrays import format_of_bytes
from tinygrad_ckn.data.cifar_records import Layout, read_split
from tinygrad_ckn.data.dataset import Dataset
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import ConfigError, DataError

SUBFOLDER = "cifar-100-binary"
FILES = ("train.bin", "test.bin")
# Number of classes by the kind of label, in the order of a record.
KINDS = {"coarse": 20, "fine": 100}
_LAYOUT = Layout("CIFAR-100", ("coarse label", "fine label"), tuple(KINDS.values()))


def kind_of_labels(reading: Reading) -> str:
    """Return "coarse" or "fine": as the user says, as in training, or fine.

    Raises
    ------
    ConfigError
        For another argument label.
    """
    like = None if reading.like is None else reading.like.label
    kind = reading.label or (like if like in KINDS else "fine")
    if kind not in KINDS:
        raise ConfigError(
            f"load: argument label expected fine or coarse with CIFAR-100, got {reading.label!r}"
        )
    return kind


def said(kind: str) -> str | None:
    """Return the field label of the format of images with such labels."""
    return None if kind == "fine" else kind


def has_cifar100_files(folder: Path) -> bool:
    """Return whether a folder holds the set, itself or in its published subfolder."""
    return (folder / SUBFOLDER).is_dir() or any((folder / name).is_file() for name in FILES)


def load_cifar100(folder: Path, reading: Reading) -> Dataset:
    """Read CIFAR-100 from train.bin and test.bin.

    Names of classes are those in fine_label_names.txt or coarse_label_names.txt beside
    them, or numbers.

    Raises
    ------
    DataError
        For a missing file, an incomplete record, or a label out of its range, with the
        byte offset.
    """
    folder = folder / SUBFOLDER if (folder / SUBFOLDER).is_dir() else folder
    kind = kind_of_labels(reading)
    column = list(KINDS).index(kind)
    train, test = (read_split([folder / name], _LAYOUT, column, reading) for name in FILES)
    names = _class_names(folder / f"{kind}_label_names.txt", KINDS[kind])
    data_format = replace(format_of_bytes(train.images), label=said(kind))
    return Dataset("cifar100", train, test, KINDS[kind], names, data_format)


def _class_names(path: Path, count: int) -> tuple[str, ...]:
    """Return the names of the classes."""
    if not path.is_file():
        return tuple(str(number) for number in range(count))
    names = tuple(path.read_text("utf-8", errors="replace").split())
    if len(names) != count:
        raise DataError(
            f"{path}: expected {count} names, one a line, got {len(names)}; mend or move it"
        )
    return names
