"""Published data sets by name, read from the folder of their files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tinygrad_ckn.data.array_pairs import folder_of_pairs, has_array_pairs
from tinygrad_ckn.data.cifar import has_cifar_files, load_cifar10
from tinygrad_ckn.data.cifar100 import has_cifar100_files, load_cifar100
from tinygrad_ckn.data.cifar_batches import has_batches, load_batches, load_cifar100_batches
from tinygrad_ckn.data.digits import load_digits
from tinygrad_ckn.data.files import existing_folder
from tinygrad_ckn.data.idx import has_idx_files, idx_parts, load_fashion_mnist
from tinygrad_ckn.data.parts import Parts
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data.refused_options import refuse_options
from tinygrad_ckn.data.stl10 import load_stl10
from tinygrad_ckn.data.svhn import load_svhn
from tinygrad_ckn.data.usps import usps_parts
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.files import PathLike

KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


class Named(NamedTuple):
    """A published set: its files in words, how to read their folder, and its options.

    `at_hand` reads it without a folder, if that is possible.
    """

    files: str
    read: Callable[[Path, Reading], Parts]
    options: frozenset[str] = frozenset()
    at_hand: Callable[[Reading], Parts] | None = None


def read_named(name: str, data_dir: PathLike | None, reading: Reading) -> Parts:
    """Return the parts of a published set.

    Raises
    ------
    DataError
        For an option that has no meaning for it, a folder that is missing, or that
        "digits" does not need; and whatever its reader raises.
    """
    named = BY_NAME[name]
    refuse_options(name, reading, named.options)
    if data_dir is not None:
        return named.read(existing_folder(data_dir, named.files), reading)
    if named.at_hand is None:
        raise DataError(
            f"{name}: expected the folder of {named.files}, got none; pass it as argument data_dir"
        )
    return named.at_hand(reading)


def _no_digits(folder: Path, _: Reading) -> Parts:
    """Raise a DataError for a folder of the embedded digits."""
    raise DataError(
        "load: argument data_dir expected None with 'digits', whose images are embedded, got "
        f"{folder}; leave it out"
    )


def _fashion_mnist(folder: Path | None, reading: Reading) -> Parts:
    """Read Fashion-MNIST, without a folder from Debian's package."""
    return Parts.of(load_fashion_mnist(folder, memory=reading.memory))


def _mnist(folder: Path, reading: Reading) -> Parts:
    """Read MNIST."""
    return idx_parts(folder, reading, "mnist", tuple("0123456789"))


def _kmnist(folder: Path, reading: Reading) -> Parts:
    """Read Kuzushiji-MNIST, in either version."""
    if has_idx_files(folder) or not has_array_pairs(folder):
        return idx_parts(folder, reading, "kmnist", KANA)
    parts = folder_of_pairs(folder, reading)
    read_as = replace(parts.read_as, classes=tuple(range(len(KANA))))
    return parts._replace(name="kmnist", read_as=read_as, class_names=KANA)


def _cifar10(folder: Path, reading: Reading) -> Parts:
    """Read CIFAR-10, in either version."""
    if has_batches(folder) and not has_cifar_files(folder):
        return Parts.of(load_batches(folder))
    return Parts.of(load_cifar10(folder, memory=reading.memory))


def _cifar100(folder: Path, reading: Reading) -> Parts:
    """Read CIFAR-100, in either version."""
    load = load_cifar100 if has_cifar100_files(folder) else load_cifar100_batches
    return Parts.of(load(folder, reading))


BY_NAME = {
    "digits": Named("no files", _no_digits, at_hand=lambda _: Parts.of(load_digits())),
    "fashion-mnist": Named(
        "the four IDX files", _fashion_mnist, at_hand=lambda reading: _fashion_mnist(None, reading)
    ),
    "mnist": Named("the four IDX files", _mnist),
    "kmnist": Named("the four IDX files, or the four .npz files", _kmnist),
    "usps": Named(
        "zip.train and zip.test, or usps and usps.t of LIBSVM, zipped or not",
        lambda folder, _: usps_parts(folder),
    ),
    "cifar10": Named("the six .bin files, or the Python version", _cifar10),
    "cifar100": Named(
        "train.bin and test.bin, or train, test and meta of the Python version",
        _cifar100,
        frozenset({"label"}),
    ),
    "stl10": Named(
        "train_X.bin, train_y.bin, test_X.bin and test_y.bin",
        lambda folder, reading: Parts.of(load_stl10(folder, reading)),
    ),
    "svhn": Named(
        "train_32x32.mat and test_32x32.mat", lambda folder, _: Parts.of(load_svhn(folder))
    ),
}
