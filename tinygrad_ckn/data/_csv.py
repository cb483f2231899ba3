"""Images, or labels, from a CSV file: one flattened image a row, or an Id and a label; cells separated by commas.

The convention, which the files of Kaggle and OpenML follow too:

* A first line whose first cell is not a number is a header. Labels are the first column, named `label` in a header.
* Pixels follow in the order (C, H, W). A comma at the end of a line, blank lines and a byte order mark are tolerated.
* Where every pixel is written as a whole number, pixels are 0..255 and are divided by 255; as soon as one has a
  decimal point or an exponent, all are taken as they are. A reader may ask for them as they are in any case.

Rows and columns in messages count from 1, the header and blank lines included, as a spreadsheet counts them.
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data._arrays import MAX_CLASSES
from tinygrad_ckn.errors import DataError

LABEL = "label"
Shape = tuple[int, int, int]  # (C, H, W)


def read_csv(
    path: Path, *, labelled: bool, image_shape: Shape | None = None, as_they_are: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """Read images, and labels where there are any.

    Parameters
    ----------
    path : Path
        An existing file.
    labelled : bool
        True: the first column holds labels. False: only where a header says so.
    image_shape : tuple[int, int, int], optional
        (C, H, W); inferred as a square of 1 or 3 channels when None.
    as_they_are : bool
        True: whole pixels may be of any size and are not divided.

    Returns
    -------
    images : NDArray[np.float32], shape (n, C, H, W)
    labels : NDArray[np.int64], shape (n,), or None

    Raises
    ------
    DataError
        With the row, and the column where there is one: ragged rows, cells that are no numbers, not finite or out of
        range, labels that are not class numbers; and for widths that `image_shape` does not explain.
    """
    rows = _numbered_rows(path)
    header = _take_header(rows)
    if labelled and header and header[0] != LABEL:
        raise DataError(
            f"{path}: expected a header whose first column is {LABEL!r}, got {header[0][:40]!r}; "
            "put the labels in the first column, commas between the cells"
        )
    labelled = labelled or header[:1] == [LABEL]
    if not rows:
        raise DataError(f"{path}: expected at least one row of numbers, got none")

    values = _parse(rows, path)  # (n, columns)
    if header and len(header) != values.shape[1]:
        raise DataError(
            f"{path}, row {next(iter(rows))}: expected {len(header)} columns as in the header, got {values.shape[1]}"
        )
    first_pixel = 1 if labelled else 0
    labels = _labels(values, 0, rows, path) if labelled else None
    pixels = np.ascontiguousarray(values[:, first_pixel:])  # (n, C * H * W)
    shape = _image_shape(pixels.shape[1], image_shape, path)
    _check_cells(~np.isfinite(pixels), first_pixel, rows, path, "a finite number")
    if not as_they_are and all(_is_whole(row.partition(",")[2] if labelled else row) for row in rows.values()):
        _check_cells((pixels < 0) | (pixels > 255), first_pixel, rows, path, "a whole pixel 0 .. 255")
        pixels /= 255
    return pixels.reshape(-1, *shape), labels


def read_numbered_labels(path: Path) -> NDArray[np.int64]:
    """Return the labels (n,) of a file whose rows are an Id, 1, 2, ... in order, and a label; a header is left out.

    Raises
    ------
    DataError
        With the row and column: for another number of columns, other Ids, labels that are not class numbers.
    """
    rows = _numbered_rows(path)
    _take_header(rows)
    if not rows:
        raise DataError(f"{path}: expected at least one row of an Id and a label, got none")
    values = _parse(rows, path)  # (n, columns)
    if values.shape[1] != 2:
        raise DataError(f"{path}, row {next(iter(rows))}: expected 2 columns, an Id and a label, got {values.shape[1]}")
    _check_cells(values[:, :1] != np.arange(1, len(rows) + 1)[:, np.newaxis], 0, rows, path, "the Ids 1, 2, 3, ...")
    return _labels(values, 1, rows, path)


def _numbered_rows(path: Path) -> dict[int, str]:
    """Return the lines that are not blank by their number, each without the comma that may end it."""
    try:
        text = path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: expected text in UTF-8, got the byte 0x{error.object[error.start]:02x} at byte {error.start}; "
            "is it a CSV file?"
        ) from error
    lines = enumerate((line.strip() for line in text.split("\n")), start=1)
    return {number: line.removesuffix(",") for number, line in lines if line}


def _take_header(rows: dict[int, str]) -> list[str]:
    """Remove a header from the rows and return its cells in lower case; [] when the first row holds numbers."""
    first = next(iter(rows), None)
    if first is None or _is_number(rows[first].partition(",")[0]):
        return []
    return [cell.strip().strip("\"'").lower() for cell in rows.pop(first).split(",")]


def _parse(rows: dict[int, str], path: Path) -> NDArray[np.float32]:
    """Return all cells, shape (n, columns); the parser is NumPy's, the culprit is looked for only after it failed."""
    try:
        return np.loadtxt(list(rows.values()), dtype=np.float32, delimiter=",", comments=None, ndmin=2)
    except ValueError as error:
        raise DataError(_explain(rows, path) or f"{path}: expected rows of numbers ({error})") from error


def _explain(rows: dict[int, str], path: Path) -> str | None:
    """Return a sentence on the first row that is ragged or holds something else than numbers."""
    width = len(next(iter(rows.values())).split(","))
    for number, row in rows.items():
        cells = row.split(",")
        if len(cells) != width:
            return f"{path}, row {number}: expected {width} columns as in the rows above, got {len(cells)}"
        for column, cell in enumerate(cells, start=1):
            if not _is_number(cell):
                return f"{path}, row {number}, column {column}: expected a number, got {cell[:40]!r}"
    return None


def _labels(values: NDArray[np.float32], column: int, rows: dict[int, str], path: Path) -> NDArray[np.int64]:
    """Return a column as class numbers."""
    labels = values[:, column]
    wrong = ~((labels >= 0) & (labels < MAX_CLASSES) & (labels == np.floor(labels)))  # a NaN is wrong too
    _check_cells(wrong[:, np.newaxis], column, rows, path, f"a label 0 .. {MAX_CLASSES - 1}")
    return labels.astype(np.int64)


def _check_cells(wrong: NDArray[np.bool_], first_column: int, rows: dict[int, str], path: Path, expected: str) -> None:
    """Raise a DataError on the first cell that is marked wrong, with its text in the file."""
    if not wrong.any():
        return
    row, column = np.argwhere(wrong)[0] + (0, first_column)
    number = list(rows)[row]
    cell = rows[number].split(",")[column]
    raise DataError(f"{path}, row {number}, column {column + 1}: expected {expected}, got {cell.strip()[:40]!r}")


def _image_shape(width: int, given: Shape | None, path: Path) -> Shape:
    """Return the (C, H, W) of rows of `width` pixels."""
    if given is not None:
        if math.prod(given) != width:
            raise DataError(f"{path}: expected {math.prod(given)} pixels a row for images {given}, got {width}")
        return given
    for channels in (1, 3):
        side = math.isqrt(width // channels)
        if width and channels * side * side == width:
            return channels, side, side
    raise DataError(
        f"{path}: expected rows of H*H or 3*H*H pixels, got {width}; give image_shape=(C, H, W), or, if the first "
        f"column holds labels, a header that names it {LABEL!r}"
    )


def _is_number(cell: str) -> bool:
    """Whether NumPy's parser takes the cell: as Python's, but without underscores."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _is_whole(row: str) -> bool:
    """Whether no number of a row has a decimal point or an exponent."""
    return "." not in row and "e" not in row and "E" not in row
