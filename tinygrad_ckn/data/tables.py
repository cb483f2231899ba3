"""A user's own images: NumPy archives (.npz), single arrays (.npy) and CSV files of flattened images.

Nothing here ever unpickles: arrays of Python objects are refused. Sources of the formats:
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html and `tinygrad_ckn.data._csv`.
"""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data._arrays import as_images, as_labels, numbered_classes
from tinygrad_ckn.data._csv import read_csv
from tinygrad_ckn.data._files import PathLike, existing_file
from tinygrad_ckn.data.dataset import Dataset, Split, split_off
from tinygrad_ckn.errors import DataError

TEST_FRACTION = 0.2
DAMAGES = (ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)  # what np.load raises


def load_npz(path: PathLike, *, seed: int = 0) -> Dataset:
    """Read a NumPy archive with the arrays `images` and `labels`.

    Parameters
    ----------
    path : str or PathLike
        `images` is (n, H, W) or (n, C, H, W): integers 0..255, which are divided by 255, or finite floats, which are
        taken as they are. `labels` is (n,), integers from 0. `test_images` and `test_labels`, of the same form, are
        the test part.
    seed : int
        Chooses the stratified fifth of the images that is the test part where the archive has none.

    Returns
    -------
    Dataset
        Named as the file; as many classes as the largest label says, named "0", "1", ...

    Raises
    ------
    DataError
        For a missing or damaged file, a missing key, an array of objects, another shape or dtype, too few images, or
        a class number below the largest that never occurs.
    """
    path = existing_file(path, "an .npz file")
    train, test = read_npz(path)
    return _dataset(path, *(_with_test_part(train, path, seed) if test is None else (train, test)))


def load_csv(path: PathLike, *, image_shape: tuple[int, int, int] | None = None, seed: int = 0) -> Dataset:
    """Read a CSV file whose rows are a label and the pixels of one image, in the order (C, H, W).

    Parameters
    ----------
    path : str or PathLike
        The first column holds labels from 0; a header, if there is one, calls it `label`. Whole pixels are 0..255 and
        are divided by 255; if any has a decimal point or an exponent, all are taken as they are.
    image_shape : tuple[int, int, int], optional
        (C, H, W); inferred as a square of 1 or 3 channels when None.
    seed : int
        Chooses the stratified fifth of the images that is the test part.

    Returns
    -------
    Dataset
        Named as the file; as many classes as the largest label says, named "0", "1", ...

    Raises
    ------
    DataError
        With the row and column: for ragged rows, cells that are not what they should be, widths that are no image.
        For a class number below the largest that never occurs.
    """
    path = existing_file(path, "a CSV file")
    return _dataset(path, *_with_test_part(read_labelled_csv(path, image_shape), path, seed))


def read_npz(path: PathLike) -> tuple[Split, Split | None]:
    """Return the images of an archive with their labels, and those of its test part, None where it has none."""
    path = existing_file(path, "an .npz file")
    arrays = _read_npz(path, ("images", "labels"), ("test_images", "test_labels"))
    train = _labelled(path, arrays, "images", "labels")
    if "test_images" not in arrays and "test_labels" not in arrays:
        return train, None
    for key in ("test_images", "test_labels"):
        if key not in arrays:
            raise DataError(f"{path}: expected both test_images and test_labels, got no {key}; store both or neither")
    return train, _labelled(path, arrays, "test_images", "test_labels")


def read_labelled_csv(path: PathLike, image_shape: tuple[int, int, int] | None = None) -> Split:
    """Return all images of a CSV file with their labels."""
    images, labels = read_csv(existing_file(path, "a CSV file"), labelled=True, image_shape=image_shape)
    assert labels is not None  # labelled=True
    return Split(images, labels)


def read_npz_images(path: PathLike) -> NDArray[np.float32]:
    """Return the array `images` of an archive as float32 (n, C, H, W); labels are not looked at."""
    path = existing_file(path, "an .npz file")
    return as_images(_read_npz(path, ("images",), ())["images"], f"{path}, images")


def read_npy_images(path: PathLike) -> NDArray[np.float32]:
    """Return the images of an .npy file, (n, H, W) or (n, C, H, W), as float32 (n, C, H, W)."""
    path = existing_file(path, "an .npy file")
    try:
        with path.open("rb") as stream:
            array = np.load(stream, allow_pickle=False)
    except DAMAGES as error:
        raise _unreadable(path, "a numeric array in NumPy's .npy format", error) from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: expected a single array in NumPy's .npy format, got an archive; name it .npz")
    return as_images(array, str(path))


def _read_npz(path: Path, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Return the named arrays of an archive."""
    try:
        with path.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            keys = () if isinstance(archive, np.ndarray) else archive.files
            arrays = {key: archive[key] for key in (*required, *optional) if key in keys}
    except DAMAGES as error:
        raise _unreadable(path, "an .npz archive of numeric arrays", error) from error
    for key in required:
        if key not in arrays:
            got = ", ".join(keys) or "no named array"
            raise DataError(f"{path}: expected an array named {key!r}, got {got}; store it with np.savez({key}=...)")
    return arrays


def _unreadable(path: Path, expected: str, error: Exception) -> DataError:
    """Return the error for a file that NumPy cannot read without pickle."""
    return DataError(
        f"{path}: expected {expected}, got one that is damaged or needs pickle, which is never used ({error}); "
        "store plain numeric arrays"
    )


def _labelled(path: Path, arrays: dict[str, NDArray[Any]], images_key: str, labels_key: str) -> Split:
    """Return the images and labels of one part of an archive."""
    images = as_images(arrays[images_key], f"{path}, {images_key}")
    labels = as_labels(arrays[labels_key], f"{path}, {labels_key}")
    if len(images) != len(labels):
        raise DataError(f"{path}, {labels_key}: expected {len(images)} labels, one an image, got {len(labels)}")
    return Split(images, labels)


def _with_test_part(everything: Split, path: Path, seed: int) -> tuple[Split, Split]:
    """Divide images into a training part and a stratified test part."""
    try:
        return split_off(everything, TEST_FRACTION, np.random.default_rng(seed))
    except DataError as error:
        raise DataError(
            f"{path}: expected enough images to hold out {TEST_FRACTION:.0%} of them for testing, got "
            f"{len(everything)} images of {len(np.unique(everything.labels))} classes; add images, or use an .npz file "
            "with test_images and test_labels"
        ) from error


def _dataset(path: Path, train: Split, test: Split) -> Dataset:
    """Return the Dataset of two splits, named as the file, with numbered classes, each of which occurs."""
    names = numbered_classes(train.labels, test.labels)
    counts = np.bincount(np.concatenate([train.labels, test.labels]))  # (n_classes,)
    if not counts.all():
        raise DataError(
            f"{path}: expected images of each class up to the largest label, {len(counts) - 1}, but label "
            f"{counts.argmin()} never occurs; number the classes from 0, without gaps"
        )
    return Dataset(path.stem, train, test, len(names), names)
