"""Published data sets, by name or from the folder of their files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from tinygrad_ckn.data.cifar import has_cifar_files, load_cifar10
from tinygrad_ckn.data.cifar100 import has_cifar100_files, load_cifar100
from tinygrad_ckn.data.cifar_batches import CIFAR100, batches_of, load_batches
from tinygrad_ckn.data.dataset import Dataset
from tinygrad_ckn.data.digits import load_digits
from tinygrad_ckn.data.files import existing_folder
from tinygrad_ckn.data.idx import load_fashion_mnist, load_idx
from tinygrad_ckn.data.stl10 import has_stl10_files, load_stl10
from tinygrad_ckn.data.svhn import has_svhn_files, load_svhn
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.files import PathLike

# The argument `memory` of `load`, which IDX and CIFAR-10's binary files honour.
Memory: TypeAlias = int | str | None


def load_known(folder: Path) -> Callable[[Path], Dataset] | None:
    """Return the loader of a folder of another published set, None if it is none."""
    batches = batches_of(folder)
    if batches is not None:
        return partial(load_batches, batches=batches)
    if has_cifar100_files(folder):
        return load_cifar100
    if has_stl10_files(folder):
        return load_stl10
    return load_svhn if has_svhn_files(folder) else None


def _digits(data_dir: PathLike | None, memory: Memory) -> Dataset:
    """Load the embedded digits."""
    if data_dir is not None:
        raise DataError(
            "load: argument data_dir expected None with 'digits', whose images are embedded, got "
            f"{data_dir}; leave it out"
        )
    return load_digits()


def _mnist(data_dir: PathLike | None, memory: Memory) -> Dataset:
    """Load MNIST."""
    return load_idx(
        _required("mnist", data_dir, "the four IDX files"),
        name="mnist",
        class_names=tuple("0123456789"),
        memory=memory,
    )


def _cifar10(data_dir: PathLike | None, memory: Memory) -> Dataset:
    """Load CIFAR-10, in either version."""
    folder = existing_folder(
        _required("cifar10", data_dir, "the six .bin files"), "the CIFAR-10 binary files"
    )
    batches = None if has_cifar_files(folder) else batches_of(folder)
    if batches is not None and batches is not CIFAR100:
        return load_batches(folder, batches)
    return load_cifar10(folder, memory=memory)


def _cifar100(data_dir: PathLike | None, memory: Memory) -> Dataset:
    """Load CIFAR-100, in either version."""
    files = "train.bin and test.bin, or train, test and meta of the Python version"
    folder = existing_folder(_required("cifar100", data_dir, files), files)
    if has_cifar100_files(folder):
        return load_cifar100(folder)
    return load_batches(folder, CIFAR100)


def _stl10(data_dir: PathLike | None, memory: Memory) -> Dataset:
    """Load STL-10."""
    files = "train_X.bin, train_y.bin, test_X.bin and test_y.bin"
    return load_stl10(existing_folder(_required("stl10", data_dir, files), files))


def _svhn(data_dir: PathLike | None, memory: Memory) -> Dataset:
    """Load SVHN."""
    files = "train_32x32.mat and test_32x32.mat"
    return load_svhn(existing_folder(_required("svhn", data_dir, files), files))


def _kmnist(data_dir: PathLike | None, memory: Memory) -> Dataset:
    """Load Kuzushiji-MNIST."""
    names = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    folder = _required("kmnist", data_dir, "the four IDX files")
    return load_idx(folder, name="kmnist", class_names=names, memory=memory)


def _fashion_mnist(data_dir: PathLike | None, memory: Memory) -> Dataset:
    """Load Fashion-MNIST."""
    return load_fashion_mnist(data_dir, memory=memory)


def _required(name: str, data_dir: PathLike | None, files: str) -> PathLike:
    """Return data_dir, or raise a DataError if it is None."""
    if data_dir is None:
        raise DataError(
            f"{name}: expected the folder of {files}, got none; pass it as argument data_dir"
        )
    return data_dir


BY_NAME: dict[str, Callable[[PathLike | None, Memory], Dataset]] = {
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
    "mnist": _mnist,
    "kmnist": _kmnist,
    "cifar10": _cifar10,
    "cifar100": _cifar100,
    "stl10": _stl10,
    "svhn": _svhn,
}
