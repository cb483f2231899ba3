"""Images, or labels, from a CSV file: an image per row, or an Id and a label.

* Cells are separated by commas. A comma at the end of a line, blank lines and a byte
  order mark are ignored.
* A first row whose pixels are not numbers is a header. A first row 0, 1, 2, ..., as
  pandas numbers columns, or one whose numbers rise or fall throughout, as wavelengths
  do, while those of the next row do not, may be a header: it is one if its numbers are
  far from those of all other rows; otherwise the user says so, or the model, whose
  training file had a header or not.
* Labels are the first column, named `label` in a header, of any kind that
  `tinygrad_ckn.labels` accepts.
* Pixels follow. They are integers if all are written as integers, and floats if one of
  them has a decimal point or an exponent.

Rows and columns in messages count from 1, the header and blank lines included, as a
spreadsheet counts them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.arrays import scaled
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data.shapes import from_rows
from tinygrad_ckn.data_format import DataFormat, Stored
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.labels import as_labels, check_lengths

LABEL = "label"
# Columns of a header that are not pixels, though they may hold numbers; "" is how pandas
# names its index.
NOT_PIXELS = ("", "id", "imageid", "index", "unnamed: 0", "class", "target", "y", LABEL)
# Minimum number of cells of a numbered row.
_FEW = 4
# Number of cells that do not rise or fall throughout by accident.
_LONG = 9
# A column name that pandas made unique by a suffix: 0, 0.1, 0.2.
_MANGLED = re.compile(r"(-?\d+)(?:\.(\d+))?")


def read_csv(
    path: Path, *, labelled: bool, reading: Reading
) -> tuple[NDArray[np.float32], NDArray[Any] | None, DataFormat]:
    """Read images, and labels if there are any.

    Parameters
    ----------
    path : Path
        An existing file.
    labelled : bool
        True: the first column holds labels. False: only if a header says so.
    reading : Reading
        How to read the file.

    Returns
    -------
    images : NDArray[np.float32], shape (n, C, H, W)
    labels : NDArray, shape (n,), or None
        int64, bool or str.
    data_format : DataFormat
        How the images were read, without classes.

    Raises
    ------
    DataError
        With the row, and the column if there is one: for rows of different lengths,
        cells that are not finite numbers, and invalid labels. Also for a header, width
        or scale that is ambiguous.
    """
    rows = _numbered_rows(path)
    header = _take_header(rows, path, labelled, reading)
    labelled = _check_header(header, path, labelled)
    if not rows:
        raise DataError(f"{path}: expected at least one row of numbers, got none")
    first, row = next(iter(rows.items()))
    width = len(row.split(","))
    if header and len(header) != width:
        raise DataError(
            f"{path}, row {first}: expected {len(header)} columns as in the header, got {width}"
        )
    _check_widths(rows, width, path)
    if labelled and width < 2:
        raise DataError(f"{path}, row {first}: expected a label and pixels, got 1 column")
    pixels = {number: row.partition(",")[2] for number, row in rows.items()} if labelled else rows
    first_pixel = 1 if labelled else 0
    # (n, D)
    values = _parse(pixels, path, first_pixel)
    _check_cells(~np.isfinite(values), first_pixel, rows, path, "a finite number")
    labels = _labels(rows, 0, path, reading) if labelled else None
    images, channels_last = from_rows(values, reading, str(path))
    stored: Stored = "integers" if all(map(_has_integers, pixels.values())) else "floats"
    floats, data_format = scaled(images, stored, channels_last, str(path), reading)
    return floats, labels, replace(data_format, header=bool(header))


def read_numbered_labels(path: Path) -> NDArray[Any]:
    """Return the labels (n,) of a file with rows of an Id, 1, 2, ..., and a label.

    A header is left out.

    Raises
    ------
    DataError
        With the row and column: for another number of columns, other Ids, and invalid
        labels.
    """
    rows = _numbered_rows(path)
    if rows and not _is_number(next(iter(rows.values())).partition(",")[0]):
        rows.pop(next(iter(rows)))
    if not rows:
        raise DataError(f"{path}: expected at least one row of an Id and a label, got none")
    number, row = next(iter(rows.items()))
    if row.count(",") != 1:
        raise DataError(
            f"{path}, row {number}: expected 2 columns, an Id and a label, got {row.count(',') + 1}"
        )
    _check_widths(rows, 2, path)
    # (n, 1)
    ids = _parse({number: row.partition(",")[0] for number, row in rows.items()}, path, 0)
    _check_cells(
        ids != np.arange(1, len(rows) + 1)[:, np.newaxis], 0, rows, path, "the Ids 1, 2, 3, ..."
    )
    return _labels(rows, 1, path, Reading())


def _numbered_rows(path: Path) -> dict[int, str]:
    """Return the lines that are not blank, by number, without a comma at the end."""
    try:
        text = path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: expected text in UTF-8, got the byte 0x{error.object[error.start]:02x} at "
            f"byte {error.start}; is it a CSV file?"
        ) from error
    lines = enumerate((line.strip() for line in text.split("\n")), start=1)
    return {number: line.removesuffix(",") for number, line in lines if line}


def _take_header(rows: dict[int, str], path: Path, labelled: bool, reading: Reading) -> list[str]:
    """Remove a header from the rows; return its cells in lower case, or []."""
    first = next(iter(rows), None)
    if first is None:
        return []
    cells = [cell.strip().strip("\"'").strip() for cell in rows[first].split(",")]
    if not _is_header(cells, rows, first, path, labelled, reading):
        return []
    rows.pop(first)
    return [cell.lower() for cell in cells]


def _is_header(
    cells: list[str], rows: dict[int, str], first: int, path: Path, labelled: bool, reading: Reading
) -> bool:
    """Return whether the first row is a header, or raise a DataError."""
    if reading.header is not None:
        return reading.header
    numbers = [_is_number(cell) for cell in rows[first].split(",")]
    if not all(numbers[1:]):
        return not any(numbers[1:])
    if (not labelled and not numbers[0]) or cells[0].lower() == LABEL:
        return True
    if not _is_numbered(cells) and (
        not _is_monotone(rows[first]) or _is_monotone(_next(rows, rows[first]))
    ):
        return False
    if _stands_out(rows, first):
        return True
    if reading.like is None or reading.like.header is None:
        raise DataError(
            f"{path}, row {first}: expected a header or an image, got {', '.join(cells[:4])}, ..., "
            "which can be both; say which with argument header"
        )
    return reading.like.header


def _check_header(header: list[str], path: Path, labelled: bool) -> bool:
    """Return whether the first column holds labels, or raise a DataError."""
    if labelled and header and header[0] != LABEL and not _is_number(header[0]):
        raise DataError(
            f"{path}: expected a header whose first column is {LABEL!r}, got {header[0][:40]!r}; "
            "put the labels in the first column, commas between the cells"
        )
    labelled = labelled or header[:1] == [LABEL]
    for column, name in enumerate(header):
        if name in NOT_PIXELS and not (labelled and column == 0):
            raise DataError(
                f"{path}, column {column + 1}: expected pixels, got {name!r} in the header; leave "
                "that column out, or put the labels in the first column and name it 'label'"
            )
    return labelled


def _is_numbered(cells: list[str]) -> bool:
    """Return whether cells look like column numbers: 0, 1, 2, ... or 0, 0.1, 0.2."""
    for tail in (cells, cells[1:]):
        if len(tail) >= _FEW and tail[0] in ("0", "1"):
            start = int(tail[0])
            if tail == [str(start + i) for i in range(len(tail))]:
                return True
    seen: dict[str, int] = {}
    for cell in cells:
        parts = _MANGLED.fullmatch(cell)
        if parts is None or int(parts[2] or 0) != seen.get(parts[1], 0) or parts[2] == "0":
            return False
        seen[parts[1]] = seen.get(parts[1], 0) + 1
    return len(cells) >= _FEW and len(seen) < len(cells)


def _is_monotone(row: str) -> bool:
    """Return whether the numbers of a long row rise or fall after the first."""
    cells = row.split(",")[1:]
    if len(cells) < _LONG - 1 or not all(map(_is_number, cells)):
        return False
    steps = np.diff(np.array(cells, dtype=np.float64))
    return bool((steps > 0).all() or (steps < 0).all())


def _next(rows: dict[int, str], first: str) -> str:
    """Return the row after the first, or the first if it is the only one."""
    return next(islice(rows.values(), 1, None), first)


def _stands_out(rows: dict[int, str], first: int) -> bool:
    """Return whether a numbered first row cannot be an image like the others.

    It has decimal points, which no other row has, or a number that is more than twice
    as large as all numbers of the others.
    """
    others = [row for number, row in rows.items() if number != first]
    if not others:
        return False
    if not _has_integers(rows[first]) and all(_has_integers(row) for row in others):
        return True
    if not _has_integers(rows[first]) and not _is_monotone(rows[first]):
        return False
    cells = [cell for row in others for cell in row.split(",")[1:]]
    largest = max(abs(float(cell)) for cell in rows[first].split(",")[1:])
    return all(_is_number(cell) and abs(float(cell)) * 2 < largest for cell in cells)


def _parse(rows: dict[int, str], path: Path, first_column: int) -> NDArray[np.float32]:
    """Return all cells, (n, columns), or raise a DataError for the first wrong one."""
    try:
        with np.errstate(over="ignore"):
            values = np.loadtxt(
                list(rows.values()), dtype=np.float32, delimiter=",", comments=None, ndmin=2
            )
        if len(values) != len(rows):
            raise ValueError("rows without a number")
        return values
    except ValueError as error:
        message = (
            _explain(rows, path, first_column) or f"{path}: expected rows of numbers ({error})"
        )
        raise DataError(message) from error


def _check_widths(rows: dict[int, str], width: int, path: Path) -> None:
    """Raise a DataError for the first row with another number of cells."""
    for number, row in rows.items():
        if row.count(",") != width - 1:
            raise DataError(
                f"{path}, row {number}: expected {width} columns as in the rows above, got "
                f"{row.count(',') + 1}"
            )


def _explain(rows: dict[int, str], path: Path, first_column: int) -> str | None:
    """Return a sentence on the first cell that is not a number, None if all are."""
    for number, row in rows.items():
        for column, cell in enumerate(row.split(","), start=first_column + 1):
            if not _is_number(cell):
                return (
                    f"{path}, row {number}, column {column}: expected a number, got {cell[:40]!r}"
                )
    return None


def _labels(rows: dict[int, str], column: int, path: Path, reading: Reading) -> NDArray[Any]:
    """Return a column as labels: integers, booleans or strings."""
    texts = [row.split(",", column + 1)[column].strip().strip("\"'") for row in rows.values()]
    check_lengths(texts, str(path))
    cells = np.array(texts)
    _check_cells((cells == "")[:, np.newaxis], column, rows, path, "a label")
    if reading.like is not None and any(isinstance(label, str) for label in reading.like.classes):
        return as_labels(cells, str(path))
    numeric = np.array([_is_number(cell) for cell in cells.tolist()])
    _check_cells(
        (numeric != numeric[0])[:, np.newaxis],
        column,
        rows,
        path,
        "labels of one kind, numbers or words",
    )
    if numeric.all():
        numbers = cells.astype(np.float64)
        # False for NaN.
        whole = (numbers == np.floor(numbers)) & (np.abs(numbers) < 2**53)
        _check_cells(~whole[:, np.newaxis], column, rows, path, "a label that is an integer")
        different = set(texts)
        padded = [
            text
            for text in different
            if text.isdecimal() and text[0] == "0" and str(int(text)) != text
        ]
        clashing = np.isin(cells, [text for text in padded if str(int(text)) in different])
        _check_cells(
            clashing[:, np.newaxis],
            column,
            rows,
            path,
            "labels with zeros before all of them or none",
        )
        return numbers.astype(np.int64)
    if set(cells.tolist()) <= {"True", "False"}:
        return np.asarray(cells == "True")
    return as_labels(cells, str(path))


def _check_cells(
    wrong: NDArray[np.bool_], first_column: int, rows: dict[int, str], path: Path, expected: str
) -> None:
    """Raise a DataError for the first cell marked wrong, with its text in the file."""
    if not wrong.any():
        return
    row, column = np.argwhere(wrong)[0] + (0, first_column)
    number = list(rows)[row]
    cell = rows[number].split(",")[column]
    raise DataError(
        f"{path}, row {number}, column {column + 1}: expected {expected}, got {cell.strip()[:40]!r}"
    )


def _is_number(cell: str) -> bool:
    """Return whether NumPy parses a cell: as Python, but without underscores."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _has_integers(row: str) -> bool:
    """Return whether no number of a row has a decimal point or an exponent."""
    return "." not in row and "e" not in row and "E" not in row
