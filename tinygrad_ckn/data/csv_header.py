"""Whether the first row of a table of images is a header.

A first row whose pixels are not numbers is a header. A first row 0, 1, 2, ..., as pandas
numbers columns, or one whose numbers rise or fall throughout, as wavelengths do, while
those of the next row do not, may be a header: it is one if its numbers are far from those
of all other rows; otherwise the user says so, or the model, whose training file had a
header or not.
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import numpy as np

from tinygrad_ckn.data.label_column import LABEL, LABEL_NAMES
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data.table_text import has_integers, is_number, without_quotes
from tinygrad_ckn.errors import DataError

# Minimum number of cells of a numbered row.
_FEW = 4
# Number of cells that do not rise or fall throughout by accident.
_LONG = 9
# A column name that pandas made unique by a suffix: 0, 0.1, 0.2.
_MANGLED = re.compile(r"(-?\d+)(?:\.(\d+))?")


def take_header(rows: dict[int, str], path: Path, labelled: bool, reading: Reading) -> list[str]:
    """Remove a header from the rows; return its cells in lower case, or []."""
    first = next(iter(rows), None)
    if first is None:
        return []
    cells = [without_quotes(cell).strip() for cell in rows[first].split(",")]
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
    numbers = [is_number(cell) for cell in rows[first].split(",")]
    words = [cell.lower() for cell, number in zip(cells, numbers, strict=True) if not number]
    following = [is_number(cell) for cell in _next(rows, rows[first]).split(",")]
    # One word among numbers is a name if the next row has a number there; labels can be "y".
    named = words == [LABEL] or (all(following) and words in ([x] for x in LABEL_NAMES))
    if named and len(cells) > _FEW:
        return True
    if not all(numbers[1:]):
        # A word at the end of two columns is a label, if the next row ends in one, too.
        alike = len(rows) > 1 and any(numbers) and numbers == following
        return not any(numbers[1:]) and not alike
    return _is_header_of_numbers(cells, rows, first, path, labelled, reading)


def _is_header_of_numbers(
    cells: list[str], rows: dict[int, str], first: int, path: Path, labelled: bool, reading: Reading
) -> bool:
    """Return whether a first row whose pixels are numbers is a header, or raise."""
    if (not labelled and not is_number(cells[0])) or cells[0].lower() == LABEL:
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
    if len(cells) < _LONG - 1 or not all(map(is_number, cells)):
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
    if not has_integers(rows[first]) and all(has_integers(row) for row in others):
        return True
    if not has_integers(rows[first]) and not _is_monotone(rows[first]):
        return False
    cells = [cell for row in others for cell in row.split(",")[1:]]
    largest = max(abs(float(cell)) for cell in rows[first].split(",")[1:])
    return all(is_number(cell) and abs(float(cell)) * 2 < largest for cell in cells)
