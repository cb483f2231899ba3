"""The files of a course's challenge: images without labels, labels in a file of their own, predictions to hand in.

Images are rows of pixels as `tinygrad_ckn.data.csv` has them. Labels and predictions
are rows of an Id and a label under the header `Id,Prediction`, as Kaggle asks for them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.csv import read_csv, read_numbered_labels
from tinygrad_ckn.data.files import PathLike, existing_file
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.files import atomic_write
from tinygrad_ckn.labels import as_labels

HEADER = ("Id", "Prediction")


def load_pixels(
    path: PathLike,
    *,
    image_shape: Sequence[int] | None = None,
    channels_last: bool | None = None,
    header: bool | None = None,
) -> NDArray[np.float32]:
    """Read the images of a CSV file with their pixels as they are written: of any sign and scale, never divided.

    `load_images` divides whole pixels by 255, file by file. Images that were centred or
    scaled before need this one, and so do two files, of which one may hold whole
    numbers only.

    Parameters
    ----------
    path : str or PathLike
        A row is an image; a header, and a comma at the end of a line, are left out. A
        label column is left out where the header names it `label`.
    image_shape : tuple of int, optional
        (C, H, W) or (H, W); a grey square when None.
    channels_last : bool, optional
        Whether pixels are in the order (H, W, C); (C, H, W) when None.
    header : bool, optional
        Whether the first row is a header; needed for one of numbers, 0, 1, 2, ...

    Returns
    -------
    NDArray[np.float32], shape (n, C, H, W)
        C-contiguous and finite.

    Raises
    ------
    DataError
        With the row and column: for ragged rows, cells that are no finite numbers. For
        widths and headers that can be read in two ways.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "Xtr.csv")
    ...     _ = path.write_text("-1,0,3,300,")
    ...     load_pixels(path).tolist()
    [[[[-1.0, 0.0], [3.0, 300.0]]]]
    """
    reading = Reading.of(image_shape, channels_last, header, scale=1)
    return read_csv(existing_file(path, "a CSV file of pixels"), labelled=False, reading=reading)[0]


def load_labels(path: PathLike) -> NDArray[Any]:
    """Read a CSV file of labels: rows of an Id, 1, 2, ... in order, and a label.

    Parameters
    ----------
    path : str or PathLike
        With or without a header.

    Returns
    -------
    NDArray, shape (n,)
        int64, bool or str.

    Raises
    ------
    DataError
        With the row and column: for another number of columns, other Ids, empty cells.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_labels(f"{folder}/Ytr.csv", np.array([7, 0, 7]))
    ...     load_labels(f"{folder}/Ytr.csv")
    array([7, 0, 7])
    """
    return read_numbered_labels(existing_file(path, "a CSV file of labels"))


def save_labels(path: PathLike, labels: Any) -> None:
    """Write labels as `load_labels` reads them: the header `Id,Prediction`, then Ids from 1 with a label each.

    Parameters
    ----------
    path : str or PathLike
        The file, which is written anew.
    labels : array, shape (n,)
        Integers, strings or booleans, in the order of the images.

    Raises
    ------
    DataError
        If labels are of another kind or shape.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "Yte.csv")
    ...     save_labels(path, np.array([7, 0]))
    ...     print(path.read_text(), end="")
    Id,Prediction
    1,7
    2,0
    """
    rows = enumerate(as_labels(labels, "save_labels: argument labels").tolist(), start=1)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER, *rows])
    atomic_write(path, text.getvalue().encode())
