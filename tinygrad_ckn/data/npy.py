"""Reader of NumPy's .npy and .npz formats, with bounded memory.

Unlike `numpy.load`, it does not trust the size in a header, never unpickles, and raises
one kind of error. Source:
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tinygrad_ckn.backend import Shape
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.lazy_images import LazyImages
from tinygrad_ckn.stored_rows import StoredRows

# Maximum number of bytes that deflate can make of one.
MAX_INFLATION = 1032
_COMPRESSION = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: MAX_INFLATION}
# Bytes within which a header ends; NumPy accepts at most 10,000 characters.
_HEADER_SIZE = 16_384
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npy(path: Path, reading: Reading | None = None) -> NDArray[Any]:
    """Return the array of an .npy file; errors are those of `read_npz`.

    With a reading, images that take too much memory are returned as LazyImages, unless
    they are in Fortran order. To type checkers the result is an array.
    """
    with path.open("rb") as stream:
        try:
            if zipfile.is_zipfile(stream):
                raise DataError(
                    f"{path}: expected a single array in NumPy's .npy format, got an archive; name "
                    "it .npz"
                )
            stream.seek(0)
            size = path.stat().st_size
            if reading is not None:
                lazy = _lazy(path, size, stream, reading)
                if lazy is not None:
                    return lazy
                stream.seek(0)
            return _array(stream, size)
        except (DataError, MemoryError):
            raise
        except Exception as error:
            # Parsers raise many kinds of errors for arbitrary bytes.
            raise _unreadable(path, "a numeric array in NumPy's .npy format", error) from error


def read_npz(
    path: Path, required: Iterable[str], optional: Iterable[str] = ()
) -> dict[str, NDArray[Any]]:
    """Return the named arrays of an archive; optional ones if they exist.

    Raises
    ------
    DataError
        For a damaged file, an array of objects, or a missing array.
    """
    start = _start(path)
    members: dict[str, zipfile.ZipInfo] = {}
    arrays: dict[str, NDArray[Any]] = {}
    # A single array has no names.
    if start != npy.MAGIC_PREFIX:
        try:
            if not start.startswith(b"PK"):
                raise ValueError(f"it begins with 0x{start.hex()}")
            with zipfile.ZipFile(path) as archive:
                members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
                chosen = [key for key in (*required, *optional) if key in members]
                arrays = {
                    key: _member(archive, members[key], path.stat().st_size) for key in chosen
                }
        except MemoryError:
            raise
        except Exception as error:
            raise _unreadable(path, "an .npz archive of numeric arrays", error) from error
    for key in required:
        if key not in arrays:
            got = ", ".join(" ".join(name.split()) for name in members) or "no named array"
            raise DataError(
                f"{path}: expected an array named {key!r}, got {got}; store it with "
                f"np.savez({key}=...)"
            )
    return arrays


def names_in(path: Path) -> set[str]:
    """Return the names of the arrays of an archive; none if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except Exception:
        # `read_npz` says what is wrong.
        return set()


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> NDArray[Any]:
    """Return the array of a member of an archive of `size` bytes."""
    if info.compress_type not in _COMPRESSION:
        raise ValueError(f"{info.filename} is compressed by a method that NumPy does not use")
    inflation = _COMPRESSION[info.compress_type]
    max_bytes = min(info.file_size, inflation * min(info.compress_size, size))
    with cast(io.BufferedIOBase, archive.open(info)) as stream:
        return _array(stream, max_bytes)


def _lazy(path: Path, size: int, stream: io.BufferedIOBase, reading: Reading) -> Any:
    """Return the LazyImages of a file, None if they are to be read into memory."""
    head = io.BytesIO(stream.read(_HEADER_SIZE))
    shape, fortran_order, dtype = _header(head, size)
    rows = len(shape) in (2, 3, 4) and not fortran_order and reading.is_large(shape)
    if not rows or head.tell() + math.prod(shape) * dtype.itemsize != size:
        return None
    return LazyImages(StoredRows.of_file(path, shape, dtype, head.tell()), reading.memory_limit)


def _header(head: io.BytesIO, max_bytes: int) -> tuple[Shape, bool, np.dtype[Any]]:
    """Return shape, order and dtype of an array of at most `max_bytes` bytes."""
    version = npy.read_magic(head)
    if version not in _HEADERS:
        raise ValueError(f"format version {version} is for arrays with named fields")
    shape, fortran_order, dtype = _HEADERS[version](head)
    if dtype.kind not in "biufcSU" or not dtype.itemsize:
        raise ValueError(f"it holds {dtype}, not numbers or strings")
    if not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"it says shape {shape}")
    count = math.prod(shape) * dtype.itemsize
    if count > max_bytes:
        raise ValueError(
            f"it says {count:,} bytes of shape {shape} and has no more than {max_bytes:,}"
        )
    return shape, fortran_order, dtype


def _array(stream: io.BufferedIOBase, max_bytes: int) -> NDArray[Any]:
    """Return the array of a stream of at most `max_bytes` bytes."""
    head = io.BytesIO(stream.read(_HEADER_SIZE))
    shape, fortran_order, dtype = _header(head, max_bytes)
    count = math.prod(shape) * dtype.itemsize
    content = np.empty(count, np.uint8)
    filled = head.readinto(content.data)
    while filled < count:
        got = stream.readinto(content.data[filled:])
        if not got:
            break
        filled += got
    if filled < count or head.read(1) or stream.read(1):
        # Reading to the end also compares the checksum of an archive.
        raise ValueError(
            f"it says {count:,} bytes of shape {shape} and has "
            f"{'less' if filled < count else 'more'}"
        )
    return content.view(dtype).reshape(shape, order="F" if fortran_order else "C")


def _start(path: Path) -> bytes:
    """Return the first bytes of a file."""
    with path.open("rb") as stream:
        return stream.read(len(npy.MAGIC_PREFIX))


def _unreadable(path: Path, expected: str, error: Exception) -> DataError:
    """Return the error for a file that cannot be read without pickle."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(
        f"{path}: expected {expected}, got one that is damaged or needs pickle, which is never "
        f"used ({reason}); store plain numeric arrays"
    )
