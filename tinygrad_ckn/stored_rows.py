"""Arrays in files, whose rows are in memory only while they are used.

The pages of a mapped file count as memory of the process until the system takes them
back. So rows are read and written by system calls, each into memory of its own.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
import threading
import weakref
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tinygrad_ckn.backend import DType, Shape, register_host
from tinygrad_ckn.errors import DataError, OpIndexError, StorageError
from tinygrad_ckn.files import PathLike

# Where the system cannot read at an offset, threads take turns to move the file's position.
_position = threading.Lock()
_READ_ONLY = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class StoredRows:
    """An array (n, ...) in a file: `rows[slice or indices]` reads rows into memory.

    Rows of a temporary file can be written: `rows[slice] = values`. Threads may read and
    write at the same time.

    Parameters
    ----------
    descriptor
        The open file, closed together with this object.
    shape, dtype
        Of the array, in C order.
    offset
        Byte at which it begins.
    path
        Of a file that must not change while it is read; None: a temporary file.

    Examples
    --------
    >>> rows = StoredRows.temporary((4, 2), "float32", "an example")
    >>> rows[1:3] = np.array([[1, 2], [3, 4]])
    >>> rows[np.array([2, 1])]
    array([[3., 4.],
           [1., 2.]], dtype=float32)
    """

    def __init__(
        self,
        descriptor: int,
        shape: Shape,
        dtype: DTypeLike,
        offset: int = 0,
        path: Path | None = None,
    ) -> None:
        self.shape = shape
        self.dtype: DType = np.dtype(dtype)
        self.offset = offset
        self.path = path
        self.row_bytes = math.prod(shape[1:]) * self.dtype.itemsize
        self._descriptor = descriptor
        self._version = self._present_version()
        weakref.finalize(self, os.close, descriptor)

    @classmethod
    def temporary(cls, shape: Shape, dtype: DTypeLike, purpose: str) -> Self:
        """Return an array in a temporary file, which vanishes with it.

        The file lies in `tempfile.gettempdir()`, and its space is reserved.

        Raises
        ------
        StorageError
            If there is not enough space; `purpose` says what for.
        """
        with tempfile.TemporaryFile() as file:
            size = math.prod(shape) * np.dtype(dtype).itemsize
            reserve_temporary(file.fileno(), size, purpose)
            return cls(os.dup(file.fileno()), shape, dtype)

    @classmethod
    def of_file(cls, path: PathLike, shape: Shape, dtype: DTypeLike, offset: int) -> Self:
        """Return an array in an existing file, to be read only.

        Raises
        ------
        DataError
            When rows are read, if the file was changed or cut off since.
        """
        return cls(os.open(path, _READ_ONLY), shape, dtype, offset, Path(path))

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def itemsize(self) -> int:
        """The bytes of an element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of the array in the file."""
        return self.shape[0] * self.row_bytes

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        where = "a temporary file" if self.path is None else str(self.path)
        return f"StoredRows({self.shape}, {self.dtype}, in {where})"

    def __getitem__(self, rows: slice | NDArray[Any]) -> NDArray[Any]:
        """Return rows as a new array: those of a slice, or of indices or booleans (n,)."""
        return self.read(indices_of(rows, len(self)))

    def __setitem__(self, rows: slice, values: NDArray[Any]) -> None:
        """Write consecutive rows."""
        start, stop, _ = rows.indices(len(self))
        new: NDArray[Any] = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
        new[...] = values
        at = self.offset + start * self.row_bytes
        view = new.reshape(-1).view(np.uint8).data
        while view:
            written = _write_at(self._descriptor, view, at)
            at += written
            view = view[written:]

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Return the rows with the given indices, 0 .. n - 1, in their order."""
        rows: NDArray[Any] = np.empty((len(indices), *self.shape[1:]), self.dtype)
        if not rows.size:
            return rows
        if self._version != self._present_version():
            raise DataError(
                f"{self.path}: expected a file that does not change while it is in use, got one "
                "written to since it was opened; start again, or copy it first"
            )
        content = rows.reshape(-1).view(np.uint8).data
        # Consecutive rows are read together.
        breaks = np.flatnonzero(np.diff(indices) != 1) + 1
        bounds = [0, *breaks.tolist(), len(indices)]
        for start, stop in pairwise(bounds):
            at = self.offset + int(indices[start]) * self.row_bytes
            self._fill(content[start * self.row_bytes : stop * self.row_bytes], at)
        return rows

    def _fill(self, view: memoryview, at: int) -> None:
        """Fill a view with the bytes from an offset on."""
        while view:
            count = _read_at(self._descriptor, view, at)
            if not count:
                raise DataError(
                    f"{self.path or 'a temporary file'}: expected {len(view):,} bytes more at byte "
                    f"{at:,}, got the end of the file; copy it again"
                )
            at += count
            view = view[count:]

    def _present_version(self) -> tuple[int, int] | None:
        """Return size and time of the last change of the file, None for a temporary one."""
        if self.path is None:
            return None
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns


register_host(StoredRows)


def indices_of(rows: slice | NDArray[Any], n: int) -> NDArray[np.intp]:
    """Return the rows of a slice, integers or booleans (n,) as indices 0 .. n - 1.

    Examples
    --------
    >>> indices_of(slice(1, None), 3), indices_of(np.array([-1, 0]), 3)
    (array([1, 2]), array([2, 0]))
    """
    if isinstance(rows, slice):
        return np.arange(*rows.indices(n))
    if rows.dtype.kind == "b" and rows.shape == (n,):
        return np.flatnonzero(rows)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or ((rows < -n) | (rows >= n)).any():
        raise OpIndexError(
            f"expected a slice, or indices or booleans (n,) of n = {n} rows, got "
            f"{str(rows.tolist())[:60]}"
        )
    indices = rows.astype(np.intp, copy=False)
    return np.where(indices < 0, indices + n, indices)


def reserve(descriptor: int, size: int) -> None:
    """Reserve bytes for a file, so that a full disk is noticed at the start.

    Raises
    ------
    OSError
        If the disk has not as many.
    """
    if hasattr(os, "posix_fallocate") and size:
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.truncate(descriptor, size)


def reserve_temporary(descriptor: int, size: int, purpose: str) -> None:
    """Reserve bytes for a temporary file in `tempfile.gettempdir()`.

    Raises
    ------
    StorageError
        If the disk has not as many; `purpose` begins its message.
    """
    try:
        reserve(descriptor, size)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        folder = tempfile.gettempdir()
        free = shutil.disk_usage(folder).free
        raise StorageError(
            f"{purpose}: expected {size / 2**30:,.1f} GiB for a temporary file in {folder}, got "
            f"{free / 2**30:,.1f} GiB free; set the environment variable TMPDIR to a folder on a "
            "larger disk, or allow more memory (argument memory)"
        ) from error


def _read_at(descriptor: int, view: memoryview, at: int) -> int:
    """Read bytes at an offset into a view; return how many, 0 at the end of the file."""
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [view], at)
    with _position:
        os.lseek(descriptor, at, os.SEEK_SET)
        content = os.read(descriptor, len(view))
    view[: len(content)] = content
    return len(content)


def _write_at(descriptor: int, view: memoryview, at: int) -> int:
    """Write bytes at an offset; return how many."""
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, view, at)
    with _position:
        os.lseek(descriptor, at, os.SEEK_SET)
        return os.write(descriptor, view)
