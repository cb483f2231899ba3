"""One door to all the loaders: by a data set's name, or by a path whose ending or content says the format."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data._arrays import as_images
from tinygrad_ckn.data._csv import read_csv
from tinygrad_ckn.data._files import PathLike, existing_file
from tinygrad_ckn.data.cifar import has_cifar_files, load_cifar10
from tinygrad_ckn.data.dataset import Dataset, Split
from tinygrad_ckn.data.digits import load_digits
from tinygrad_ckn.data.idx import has_idx_files, load_fashion_mnist, load_idx, read_idx, starts_as_idx
from tinygrad_ckn.data.tables import (
    load_csv,
    load_npz,
    read_labelled_csv,
    read_npy_images,
    read_npz,
    read_npz_images,
)
from tinygrad_ckn.errors import DataError

ACCEPTED = (
    "the name 'digits', 'fashion-mnist', 'mnist' or 'cifar10', "
    "an .npz file, a .csv file, or a folder that holds IDX or CIFAR-10 binary files"
)


def load(name_or_path: PathLike, *, data_dir: PathLike | None = None, seed: int = 0) -> Dataset:
    """Load a data set by its name or from a path.

    Parameters
    ----------
    name_or_path : str or PathLike
        "digits" (embedded), "fashion-mnist", "mnist", "cifar10"; or the path of an .npz file, a .csv file, or a folder
        with IDX or CIFAR-10 files. A string that is one of the names is taken as the name; write "./mnist" for a
        folder called so.
    data_dir : str or PathLike, optional
        The folder of the files of a data set given by name; "mnist" and "cifar10" need it, "fashion-mnist" is looked
        for where Debian puts it when None.
    seed : int
        Chooses the test part of an .npz or .csv file that has none.

    Returns
    -------
    Dataset
        Training and test images, float32 (n, C, H, W), with their labels.

    Raises
    ------
    DataError
        For anything else, for data_dir where it has no use, and for all that the loaders refuse.

    Examples
    --------
    >>> load("digits").train
    Split(1437 images of 1x8x8)
    """
    if isinstance(name_or_path, str) and name_or_path in _BY_NAME:
        return _BY_NAME[name_or_path](data_dir)
    if data_dir is not None:
        raise DataError(
            f"data_dir: expected with 'fashion-mnist', 'mnist' or 'cifar10' only, got it with {name_or_path}"
        )
    path = Path(name_or_path)
    suffix = path.suffix.lower()
    if path.is_dir():
        return _load_folder(path)
    if suffix == ".npz":
        return load_npz(path, seed=seed)
    if suffix == ".csv":
        return load_csv(path, seed=seed)
    raise DataError(f"{path}: expected {ACCEPTED}, got {'another file' if path.exists() else 'none of these'}")


def load_test(name_or_path: PathLike, *, data_dir: PathLike | None = None) -> tuple[Split, bool]:
    """Load labelled images to measure a model on that was trained on others.

    Parameters
    ----------
    name_or_path, data_dir
        As for `load`.

    Returns
    -------
    split : Split
        The test part; all images of an .npz or .csv file without one.
    whole : bool
        Whether these are all labelled images there are.

    Raises
    ------
    DataError
        As `load`, but not for few images or for classes that do not occur.

    Examples
    --------
    >>> load_test("digits")
    (Split(360 images of 1x8x8), False)
    """
    suffix = Path(name_or_path).suffix.lower()
    if data_dir is None and suffix == ".npz":
        everything, test = read_npz(name_or_path)
        return (everything, True) if test is None else (test, False)
    if data_dir is None and suffix == ".csv":
        return read_labelled_csv(name_or_path), True
    return load(name_or_path, data_dir=data_dir).test, False


def load_images(path: PathLike) -> NDArray[np.float32]:
    """Load images alone, for prediction; labels are left out where there are any.

    Parameters
    ----------
    path : str or PathLike
        An .npz file with an array `images`, an .npy file, a .csv file of pixels (a label column is recognised by a
        header that names it `label`), or an IDX file of images under any name, zipped with gzip or not.

    Returns
    -------
    NDArray[np.float32], shape (n, C, H, W)
        C-contiguous and finite; integers 0..255 are divided by 255, floats are taken as they are.

    Raises
    ------
    DataError
        For another kind of file, and for all that the readers refuse.
    """
    path = existing_file(path, "a file of images (.npz, .npy, .csv or IDX)")
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return read_npz_images(path)
    if suffix == ".npy":
        return read_npy_images(path)
    if suffix == ".csv":
        return read_csv(path, labelled=False)[0]
    if path.name.endswith((".idx", "-ubyte")) or starts_as_idx(path):
        return as_images(read_idx(path), str(path))
    raise DataError(
        f"{path}: expected an .npz, .npy or .csv file, or an IDX file (zipped with gzip or not), got another kind"
    )


def _load_folder(folder: Path) -> Dataset:
    """Load the data set whose files a folder holds."""
    if has_idx_files(folder):
        return load_idx(folder)
    if has_cifar_files(folder):
        return load_cifar10(folder)
    raise DataError(
        f"{folder}: expected a folder with IDX files (train-images-idx3-ubyte ...) or CIFAR-10 binary files "
        "(data_batch_1.bin ...), got neither; give the folder that holds the files themselves"
    )


def _digits(data_dir: PathLike | None) -> Dataset:
    """Load the embedded digits."""
    if data_dir is not None:
        raise DataError(f"digits: expected no data_dir, since the images are embedded, got {data_dir}; leave it out")
    return load_digits()


def _mnist(data_dir: PathLike | None) -> Dataset:
    """Load MNIST."""
    return load_idx(_needed("mnist", data_dir, "the four IDX files"), name="mnist", class_names=tuple("0123456789"))


def _cifar10(data_dir: PathLike | None) -> Dataset:
    """Load CIFAR-10."""
    return load_cifar10(_needed("cifar10", data_dir, "the six .bin files"))


def _needed(name: str, data_dir: PathLike | None, what: str) -> PathLike:
    """Return data_dir, or say that this data set needs it."""
    if data_dir is None:
        raise DataError(f"{name}: expected the folder of {what}, got none; pass it with --data-dir (data_dir=...)")
    return data_dir


_BY_NAME: dict[str, Callable[[PathLike | None], Dataset]] = {
    "digits": _digits,
    "fashion-mnist": load_fashion_mnist,
    "mnist": _mnist,
    "cifar10": _cifar10,
}
