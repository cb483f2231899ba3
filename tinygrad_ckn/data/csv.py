"""Images, or labels, from a CSV file: one flattened image a row, or an Id and a label; cells separated by commas.

* A first row whose pixels are no numbers is a header. A first row 0, 1, 2, ..., as pandas numbers columns, or one whose
  numbers rise or fall all along, as wavelengths do, and the next row's do not, may be one: it is where its numbers are
  far from those of all other rows; else the user says so, or the model, whose training file had one.
* Labels are the first column, `label` in a header, of any kind that `tinygrad_ckn.labels` knows.
* Pixels follow. Where every one is written as an integer they count as integers, and as floats as soon as one has
  a decimal point or an exponent. A comma at the end of a line, blank lines and a byte order mark are tolerated.

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
# Columns of a header that are no pixels, though they may hold numbers; "" is how pandas
# names its index.
NOT_PIXELS = ("", "id", "imageid", "index", "unnamed: 0", "class", "target", "y", LABEL)
# cells from which a row can be told to be numbered
_FEW = 4
# cells that do not rise or fall all along by accident
_LONG = 9
_MANGLED = re.compile(r"(-?\d+)(?:\.(\d+))?")


def read_csv(
    path: Path, *, labelled: bool, reading: Reading
) -> tuple[NDArray[np.float32], Any, DataFormat]:
    """Read images, and labels where there are any.

    Parameters
    ----------
    path : Path
        An existing file.
    labelled : bool
        True: the first column holds labels. False: only where a header says so.
    reading : Reading
        How it is to be read.

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
        With the row, and the column where there is one: ragged rows, cells that are no
        numbers or not finite, labels that are none; for a header, widths or scales that
        can be read in two ways.
    """
    rows = _numbered_rows(path)
    header = _take_header(rows, path, labelled, reading)
    if labelled and header and header[0] != LABEL and not _is_number(header[0]):
        raise DataError(
            f"{path}: expected a header whose first column is {LABEL!r}, got {header[0][:40]!r}; "
            "put the labels in the first column, commas between the cells"
        )
    labelled = labelled or header[:1] == [LABEL]
    foreign = next(
        (i for i, name in enumerate(header) if name in NOT_PIXELS and not (labelled and i == 0)),
        None,
    )
    if foreign is not None:
        raise DataError(
            f"{path}, column {foreign + 1}: expected pixels, got {header[foreign]!r} in the header; leave that column "
            "out, or put the labels in the first column and name it 'label'"
        )
    if not rows:
        raise DataError(f"{path}: expected at least one row of numbers, got none")
    width = len(next(iter(rows.values())).split(","))
    if header and len(header) != width:
        raise DataError(
            f"{path}, row {next(iter(rows))}: expected {len(header)} columns as in the header, got {width}"
        )
    _check_widths(rows, width, path)
    pixels = {number: row.partition(",")[2] for number, row in rows.items()} if labelled else rows
    if labelled and width < 2:
        raise DataError(
            f"{path}, row {next(iter(rows))}: expected a label and pixels, got 1 column"
        )
    first_pixel = 1 if labelled else 0
    # (n, D)
    values = _parse(pixels, path, first_pixel)
    _check_cells(~np.isfinite(values), first_pixel, rows, path, "a finite number")
    labels = _labels(rows, 0, path, reading) if labelled else None
    images, channels_last = from_rows(values, reading, str(path))
    stored: Stored = "integers" if all(_is_whole(row) for row in pixels.values()) else "floats"
    floats, found = scaled(images, stored, channels_last, str(path), reading)
    return floats, labels, replace(found, header=bool(header))


def read_numbered_labels(path: Path) -> NDArray[Any]:
    """Return the labels (n,) of a file whose rows are an Id, 1, 2, ... in order, and a label; a header is left out.

    Raises
    ------
    DataError
        With the row and column: for another number of columns, other Ids, labels that
        are none.
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


def _take_header(rows: dict[int, str], path: Path, labelled: bool, reading: Reading) -> list[str]:
    """Remove a header from the rows and return its cells in lower case; [] where there is none."""
    first = next(iter(rows), None)
    if first is None:
        return []
    cells = [cell.strip().strip("\"'").strip() for cell in rows[first].split(",")]
    numbers = [_is_number(cell) for cell in rows[first].split(",")]
    named = cells[0].lower() == LABEL
    if reading.header is not None:
        is_header = reading.header
    elif not all(numbers[1:]):
        is_header = not any(numbers[1:])
    elif (not labelled and not numbers[0]) or named:
        is_header = True
    elif _is_numbered(cells) or (
        _is_monotone(rows[first]) and not _is_monotone(_next(rows, rows[first]))
    ):
        if _stands_out(rows, first):
            is_header = True
        elif reading.like is None or reading.like.header is None:
            raise DataError(
                f"{path}, row {first}: expected a header or an image, got {', '.join(cells[:4])}, ..., which can be "
                "both; say which with argument header"
            )
        else:
            is_header = reading.like.header
    else:
        is_header = False
    if not is_header:
        return []
    rows.pop(first)
    return [cell.lower() for cell in cells]


def _is_numbered(cells: list[str]) -> bool:
    """Tell whether cells look like numbers of columns: 0, 1, 2, ..., or repeated ones that pandas numbered, 0, 0.1."""
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
    """Tell whether the numbers of a long row rise, or fall, all along; the first may be a label."""
    cells = row.split(",")[1:]
    if len(cells) < _LONG - 1 or not all(map(_is_number, cells)):
        return False
    steps = np.diff(np.array(cells, dtype=np.float64))
    return bool((steps > 0).all() or (steps < 0).all())


def _next(rows: dict[int, str], first: str) -> str:
    """Return the row after the first; where there is none, the first, for a header alone is none."""
    return next(islice(rows.values(), 1, None), first)


def _stands_out(rows: dict[int, str], first: int) -> bool:
    """Tell whether a numbered first row cannot be an image like the others.

    It has decimal points, which no other row has, or a number that is more than twice
    as large as all of theirs.
    """
    others = [row for number, row in rows.items() if number != first]
    if not others:
        return False
    if not _is_whole(rows[first]) and all(_is_whole(row) for row in others):
        return True
    if not _is_whole(rows[first]) and not _is_monotone(rows[first]):
        return False
    cells = [cell for row in others for cell in row.split(",")[1:]]
    largest = max(abs(float(cell)) for cell in rows[first].split(",")[1:])
    return all(_is_number(cell) and abs(float(cell)) * 2 < largest for cell in cells)


def _parse(rows: dict[int, str], path: Path, first_column: int) -> NDArray[np.float32]:
    """Return all cells, shape (n, columns); the parser is NumPy's, the culprit is looked for only after it failed."""
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
    """Raise a DataError on the first row that has another number of cells."""
    for number, row in rows.items():
        if row.count(",") != width - 1:
            raise DataError(
                f"{path}, row {number}: expected {width} columns as in the rows above, got {row.count(',') + 1}"
            )


def _explain(rows: dict[int, str], path: Path, first_column: int) -> str | None:
    """Return a sentence on the first cell that is no number."""
    for number, row in rows.items():
        for column, cell in enumerate(row.split(","), start=first_column + 1):
            if not _is_number(cell):
                return (
                    f"{path}, row {number}, column {column}: expected a number, got {cell[:40]!r}"
                )
    return None


def _labels(rows: dict[int, str], column: int, path: Path, reading: Reading) -> NDArray[Any]:
    """Return a column as labels: integers where all are written so, else booleans or strings."""
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
        # a NaN is none
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
    """Raise a DataError on the first cell that is marked wrong, with its text in the file."""
    if not wrong.any():
        return
    row, column = np.argwhere(wrong)[0] + (0, first_column)
    number = list(rows)[row]
    cell = rows[number].split(",")[column]
    raise DataError(
        f"{path}, row {number}, column {column + 1}: expected {expected}, got {cell.strip()[:40]!r}"
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
