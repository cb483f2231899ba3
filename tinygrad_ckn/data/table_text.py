"""Rows of a text table: separators, quotes, and compression by gzip or zip.

Cells are separated by commas, semicolons, tabs or spaces: by what leaves at most one cell
of a row near the end that is not a number. If that holds for two of them, the file is
refused. Cells may be in double quotes, but hold no comma. Source:
https://www.rfc-editor.org/rfc/rfc4180.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
import zlib
from pathlib import Path

from tinygrad_ckn.data.npy import MAX_INFLATION
from tinygrad_ckn.errors import DataError

SEPARATORS = (",", ";", "\t")
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", " ": "spaces"}
# Bytes that show what a file is, and minimum number of cells that make lines a table.
_START = 65_536
_FEW_CELLS = 4
_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"


def is_number(cell: str) -> bool:
    """Return whether NumPy parses a cell: as Python, but without underscores."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def has_integers(row: str) -> bool:
    """Return whether no number of a row has a decimal point or an exponent."""
    return "." not in row and "e" not in row and "E" not in row


def without_quotes(cell: str) -> str:
    """Return a cell without spaces, and one pair of single quotes, around it.

    Examples
    --------
    >>> without_quotes(" 'big cat'"), without_quotes("boys'")
    ('big cat', "boys'")
    """
    cell = cell.strip()
    quoted = len(cell) > 1 and cell[0] == cell[-1] == "'"
    return cell[1:-1] if quoted else cell


def is_table(path: Path) -> bool:
    """Return whether a file is a table, by its name or by its first rows.

    They are text with numbers, but for one cell, between separators; a file named as a
    table is one, whatever it holds.
    """
    if re.search(r"\.((csv|tsv)(\.gz|\.zip)?|txt\.zip)$", path.name, re.IGNORECASE):
        return True
    if not path.is_file():
        return False
    try:
        lines = _start(path).decode("ascii").splitlines()[:-1]
    except (OSError, EOFError, ValueError, zlib.error):
        return False
    # The first may be a header.
    for line in lines[-1:]:
        for separator in (*SEPARATORS, " "):
            cells = _cells(line.strip(), separator)
            if len(cells) > _FEW_CELLS and _n_words(cells) <= 1:
                return True
    return False


def _start(path: Path) -> bytes:
    """Return the first bytes of a file, unzipped if it is a gzip stream."""
    with path.open("rb") as stream:
        zipped = stream.read(2) == _GZIP
        stream.seek(0)
        return (gzip.GzipFile(fileobj=stream) if zipped else stream).read(_START)


def table_rows(path: Path) -> dict[int, str]:
    """Return the lines that are not blank, by number, with commas between their cells.

    Quotes around cells, and a separator at the end of a line, are removed.

    Raises
    ------
    DataError
        For bytes that are not text, a damaged archive, two possible separators, a quote
        that is not closed, and a comma in a cell.
    """
    text = _text(path)
    if "\r" in text:
        # Lines end with \r\n on Windows, and with \r where spreadsheets write "CSV (Macintosh)".
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    # Tabs separate cells: they are kept at both ends of a line.
    lines = ((i, line.strip(" \f\v")) for i, line in enumerate(text.split("\n"), start=1))
    rows = {number: line for number, line in lines if line.strip()}
    if not rows:
        return {}
    separated = (row for row in reversed(rows.values()) if any(map(row.__contains__, SEPARATORS)))
    separator = _separator(next(separated, next(reversed(rows.values()))), path)
    if '"' in text:
        rows = {number: _unquoted(row, separator, number, path) for number, row in rows.items()}
    elif separator != ",":
        rows = {number: _with_commas(row, separator, number, path) for number, row in rows.items()}
    return {number: row.strip().removesuffix(",") for number, row in rows.items()}


def _separator(row: str, path: Path) -> str:
    """Return what separates the cells of a row."""
    found = [separator for separator in SEPARATORS if separator in row] or [" "]
    fitting = [separator for separator in found if _n_words(_cells(row, separator)) <= 1]
    if len(found) == 1:
        # A row of words is not separated by the spaces in it.
        return found[0] if found != [" "] or fitting else ","
    if len(fitting) == 1:
        return fitting[0]
    raise DataError(
        f"{path}: expected one separator, and numbers with decimal points, got "
        f"{' and '.join(_NAMES[separator] for separator in found)} in the row {row[:40]!r}; write "
        "commas between the cells"
    )


def _n_words(cells: list[str]) -> int:
    """Return how many cells are neither numbers nor empty."""
    return sum(bool(cell.strip()) and not is_number(cell) for cell in cells)


def _cells(row: str, separator: str) -> list[str]:
    """Return the cells of a row, without their quotes."""
    if separator == " ":
        return row.replace('"', "").split()
    if '"' not in row:
        return row.split(separator)
    try:
        reader = csv.reader([row], delimiter=separator, skipinitialspace=True, strict=True)
        return [cell for cells in reader for cell in cells]
    except csv.Error:
        return row.split(separator)


def _with_commas(row: str, separator: str, number: int, path: Path) -> str:
    """Return a row without quotes, with commas for another separator."""
    if "," in row:
        raise _comma(row, number, path)
    return ",".join(row.split()) if separator == " " else row.replace(separator, ",")


def _unquoted(row: str, separator: str, number: int, path: Path) -> str:
    """Return a row without the quotes around its cells, with commas between them."""
    if row.count('"') % 2:
        raise DataError(
            f"{path}, row {number}: expected quotes that are closed in the same line, got "
            f"{row[:40]!r}; close them"
        )
    cells = [cell.strip() for cell in _cells(row, separator)]
    if any("," in cell for cell in cells):
        raise _comma(next(cell for cell in cells if "," in cell), number, path)
    return ",".join(cells)


def _comma(cell: str, number: int, path: Path) -> DataError:
    """Return the error for a comma within a cell."""
    return DataError(
        f"{path}, row {number}: expected cells without commas, got {cell[:40]!r}; write numbers "
        "with decimal points, and labels without commas"
    )


def _text(path: Path) -> str:
    """Return the text of a file, unzipped, without a byte order mark."""
    content = path.read_bytes()
    if content.startswith((_GZIP, _ZIP)):
        content = _unzipped(content, path)
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: expected text in UTF-8, got the byte 0x{error.object[error.start]:02x} at "
            f"byte {error.start}; is it a CSV file? If so, save it as UTF-8"
        ) from error


def _unzipped(content: bytes, path: Path) -> bytes:
    """Return what a gzip stream, or an archive of one file, holds."""
    try:
        if content.startswith(_GZIP):
            return gzip.decompress(content)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [info for info in archive.infolist() if not _is_clutter(info)]
            if len(members) != 1:
                names = ", ".join(" ".join(info.filename.split()) for info in members)[:80]
                raise DataError(
                    f"{path}: expected an archive of one table, got {len(members)} files "
                    f"({names or 'none'}); unpack it and give one of them"
                )
            info = members[0]
            if info.file_size > MAX_INFLATION * min(info.compress_size, len(content)):
                raise ValueError(
                    f"it says {info.file_size:,} bytes, made of {info.compress_size:,}"
                )
            with archive.open(info) as stream:
                return stream.read(info.file_size + 1)
    except (DataError, MemoryError):
        raise
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        # NotImplementedError, of other methods of compression, is a RuntimeError.
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise DataError(
            f"{path}: expected a sound gzip stream or zip archive, got one that is damaged or "
            f"locked ({reason}); copy or download it again"
        ) from error


def _is_clutter(info: zipfile.ZipInfo) -> bool:
    """Return whether a member is a folder, or what macOS adds to archives."""
    return info.is_dir() or info.filename.startswith("__MACOSX/")
