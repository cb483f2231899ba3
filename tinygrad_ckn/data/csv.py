"""Images, or labels, from a CSV file: an image per row, or an Id and a label.

* Cells are separated by commas, semicolons, tabs or spaces, as `table_text` finds. A
  separator at the end of a line, blank lines and a byte order mark are ignored.
* The first row is a header or not, as `csv_header` finds.
* Labels are the first column, the last one or one that the user or the header names, as
  `label_column` finds, of any kind that `tinygrad_ckn.labels` accepts.
* A column that the user names says which images belong together.
* The others are pixels. They are integers if all are written as integers, and floats if one of
  them has a decimal point or an exponent.

Rows and columns in messages count from 1, the header and blank lines included, as a
spreadsheet counts them.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.arrays import scaled
from tinygrad_ckn.data.csv_header import take_header
from tinygrad_ckn.data.label_column import (
    FIRST,
    LABEL,
    LABEL_NAMES,
    LAST,
    LabelColumn,
    label_column,
    named_column,
)
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data.shapes import from_rows
from tinygrad_ckn.data.table_text import has_integers, is_number, table_rows, without_quotes
from tinygrad_ckn.data_format import DataFormat, Stored
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.labels import as_labels, check_lengths

# Columns of a header that are not pixels, though they may hold numbers; "" is how pandas
# names its index.
NOT_PIXELS = ("", "id", "imageid", "index", "unnamed: 0", *LABEL_NAMES)


class Table(NamedTuple):
    """The images (n, C, H, W) of a file, their labels and groups (n,), and their format."""

    images: NDArray[np.float32]
    labels: NDArray[Any] | None
    data_format: DataFormat
    groups: NDArray[Any] | None


def read_table(path: Path, *, labelled: bool, reading: Reading) -> Table:
    """Read images, and labels and groups if there are any.

    Parameters
    ----------
    path : Path
        An existing file.
    labelled : bool
        True: a column holds labels. False: only if a header or the user says so.
    reading : Reading
        How to read the file.

    Returns
    -------
    Table
        Labels are int64, bool or str, or None; groups str, or None. The format has no
        classes.

    Raises
    ------
    DataError
        With the row, and the column if there is one: for rows of different lengths,
        cells that are not finite numbers, and invalid labels. Also for a header, width
        or scale that is ambiguous.
    """
    rows = table_rows(path)
    header = take_header(rows, path, labelled, reading)
    if not rows:
        raise DataError(f"{path}: expected at least one row of numbers, got none")
    first, row = next(iter(rows.items()))
    width = len(row.split(","))
    place = _place(header, rows, width, path, labelled, reading)
    group = _group_column(header, path, place, reading)
    _check_names(header, path, place, group)
    if header and len(header) != width:
        raise DataError(
            f"{path}, row {first}: expected {len(header)} columns as in the header, got {width}"
        )
    _check_widths(rows, width, path)
    if place is not None and width < 2:
        raise DataError(f"{path}, row {first}: expected a label and pixels, got 1 column")
    column = None if place is None else place.column
    pixels = _without(rows, {column, group} - {None}, width)
    columns = [i for i in range(width) if i not in (column, group)]
    # (n, D)
    values = _parse(pixels, path, columns)
    _check_cells(~np.isfinite(values), columns, rows, path, "a finite number")
    labels = None if column is None else _labels(rows, column, path, reading)
    images, channels_last = from_rows(values, reading, str(path))
    stored: Stored = "integers" if all(map(has_integers, pixels.values())) else "floats"
    floats, data_format = scaled(images, stored, channels_last, str(path), reading)
    said = None if place is None or place.said == FIRST else place.said
    if place is not None and place.doubt:
        _refuse_doubt(path, rows)
    of_group = None if group is None else header[group]
    data_format = replace(data_format, header=bool(header), label=said, group=of_group)
    return Table(floats, labels, data_format, None if group is None else _texts(rows, group, path))


def read_numbered_labels(path: Path) -> NDArray[Any]:
    """Return the labels (n,) of rows of an Id, which counts from 1 or from 0, and a label.

    A header is left out.

    Raises
    ------
    DataError
        With the row and column: for another number of columns, other Ids, and invalid
        labels.
    """
    rows = table_rows(path)
    if rows and not is_number(next(iter(rows.values())).partition(",")[0]):
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
    ids = _parse({number: row.partition(",")[0] for number, row in rows.items()}, path, [0])
    start = 0 if ids[0, 0] == 0 else 1
    wrong = ids != np.arange(start, start + len(rows))[:, np.newaxis]
    _check_cells(wrong, [0], rows, path, f"the Ids {start}, {start + 1}, {start + 2}, ...")
    return _labels(rows, 1, path, Reading())


def _place(
    header: list[str],
    rows: dict[int, str],
    width: int,
    path: Path,
    labelled: bool,
    reading: Reading,
) -> LabelColumn | None:
    """Return which column holds labels, None if none does, or raise a DataError."""
    if not labelled:
        place = named_column(header, path, reading)
        if reading.label in (FIRST, LAST):
            return label_column(header, rows, width, path, reading)
        # A column named class or y may be something else where no labels are expected.
        trained = None if reading.like is None else reading.like.label
        sure = place is not None and (
            reading.label is not None or header[place.column] in (LABEL, trained)
        )
        return place if sure else None
    place = label_column(header, rows, width, path, reading)
    unnamed = named_column(header, path, reading) is None and reading.label is None
    if unnamed and header and not is_number(header[0]):
        raise DataError(
            f"{path}: expected a header whose first column is {LABEL!r}, got {header[0][:40]!r}; "
            "pass first, last or the name of the column of the labels as argument label"
        )
    return place


def _group_column(
    header: list[str], path: Path, place: LabelColumn | None, reading: Reading
) -> int | None:
    """Return the column of the groups, by the user or as in training, None if there is none."""
    like = None if reading.like is None else reading.like.group
    if reading.group is None and like is None:
        return None
    wanted = str(reading.group or like).strip().lower()
    if wanted not in header and reading.like is not None:
        return None
    column = header.index(wanted) if header.count(wanted) == 1 else None
    if column is None or (place is not None and place.column == column):
        got = ", ".join(header)[:60] if header else "no header"
        raise DataError(
            f"{path}: expected a header with one column {wanted!r} besides the labels, got "
            f"{got}; pass the name of the column of the groups as argument group"
        )
    return column


def _without(rows: dict[int, str], dropped: Set[int | None], width: int) -> dict[int, str]:
    """Return rows without some columns."""
    if not dropped:
        return rows
    if dropped == {0}:
        return {number: row.partition(",")[2] for number, row in rows.items()}
    if dropped == {width - 1}:
        return {number: row.rpartition(",")[0] for number, row in rows.items()}
    kept = [column for column in range(width) if column not in dropped]
    cells = {number: row.split(",") for number, row in rows.items()}
    return {number: ",".join([row[i] for i in kept]) for number, row in cells.items()}


def _refuse_doubt(path: Path, rows: dict[int, str]) -> None:
    """Raise a DataError for labels that can be the first or the last column."""
    cells = next(iter(rows.values())).split(",")
    raise DataError(
        f"{path}: expected labels in the first or the last column, got rows where both can be "
        f"labels, such as {cells[0][:20]}, ..., {cells[-1][:20]}; pass first or last as argument "
        "label"
    )


def _check_names(
    header: list[str], path: Path, place: LabelColumn | None, group: int | None
) -> None:
    """Raise a DataError for a column that the header says holds no pixels."""
    for column, name in enumerate(header):
        is_known = column == group or (place is not None and column == place.column)
        if name in NOT_PIXELS and not is_known:
            raise DataError(
                f"{path}, column {column + 1}: expected pixels, got {name!r} in the header; leave "
                "that column out, or put the labels in the first column and name it 'label'"
            )


def _parse(rows: dict[int, str], path: Path, columns: Sequence[int]) -> NDArray[np.float32]:
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
        message = _explain(rows, path, columns) or f"{path}: expected rows of numbers ({error})"
        raise DataError(message) from error


def _check_widths(rows: dict[int, str], width: int, path: Path) -> None:
    """Raise a DataError for the first row with another number of cells."""
    for number, row in rows.items():
        if row.count(",") != width - 1:
            raise DataError(
                f"{path}, row {number}: expected {width} columns as in the rows above, got "
                f"{row.count(',') + 1}"
            )


def _explain(rows: dict[int, str], path: Path, columns: Sequence[int]) -> str | None:
    """Return a sentence on the first cell that is not a number, None if all are."""
    for number, row in rows.items():
        for column, cell in zip(columns, row.split(","), strict=False):
            if not is_number(cell):
                place = f"{path}, row {number}, column {column + 1}"
                return f"{place}: expected a number, got {cell[:40]!r}"
    return None


def _cell(row: str, column: int) -> str:
    """Return a cell of a row."""
    return row.split(",", column + 1)[column]


def _texts(
    rows: dict[int, str], column: int, path: Path, expected: str = "a group"
) -> NDArray[np.str_]:
    """Return a column as text, without single quotes around it; empty cells are refused."""
    texts = [without_quotes(_cell(row, column)) for row in rows.values()]
    check_lengths(texts, str(path))
    cells = np.array(texts)
    _check_cells((cells == "")[:, np.newaxis], [column], rows, path, expected)
    return cells


def _labels(rows: dict[int, str], column: int, path: Path, reading: Reading) -> NDArray[Any]:
    """Return a column as labels: integers, booleans or strings."""
    cells = _texts(rows, column, path, "a label")
    texts = cells.tolist()
    if reading.like is not None and any(isinstance(label, str) for label in reading.like.classes):
        return as_labels(cells, str(path))
    numeric = np.array([is_number(cell) for cell in cells.tolist()])
    _check_cells(
        (numeric != numeric[0])[:, np.newaxis],
        [column],
        rows,
        path,
        "labels of one kind, numbers or words",
    )
    if numeric.all():
        numbers = cells.astype(np.float64)
        # False for NaN.
        whole = (numbers == np.floor(numbers)) & (np.abs(numbers) < 2**53)
        _check_cells(~whole[:, np.newaxis], [column], rows, path, "a label that is an integer")
        different = set(texts)
        padded = [
            text
            for text in different
            if text.isdecimal() and text[0] == "0" and str(int(text)) != text
        ]
        clashing = np.isin(cells, [text for text in padded if str(int(text)) in different])
        _check_cells(
            clashing[:, np.newaxis],
            [column],
            rows,
            path,
            "labels with zeros before all of them or none",
        )
        return numbers.astype(np.int64)
    if set(cells.tolist()) <= {"True", "False"}:
        return np.asarray(cells == "True")
    return as_labels(cells, str(path))


def _check_cells(
    wrong: NDArray[np.bool_],
    columns: Sequence[int],
    rows: dict[int, str],
    path: Path,
    expected: str,
) -> None:
    """Raise a DataError for the first cell marked wrong, with its text in the file."""
    if not wrong.any():
        return
    row, cell_of_row = np.argwhere(wrong)[0]
    number, column = list(rows)[row], columns[cell_of_row]
    cell = rows[number].split(",")[column]
    raise DataError(
        f"{path}, row {number}, column {column + 1}: expected {expected}, got {cell.strip()[:40]!r}"
    )
