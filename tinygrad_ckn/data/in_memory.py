"""Data sets from arrays in memory, of any library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.arrays import as_images
from tinygrad_ckn.data.dataset import Dataset, Split
from tinygrad_ckn.data.division import Division
from tinygrad_ckn.data.parts import Parts
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.labels import as_labels


def from_arrays(
    images: Any,
    labels: Any,
    test_images: Any = None,
    test_labels: Any = None,
    *,
    name: str = "arrays",
    class_names: Sequence[str] | None = None,
    image_shape: Sequence[int] | None = None,
    channels_last: bool | None = None,
    scale: float | None = None,
    groups: Any = None,
    holdout: float | None = None,
    seed: int = 0,
) -> Dataset:
    """Make a data set of arrays in memory.

    Parameters
    ----------
    images : array-like
        A NumPy array, pandas DataFrame (a row for each image), list, or an object with
        `__array__` or `__dlpack__`, in host memory; shapes and dtypes as for `load_npz`.
        Rows of pandas objects are in one order, as their indices must be.
    labels : array-like, shape (n,) or (n, 1)
        Integers, strings or booleans.
    test_images, test_labels : array-like, optional
        The test part, read in the same way; give both or neither.
    name : str
        Name of the data set in reports.
    class_names : sequence of str, optional
        A name for each class.
    image_shape, channels_last, scale
        As for `load_npz`; image_shape is needed for rows of pixels.
    groups : array-like, shape (n,), optional
        The group of each of `images`, such as its subject; a group stays on one side of
        every split.
    holdout : float, optional
        Share in [0, 1) of the images that becomes the test part if none is given, a
        fifth by default; 0: there is no test part.
    seed : int
        Chooses the test part if none is given.

    Returns
    -------
    Dataset
        Images as float32 (n, C, H, W).

    Raises
    ------
    DataError
        For what cannot be read as images or labels, and as `load_npz`.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.arange(640).reshape(10, 8, 8) % 251
    >>> from_arrays(images, [0, 1] * 5).train
    Split(8 images of 1x8x8)
    """
    reading = Reading.of(image_shape, channels_last, None, scale)
    train, read_as = _split(images, labels, "", reading)
    if groups is not None:
        source = "from_arrays: argument groups"
        _check_order(images, groups, source)
        train = replace(train, groups=as_labels(_on_host(groups, source), source))
    test = None
    if (test_images is None) != (test_labels is None):
        missing = "test_images" if test_images is None else "test_labels"
        raise DataError(
            f"from_arrays: argument {missing} expected both test_images and test_labels, got None; "
            "give both or neither"
        )
    if test_images is not None:
        test, _ = _split(test_images, test_labels, "test_", reading.with_format(read_as))
    names = None if class_names is None else tuple(class_names)
    division = Division(holdout=holdout)
    return Parts(name, "from_arrays", train, test, read_as, names).dataset(seed, division)


def _split(images: Any, labels: Any, part: str, reading: Reading) -> tuple[Split, DataFormat]:
    """Return the images and labels of a part, and their format."""
    source = f"from_arrays: argument {part}images"
    _check_order(images, labels, f"from_arrays: argument {part}labels")
    array = _on_host(images, source)
    found = as_labels(
        _on_host(labels, f"from_arrays: argument {part}labels"),
        f"from_arrays: argument {part}labels",
    )
    split_images, read_as = as_images(array, source, reading, len(found))
    if len(split_images) != len(found):
        raise DataError(
            f"from_arrays: argument {part}labels expected {len(split_images)} labels, one per "
            f"image, got {len(found)}"
        )
    if np.may_share_memory(split_images, array):
        split_images = split_images.copy()
    return Split(split_images, found), read_as


def _check_order(images: Any, values: Any, source: str) -> None:
    """Raise a DataError for pandas objects that have the same index in another order."""
    if not (hasattr(images, "iloc") and hasattr(values, "iloc")):
        return
    index = values.index
    if not images.index.equals(index) and Counter(images.index) == Counter(index):
        raise DataError(
            f"{source} expected the order of the images, got the same index in another order; pass "
            "values.loc[images.index], or, if they are in order, reset the index of both"
        )


def _on_host(values: Any, source: str) -> NDArray[Any]:
    """Return a NumPy array of another library's values."""
    try:
        if not hasattr(values, "__array__") and hasattr(values, "__dlpack__"):
            return np.from_dlpack(values)
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        reason = " ".join(str(error).split())[:80]
        raise DataError(
            f"{source} expected an array in host memory, got {type(values).__name__} ({reason}); "
            "convert it to a NumPy array"
        ) from error
