"""Files of a Kaggle challenge: images, labels, and predictions to submit.

Images are rows of pixels, read by `tinygrad_ckn.data.csv`. Labels and predictions are
rows of an Id and a label under the header `Id,Prediction`, as Kaggle requires.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.backend import Labels
from tinygrad_ckn.data.csv import read_numbered_labels, read_table
from tinygrad_ckn.data.files import existing_file
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.files import PathLike, atomic_write
from tinygrad_ckn.labels import as_labels

HEADER = ("Id", "Prediction")


def load_pixels(
    path: PathLike,
    *,
    image_shape: Sequence[int] | None = None,
    channels_last: bool | None = None,
    header: bool | None = None,
) -> NDArray[np.float32]:
    """Read the images of a CSV file with unchanged pixels, of any sign and scale.

    `load_images` divides integer pixels by 255, file by file. Use this function for
    images that were centred or scaled before, and for several files if one of them may
    hold integers only.

    Parameters
    ----------
    path : str or PathLike
        A row is an image. A header, a comma at the end of a line, and a column that the
        header names `label` are left out.
    image_shape : tuple of int, optional
        (C, H, W) or (H, W); None: a grey square.
    channels_last : bool, optional
        Whether pixels are in the order (H, W, C); None: (C, H, W).
    header : bool, optional
        Whether the first row is a header; needed if it consists of numbers 0, 1, 2, ...

    Returns
    -------
    NDArray[np.float32], shape (n, C, H, W)
        C-contiguous and finite.

    Raises
    ------
    DataError
        With the row and column: for rows of different lengths and cells that are not
        finite numbers. Also for ambiguous widths and headers.

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
    path = existing_file(path, "a CSV file of pixels")
    return read_table(path, labelled=False, reading=reading).images


def load_labels(path: PathLike) -> NDArray[Any]:
    """Read a CSV file of labels: rows of an Id and a label, in the order of the images.

    Parameters
    ----------
    path : str or PathLike
        With or without a header. The Ids are 1, 2, 3, ... or 0, 1, 2, ....

    Returns
    -------
    NDArray, shape (n,)
        int64, bool or str.

    Raises
    ------
    DataError
        With the row and column: for another number of columns, other Ids and empty
        cells.

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


def save_labels(path: PathLike, labels: Labels) -> None:
    """Write labels to a CSV file, under the header `Id,Prediction`.

    Parameters
    ----------
    path : str or PathLike
        The file, written or replaced.
    labels : array, shape (n,)
        Integers, strings or booleans, in the order of the images.

    Raises
    ------
    DataError
        If labels have another type or shape.
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
