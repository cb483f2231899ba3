"""The binary version of CIFAR-10: six files of `cifar_records`, with a label each."""

from __future__ import annotations

from pathlib import Path

from tinygrad_ckn.data.arrays import format_of_bytes
from tinygrad_ckn.data.cifar_records import Layout, read_split
from tinygrad_ckn.data.dataset import Dataset
from tinygrad_ckn.data.files import existing_folder
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.files import PathLike

SUBFOLDER = "cifar-10-batches-bin"
TRAIN_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_FILES = ("test_batch.bin",)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_LAYOUT = Layout("CIFAR-10", ("label",), (len(CLASSES),))


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
        offset.
    """
    folder = existing_folder(folder, "the CIFAR-10 binary files")
    if (folder / SUBFOLDER).is_dir():
        folder = folder / SUBFOLDER
    reading = Reading.of(memory=memory)
    train, test = (
        read_split([folder / name for name in names], _LAYOUT, 0, reading)
        for names in (TRAIN_FILES, TEST_FILES)
    )
    return Dataset("cifar10", train, test, len(CLASSES), CLASSES, format_of_bytes(train.images))


def has_cifar_files(folder: Path) -> bool:
    """Return whether a folder holds any file that `load_cifar10` reads."""
    return (folder / SUBFOLDER).is_dir() or any(
        (folder / name).is_file() for name in (*TRAIN_FILES, *TEST_FILES)
    )
