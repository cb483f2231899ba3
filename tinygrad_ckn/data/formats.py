"""The formats of images, told apart by content, and how each is read.

The first entry of `FILES` that recognises a file reads it, the only one of `SETS` a folder
of files, `PICTURES` a folder of none of these. An entry says which options of reading have
a meaning for it: the others are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.array_pairs import (
    folder_of_pairs,
    has_array_pairs,
    is_array_file,
    pair_parts,
    read_array_file,
)
from tinygrad_ckn.data.arrays import as_images
from tinygrad_ckn.data.cifar import has_cifar_files, load_cifar10
from tinygrad_ckn.data.cifar100 import has_cifar100_files, load_cifar100
from tinygrad_ckn.data.cifar_batches import (
    CIFAR100,
    has_batches,
    load_batches,
    load_cifar100_batches,
)
from tinygrad_ckn.data.csv import read_table
from tinygrad_ckn.data.idx import has_idx_files, idx_parts, open_idx, starts_as_idx
from tinygrad_ckn.data.npz_csv import csv_parts, npz_parts, read_npz_images
from tinygrad_ckn.data.parts import Parts
from tinygrad_ckn.data.picture_folder import picture_parts
from tinygrad_ckn.data.picture_paths import has_pictures
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data.refused_options import OF_ARRAYS, OF_PICTURES, OF_TABLES, refuse_options
from tinygrad_ckn.data.stl10 import has_stl10_files, load_stl10
from tinygrad_ckn.data.svhn import has_svhn_files, load_svhn, starts_as_matlab, svhn_parts
from tinygrad_ckn.data.table_text import is_table
from tinygrad_ckn.data.usps import has_usps_files, usps_parts

ReadParts: TypeAlias = Callable[[Path, Reading], Parts]
ReadImages: TypeAlias = Callable[[Path, Reading], NDArray[np.float32]]


class Format(NamedTuple):
    """A way to store images.

    Attributes
    ----------
    words : str
        What a path of this format holds, as in "expected ...".
    holds : callable
        Whether a path has this format.
    parts : callable or None
        Read the labelled images; None: there are no labels.
    images : callable or None
        Read images without labels.
    options : frozenset of str
        The options of reading, besides memory, that have a meaning.
    """

    words: str
    holds: Callable[[Path], bool]
    parts: ReadParts | None
    images: ReadImages | None = None
    options: frozenset[str] = frozenset()

    def check(self, source: str, reading: Reading) -> None:
        """Raise a DataError for an option that has no meaning here."""
        refuse_options(source, reading, self.options)


def _idx_images(path: Path, reading: Reading) -> NDArray[np.float32]:
    """Return the images of an IDX file."""
    array = open_idx(path, reading)
    return as_images(array, str(path), reading, len(array))[0]


def _is_npz(path: Path) -> bool:
    """Return whether a path is named as an archive of arrays."""
    return path.suffix.lower() == ".npz"


def _is_idx(path: Path) -> bool:
    """Return whether a file is named or starts as an IDX file."""
    return path.name.endswith((".idx", "-ubyte")) or (path.is_file() and starts_as_idx(path))


FILES = (
    Format(
        "an .npy file",
        is_array_file,
        pair_parts,
        read_array_file,
        OF_ARRAYS,
    ),
    Format(
        "an .npz file",
        _is_npz,
        npz_parts,
        read_npz_images,
        OF_ARRAYS | {"group"},
    ),
    Format(
        "a table (.csv, .tsv or .txt, zipped or not)",
        is_table,
        csv_parts,
        lambda path, reading: read_table(path, labelled=False, reading=reading).images,
        OF_TABLES,
    ),
    Format(
        "a .mat file of SVHN",
        starts_as_matlab,
        lambda path, _: svhn_parts(path),
    ),
    Format("an IDX file", _is_idx, None, _idx_images, OF_ARRAYS),
)
SETS = (
    Format(
        "IDX files (train-images-idx3-ubyte ...)",
        has_idx_files,
        idx_parts,
        options=frozenset({"image_shape", "scale"}),
    ),
    Format(
        "CIFAR-10's binary files (data_batch_1.bin ...)",
        has_cifar_files,
        lambda folder, reading: Parts.of(load_cifar10(folder, memory=reading.memory)),
    ),
    Format(
        "CIFAR-10's Python version (data_batch_1 ...)",
        has_batches,
        lambda folder, _: Parts.of(load_batches(folder)),
    ),
    Format(
        "CIFAR-100's Python version (train, test, meta)",
        lambda folder: has_batches(folder, CIFAR100),
        lambda folder, reading: Parts.of(load_cifar100_batches(folder, reading)),
        options=frozenset({"label"}),
    ),
    Format(
        "CIFAR-100's binary files (train.bin ...)",
        has_cifar100_files,
        lambda folder, reading: Parts.of(load_cifar100(folder, reading)),
        options=frozenset({"label"}),
    ),
    Format(
        "STL-10's binary files (train_X.bin ...)",
        has_stl10_files,
        lambda folder, reading: Parts.of(load_stl10(folder, reading)),
    ),
    Format(
        "SVHN's files (train_32x32.mat ...)",
        has_svhn_files,
        lambda folder, _: Parts.of(load_svhn(folder)),
    ),
    Format(
        "USPS's files (zip.train ... or usps.bz2 ...)",
        has_usps_files,
        lambda folder, _: usps_parts(folder),
    ),
    Format(
        "pairs of array files (X_train.npy and y_train.npy ...)",
        has_array_pairs,
        folder_of_pairs,
        options=OF_ARRAYS,
    ),
)
PICTURES = Format(
    "a folder of pictures for each class", has_pictures, picture_parts, options=OF_PICTURES
)
FOLDERS = (*SETS, PICTURES)
