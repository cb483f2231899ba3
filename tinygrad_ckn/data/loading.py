"""Loading data sets, by name or from a path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.arrays import as_images
from tinygrad_ckn.data.by_name import BY_NAME, load_known
from tinygrad_ckn.data.cifar import has_cifar_files, load_cifar10
from tinygrad_ckn.data.csv import read_csv
from tinygrad_ckn.data.dataset import Dataset, Split
from tinygrad_ckn.data.files import existing_file
from tinygrad_ckn.data.idx import (
    has_idx_files,
    idx_parts,
    open_idx,
    starts_as_idx,
)
from tinygrad_ckn.data.npz_csv import csv_parts, npz_parts, read_npy_images, read_npz_images
from tinygrad_ckn.data.parts import Parts
from tinygrad_ckn.data.picture_folder import holds_pictures, picture_parts, read_pictures
from tinygrad_ckn.data.picture_paths import has_pictures
from tinygrad_ckn.data.reading import OF_PICTURES, Reading
from tinygrad_ckn.data.svhn import starts_as_matlab, svhn_parts
from tinygrad_ckn.data.table_text import is_table
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.files import PathLike

ACCEPTED = (
    "the name 'digits', 'fashion-mnist', 'mnist', 'kmnist', 'cifar10', 'cifar100', 'stl10' or "
    "'svhn', an .npz file, a .csv file, a .mat file of SVHN, or a folder that holds IDX, CIFAR-10, "
    "CIFAR-100, STL-10 or SVHN files, or a folder of pictures for each class"
)


def load(
    name_or_path: PathLike,
    *,
    data_dir: PathLike | None = None,
    image_shape: Sequence[int] | None = None,
    channels_last: bool | None = None,
    header: bool | None = None,
    scale: float | None = None,
    resize: Sequence[int] | None = None,
    crop: bool | None = None,
    grey: bool | None = None,
    rgb: bool | None = None,
    skip_broken: bool | None = None,
    label: str | None = None,
    memory: int | str | None = None,
    seed: int = 0,
) -> Dataset:
    """Load a data set by its name or from a path.

    Parameters
    ----------
    name_or_path : str or PathLike
        "digits" (embedded), "fashion-mnist", "mnist", "kmnist", "cifar10", "cifar100",
        "stl10", "svhn"; or the path of an .npz file, a .csv file, a .mat file of SVHN,
        or a folder with IDX, CIFAR-10, CIFAR-100 (fine labels), STL-10
        or SVHN files, or with a folder of pictures for each class, itself or in folders
        train, val and test. Write "./mnist" for a folder with the name of a data set.
    data_dir : str or PathLike, optional
        The folder of the files of a data set given by name; needed for all but "digits"
        and "fashion-mnist", which without it is read from Debian's package.
    image_shape, channels_last, header, scale
        How to read an .npz or .csv file, as for `load_npz` and `load_csv`; for IDX files
        only scale, for pictures only scale and image_shape.
    resize : tuple[int, int], optional
        (H, W): pictures are averaged over areas to make them smaller, and interpolated
        by Lanczos' filter to make them larger, along each axis. Their aspect ratio
        changes, unless they are cropped.
    crop : bool, optional
        Crop pictures around their centre to the aspect ratio of `resize` first.
    grey, rgb : bool, optional
        Convert pictures to grey (ITU-R 601 luma), or to RGB (equal channels of grey).
    skip_broken : bool, optional
        Leave out pictures that cannot be read, with a warning.
    label : str, optional
        "first", "last" or the name of the column of labels in a .csv file, as for
        `load_csv`.
    memory : int or str, optional
        Bytes, such as 2**30 or "2GiB", that all images may take in memory; None: a quarter
        of what the process may use. More pictures, and images in IDX, CIFAR-10 and .npy
        files, are read when needed, in blocks, as `LazyImages`; what is computed of all
        of them, such as features, then lies in temporary files (in TMPDIR).
    seed : int
        Chooses the test part of data without one.

    Returns
    -------
    Dataset
        Training and test images, float32 (n, C, H, W), with their labels.

    Raises
    ------
    DataError
        For another kind of file, for an argument that has no meaning for it, and whatever
        the loaders raise.

    Examples
    --------
    >>> load("digits").train
    Split(1437 images of 1x8x8)
    """
    reading = Reading.of(
        image_shape,
        channels_last,
        header,
        scale,
        resize=resize,
        crop=crop,
        grey=grey,
        rgb=rgb,
        skip_broken=skip_broken,
        label=label,
        memory=memory,
    )
    return load_parts(name_or_path, data_dir, reading).dataset(seed)


def load_test(
    name_or_path: PathLike,
    *,
    data_dir: PathLike | None = None,
    image_shape: Sequence[int] | None = None,
    channels_last: bool | None = None,
    header: bool | None = None,
    scale: float | None = None,
    resize: Sequence[int] | None = None,
    crop: bool | None = None,
    grey: bool | None = None,
    rgb: bool | None = None,
    skip_broken: bool | None = None,
    label: str | None = None,
    memory: int | str | None = None,
    data_format: DataFormat | None = None,
) -> tuple[Split, bool]:
    """Load labelled images to measure a model on.

    Parameters
    ----------
    name_or_path, data_dir, image_shape, channels_last, header, scale, resize, crop, grey, rgb, \
    skip_broken, label, memory
        As for `load`.
    data_format : DataFormat, optional
        The format of the training images, `model.data_format`: these images are read in
        the same way.

    Returns
    -------
    split : Split
        The test part, or all images of an .npz or .csv file without one.
    whole : bool
        Whether these are all labelled images of the data set.

    Raises
    ------
    DataError
        As `load`, except for a small number of images.

    Examples
    --------
    >>> load_test("digits")
    (Split(360 images of 1x8x8), False)
    """
    reading = Reading.of(
        image_shape,
        channels_last,
        header,
        scale,
        data_format,
        resize=resize,
        crop=crop,
        grey=grey,
        rgb=rgb,
        skip_broken=skip_broken,
        label=label,
        memory=memory,
    )
    parts = load_parts(name_or_path, data_dir, reading)
    return (parts.train, True) if parts.test is None else (parts.test, False)


def load_parts(name_or_path: PathLike, data_dir: PathLike | None, reading: Reading) -> Parts:
    """Return the labelled images of a data set, divided as in its files."""
    if isinstance(name_or_path, str) and name_or_path in BY_NAME:
        _refuse_options(name_or_path, reading)
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
    _refuse_options_of_pictures(str(path), reading)
    if suffix == ".npz":
        _refuse_label(str(path), reading)
        return npz_parts(path, reading)
    if is_table(path):
        return csv_parts(path, reading)
    _refuse_label(str(path), reading)
    if starts_as_matlab(path):
        _refuse_options(str(path), reading)
        return svhn_parts(path)
    raise DataError(
        f"{path}: expected {ACCEPTED}, got {'another file' if path.exists() else 'none of these'}"
    )


def load_images(
    path: PathLike,
    *,
    image_shape: Sequence[int] | None = None,
    channels_last: bool | None = None,
    header: bool | None = None,
    scale: float | None = None,
    resize: Sequence[int] | None = None,
    crop: bool | None = None,
    grey: bool | None = None,
    rgb: bool | None = None,
    skip_broken: bool | None = None,
    label: str | None = None,
    memory: int | str | None = None,
    data_format: DataFormat | None = None,
) -> NDArray[np.float32]:
    """Load images without labels, for prediction.

    Parameters
    ----------
    path : str or PathLike
        A picture, or a folder of pictures in natural order, folders inside included; an
        .npz file with an array `images`, an .npy file, a .csv file of pixels (a column
        that the header names `label` is left out), or an IDX file of images under any
        name, compressed with gzip or not.
    image_shape, channels_last, header, scale, resize, crop, grey, rgb, skip_broken, label, memory
        As for `load`.
    data_format : DataFormat, optional
        The format of the training images, `model.data_format`: these images are read in
        the same way, or refused.

    Returns
    -------
    NDArray[np.float32], shape (n, C, H, W)
        C-contiguous and finite; by default integers 0..255 are divided by 255, and
        floats are not changed.

    Raises
    ------
    DataError
        For another kind of file, for a shape or scale other than that of the training
        images, and whatever the loaders raise.
    """
    reading = Reading.of(
        image_shape,
        channels_last,
        header,
        scale,
        data_format,
        resize=resize,
        crop=crop,
        grey=grey,
        rgb=rgb,
        skip_broken=skip_broken,
        label=label,
        memory=memory,
    )
    if holds_pictures(Path(path)):
        return read_pictures(Path(path), reading)
    path = existing_file(path, "a picture, or a file of images (.npz, .npy, .csv or IDX)")
    suffix = path.suffix.lower()
    _refuse_options_of_pictures(str(path), reading)
    if suffix == ".npz":
        return read_npz_images(path, reading)
    if suffix == ".npy":
        return read_npy_images(path, reading)
    if is_table(path):
        return read_csv(path, labelled=False, reading=reading)[0]
    if path.name.endswith((".idx", "-ubyte")) or starts_as_idx(path):
        array = open_idx(path, reading)
        return as_images(array, str(path), reading, len(array))[0]
    raise DataError(
        f"{path}: expected an .npz, .npy or .csv file, a picture, or an IDX file (compressed with "
        "gzip or not), got another kind"
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
        _refuse_label(str(folder), reading)
        return picture_parts(folder, reading)
    _refuse_options_of_pictures(str(folder), reading)
    _refuse_label(str(folder), reading)
    if has_idx_files(folder):
        return idx_parts(folder, reading)
    if has_cifar_files(folder):
        _refuse_options(str(folder), reading)
        return Parts.of(load_cifar10(folder, memory=reading.memory))
    if known is not None:
        _refuse_options(str(folder), reading)
        return Parts.of(known(folder))
    raise DataError(
        f"{folder}: expected a folder with IDX files (train-images-idx3-ubyte ...), CIFAR-10 "
        "binary files (data_batch_1.bin ...), CIFAR-100 (train.bin ...), the Python version of "
        "either, STL-10 (train_X.bin ...) or SVHN (train_32x32.mat ...), or a folder of pictures "
        "for each class, got none of these; give the folder that holds the files or the folders "
        "of classes themselves"
    )


def _refuse_label(source: str, reading: Reading) -> None:
    """Raise a DataError for the column of labels of data that is no table."""
    if reading.label is not None:
        raise DataError(
            f"load: argument label expected None with {source}, which is no table, got "
            f"{reading.label!r}; leave it out"
        )


def _refuse_options(name: str, reading: Reading) -> None:
    """Raise a DataError for a reading option of a data set whose format is fixed."""
    for option in ("image_shape", "channels_last", "header", "label", "scale", *OF_PICTURES):
        if getattr(reading, option) is not None:
            raise DataError(
                f"load: argument {option} expected None with {name}, whose format is fixed, got "
                f"{getattr(reading, option)}; leave it out"
            )


def _refuse_options_of_pictures(source: str, reading: Reading) -> None:
    """Raise a DataError for an option of pictures with other images."""
    for option in OF_PICTURES:
        if getattr(reading, option) is not None:
            raise DataError(
                f"load: argument {option} expected None with {source}, which is no picture or "
                f"folder of pictures, got {getattr(reading, option)}; leave it out"
            )
