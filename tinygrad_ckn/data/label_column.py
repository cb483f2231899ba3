"""Which column of a table of images holds the labels.

What the user says takes precedence, then a header that names the column. Without both,
the labels are the first column or the last: the one that holds words, if one does. A
column can also hold labels if it has whole numbers, at least two different ones, and each
occurs twice on average; the first is taken, as the format is described, if the last
cannot. If the last can, one of them is taken only where the other is clearly a pixel of
the border: always one value, or in 50 images or more mostly one value or one of many,
while the labels are 0, 1, 2, ... or 1, 2, 3, ..., and no value makes up most of them.
Otherwise the column is that of the training file of the model, or the user is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data.table_text import is_number
from tinygrad_ckn.errors import DataError

LABEL = "label"
# Names of a column of labels in a header.
LABEL_NAMES = (LABEL, "labels", "class", "target", "y")
FIRST, LAST = "first", "last"
# Largest share of one value among labels, smallest in a column that is background.
_MAX_LABEL_SHARE = 0.6
_MIN_BACKGROUND_SHARE = 0.8
# Minimum number of images for these shares.
_MIN_IMAGES = 50
# Number of values, and how many times as many as there are classes, that only pixels have.
_MANY = 100
_TIMES = 10


class LabelColumn(NamedTuple):
    """The column of the labels, from 0, how to say so later, and a doubt.

    `doubt` is whether another column may be meant: the file is then to be refused, unless
    something else is wrong with it.
    """

    column: int
    said: str
    doubt: bool = False


class _Column(NamedTuple):
    """A summary of the cells of a column."""

    words: bool
    pixels_only: bool
    can_be_labels: bool
    consecutive: bool
    n: int
    distinct: int
    share: float

    @property
    def looks_like_labels(self) -> bool:
        """Whether these are class numbers, and no class has most of the images."""
        return self.can_be_labels and self.consecutive and self.share <= _MAX_LABEL_SHARE

    def is_border(self, labels: _Column) -> bool:
        """Return whether this is clearly a pixel of the border, if another has the labels."""
        many = self.distinct >= max(_MANY, _TIMES * labels.distinct)
        return self.n >= _MIN_IMAGES and (many or self.share >= _MIN_BACKGROUND_SHARE)


def label_column(
    header: list[str], rows: dict[int, str], width: int, path: Path, reading: Reading
) -> LabelColumn:
    """Return where the labels of rows of a label and pixels are.

    Parameters
    ----------
    header : list[str]
        Its cells in lower case; empty without one.
    rows : dict[int, str]
        The other rows, with commas between the cells.
    width : int
        The number of columns.
    path : Path
        The file, for messages.
    reading : Reading
        What the user says, and how the training images were read.

    Raises
    ------
    DataError
        If the user names a column that is not there.
    """
    named = named_column(header, path, reading)
    if named is not None:
        return named
    if reading.label is not None:
        return LabelColumn(_index(reading.label, width), reading.label)
    found, sure = _by_cells(rows)
    like = reading.like
    if like is None or like.header is None:
        return LabelColumn(_index(found or FIRST, width), found or FIRST, found is None)
    said = LAST if like.label == LAST else FIRST
    # A name says nothing about a file without a header.
    unknown = like.label not in (None, FIRST, LAST)
    if unknown:
        said = found or FIRST
    contradicted = sure and found not in (None, said)
    doubt = (unknown and found is None) or contradicted
    return LabelColumn(_index(said, width), said, doubt)


def named_column(header: list[str], path: Path, reading: Reading) -> LabelColumn | None:
    """Return the column of the labels that the user or the header names, if any."""
    names = [name for name in header if name and not is_number(name)]
    if reading.label not in (None, FIRST, LAST):
        wanted = str(reading.label).strip().lower()
        if header.count(wanted) != 1:
            got = ", ".join(header)[:60] if header else "no header"
            raise DataError(
                f"{path}: expected a header with one column {reading.label!r}, got {got}; pass "
                "first, last or the name of the column as argument label"
            )
        return LabelColumn(header.index(wanted), wanted)
    if reading.label is not None or not names:
        return None
    like = reading.like
    if like is not None and like.label in header and header.count(like.label) == 1:
        return LabelColumn(header.index(like.label), like.label)
    if header[0] == LABEL:
        return LabelColumn(0, FIRST)
    for candidates in ((LABEL,), LABEL_NAMES):
        columns = [column for column, name in enumerate(header) if name in candidates]
        if len(columns) == 1:
            return LabelColumn(columns[0], header[columns[0]])
    return None


def _index(said: str, width: int) -> int:
    """Return the column of a position."""
    return width - 1 if said == LAST else 0


def _by_cells(rows: dict[int, str]) -> tuple[str | None, bool]:
    """Return where labels without a header are, None if in doubt, and whether that is sure."""
    first = _column([row.partition(",")[0] for row in rows.values()])
    last = _column([row.rpartition(",")[2] for row in rows.values()])
    if first.words or last.words:
        return (FIRST if first.words else LAST), True
    if not last.can_be_labels:
        return FIRST, first.looks_like_labels
    if not first.can_be_labels:
        return (LAST if first.pixels_only and last.consecutive else None), True
    if first.looks_like_labels and last.is_border(first):
        return FIRST, True
    return (LAST if last.looks_like_labels and first.is_border(last) else None), True


def _column(cells: list[str]) -> _Column:
    """Return what the cells of a column are."""
    numeric = [is_number(cell) for cell in cells]
    if not all(numeric):
        words = not any(numeric) and any(cell.strip() for cell in cells)
        return _Column(words, False, False, False, len(cells), 0, 0.0)
    numbers = np.array(cells, np.float64)
    values, counts = np.unique(numbers, return_counts=True)
    whole = numbers == np.floor(numbers)
    consecutive = values[0] in (0, 1) and bool((np.diff(values) == 1).all())
    # Not a few numbers with a fraction, which may be mistakes.
    pixels_only = len(values) == 1 or bool(np.mean(~whole) > 1 / 2)
    can_be_labels = bool(whole.all()) and 1 < len(values) <= len(numbers) / 2
    share = counts.max() / len(numbers)
    return _Column(
        False, pixels_only, can_be_labels, consecutive, len(numbers), len(values), float(share)
    )
