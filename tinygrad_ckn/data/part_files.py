"""The labelled images of a data set as its files, and other files, divide them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tinygrad_ckn.data.by_name import BY_NAME, load_known
from tinygrad_ckn.data.cifar import has_cifar_files, load_cifar10
from tinygrad_ckn.data.division import Division
from tinygrad_ckn.data.idx import has_idx_files, idx_parts
from tinygrad_ckn.data.npz_csv import csv_parts, npz_parts
from tinygrad_ckn.data.parts import Parts
from tinygrad_ckn.data.picture_folder import picture_parts
from tinygrad_ckn.data.picture_paths import has_pictures
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data.refused_options import (
    refuse_group,
    refuse_label,
    refuse_options,
    refuse_options_of_pictures,
)
from tinygrad_ckn.data.svhn import starts_as_matlab, svhn_parts
from tinygrad_ckn.data.table_text import is_table
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.labels import classes_of

ACCEPTED = (
    "the name 'digits', 'fashion-mnist', 'mnist', 'kmnist', 'cifar10', 'cifar100', 'stl10' or "
    "'svhn', an .npz file, a .csv file, a .mat file of SVHN, or a folder that holds IDX, CIFAR-10, "
    "CIFAR-100, STL-10 or SVHN files, or a folder of pictures for each class"
)


def load_divided(
    name_or_path: PathLike, data_dir: PathLike | None, reading: Reading, division: Division
) -> Parts:
    """Return the labelled images of a data set with those of other files as its parts.

    Raises
    ------
    ConfigError
        For another file in place of a part that the data set has.
    DataError
        For another file that has parts itself; and as `load`.
    """
    parts = load_parts(name_or_path, data_dir, reading)
    of_training = parts.read_as.classes or classes_of(parts.train.labels, parts.source)
    like = reading.like or replace(parts.read_as, classes=of_training)
    for part, path in (("test", division.test_data), ("validation", division.validation_data)):
        if path is None:
            continue
        if getattr(parts, part) is not None:
            raise ConfigError(
                f"load: argument {part}_data expected None with {parts.source}, which has {part} "
                f"images, got {path}; leave it out"
            )
        others = load_parts(
            path,
            None,
            Reading(
                like=like,
                memory=reading.memory,
                group=reading.group,
                skip_broken=reading.skip_broken if Path(path).is_dir() else None,
            ),
        )
        if others.test is not None or others.validation is not None:
            raise DataError(
                f"{path}: expected {part} images alone as argument {part}_data, got a data set "
                "with parts; pass a file or a folder with one part"
            )
        if part == "test":
            parts = parts._replace(test=others.train)
        else:
            parts = parts._replace(validation=others.train)
    return parts


def load_parts(name_or_path: PathLike, data_dir: PathLike | None, reading: Reading) -> Parts:
    """Return the labelled images of a data set, divided as in its files."""
    if isinstance(name_or_path, str) and name_or_path in BY_NAME:
        refuse_options(name_or_path, reading)
        return Parts.of(BY_NAME[name_or_path](data_dir, reading.memory))
    if data_dir is not None:
        *others, last = (repr(name) for name in BY_NAME if name != "digits")
        named = f"{', '.join(others)} or {last}"
        raise DataError(
            f"load: argument data_dir expected None unless the data set is {named}, got {data_dir} "
            f"with {name_or_path}"
        )
    path = Path(name_or_path)
    suffix = path.suffix.lower()
    if path.is_dir():
        return _folder_parts(path, reading)
    refuse_options_of_pictures(str(path), reading)
    if suffix == ".npz":
        refuse_label(str(path), reading)
        return npz_parts(path, reading)
    if is_table(path):
        return csv_parts(path, reading)
    refuse_label(str(path), reading)
    if starts_as_matlab(path):
        refuse_options(str(path), reading)
        return svhn_parts(path)
    raise DataError(
        f"{path}: expected {ACCEPTED}, got {'another file' if path.exists() else 'none of these'}"
    )


def _folder_parts(folder: Path, reading: Reading) -> Parts:
    """Return the labelled images of a folder of data files or pictures."""
    known = load_known(folder)
    if (
        not has_idx_files(folder)
        and not has_cifar_files(folder)
        and known is None
        and has_pictures(folder)
    ):
        refuse_label(str(folder), reading)
        return picture_parts(folder, reading)
    refuse_options_of_pictures(str(folder), reading)
    refuse_label(str(folder), reading)
    if has_idx_files(folder):
        refuse_group(str(folder), reading)
        return idx_parts(folder, reading)
    if has_cifar_files(folder):
        refuse_options(str(folder), reading)
        return Parts.of(load_cifar10(folder, memory=reading.memory))
    if known is not None:
        refuse_options(str(folder), reading)
        return Parts.of(known(folder))
    raise DataError(
        f"{folder}: expected a folder with IDX files (train-images-idx3-ubyte ...), CIFAR-10 "
        "binary files (data_batch_1.bin ...), CIFAR-100 (train.bin ...), the Python version of "
        "either, STL-10 (train_X.bin ...) or SVHN (train_32x32.mat ...), or a folder of pictures "
        "for each class, got none of these; give the folder that holds the files or the folders "
        "of classes themselves"
    )
