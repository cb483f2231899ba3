"""A check of MATLAB files of version 5 to 7 before SciPy reads numbers from them.

SciPy looks up the type of the numbers in a table without checking the code, and ends the
process where a damaged file has another one. A file is a header of 128 bytes and
elements, each a tag of a type and a number of bytes, and its content; an element of at
most 4 bytes may hold them inside its tag. An array is an element of elements: flags,
shape, name and numbers, as a whole compressed by zlib or not. Source:
https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf ("Level 5 MAT-File
Format").
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from pathlib import Path

_HEADER = 128
_ORDERS = {b"IM": "<", b"MI": ">"}
# Types of elements: flags, a compressed array, numbers.
_FLAGS, _COMPRESSED = 6, 15
_NUMBERS = frozenset([1, 2, 3, 4, 5, 6, 7, 9, 12, 13])
# Bits of the flags: the class of an array, and whether it is complex; and numeric classes.
_CLASS, _COMPLEX = 0xFF, 0x800
_NUMERIC = range(6, 16)
# Bytes of an array within which its numbers start, if its name is short.
_START = 1024


def check_numbers(path: Path, names: Collection[str]) -> None:
    """Raise a ValueError or zlib.error unless some arrays of a file are of real numbers.

    Parameters
    ----------
    path : Path
        A file whose arrays SciPy lists.
    names : Collection[str]
        The arrays, at least one of whose numbers will be read.
    """
    with path.open("rb") as stream:
        order = _ORDERS.get(stream.read(_HEADER)[-2:])
        if order is None:
            raise ValueError("its byte order is not given")
        while len(tag := stream.read(8)) == 8:
            kind, size = struct.unpack(f"{order}II", tag)
            end = stream.tell() + size
            start = stream.read(min(size, _START))
            if kind == _COMPRESSED:
                # Begins with the tag of the array.
                start = zlib.decompressobj().decompress(start, _START)[8:]
            _check_array(start, order, names)
            stream.seek(end)


def _check_array(start: bytes, order: str, names: Collection[str]) -> None:
    """Raise a ValueError for the start of an array of these names without real numbers."""
    (kind, flags), _, (_, name), (numbers, _) = _elements(start, order)
    if (kind, len(flags)) != (_FLAGS, 8):
        raise ValueError("an array does not start with its flags")
    (word,) = struct.unpack(f"{order}I", flags[:4])
    if word & _CLASS not in _NUMERIC or name.decode("latin1") not in names:
        return
    if word & _COMPLEX or numbers not in _NUMBERS:
        raise ValueError(f"an array has numbers of another type than reals ({numbers})")


def _elements(start: bytes, order: str) -> list[tuple[int, bytes]]:
    """Return types and contents of the first four elements, the last cut off."""
    elements = []
    position = 0
    for _ in range(4):
        tag = start[position : position + 8].ljust(8, b"\0")
        kind, size = struct.unpack(f"{order}II", tag)
        if kind >> 16:
            # A small element: its size comes before its type.
            size, kind = kind >> 16, kind & 0xFFFF
            elements.append((kind, tag[4 : 4 + size]))
            position += 8
        else:
            elements.append((kind, start[position + 8 : position + 8 + size]))
            position += 8 + size + -size % 8
    return elements
