"""Computing images in batches, into an array or a file.

Everything here works on arrays; `Network` knows which function to apply.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_ckn.backend import (
    CPU,
    Images,
    Namespace,
    NDArray,
    Shape,
    asarray,
    backend_of,
    is_array,
    use,
    xp_of,
)
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.files import PathLike, replacing
from tinygrad_ckn.lazy_images import is_lazy, room
from tinygrad_ckn.stored_rows import StoredRows, reserve, reserve_temporary

# Bytes of features or patches held in memory; more go to a file.
MEMORY = 2**33


def image_blocks(n: int, elements: int, limit: int = 2**24) -> Iterator[slice]:
    """Cut n images into slices whose largest intermediate array has at most `limit` elements.

    `elements` is the size of that array for one image; a slice has at least one image.
    """
    return slices(n, max(1, limit // max(1, elements)))


def map_batches(
    compute: Callable[[slice], NDArray[Any]],
    batches: Iterable[slice],
    shape: Shape,
    dtype: str,
    *,
    xp: Namespace,
    out: NDArray[Any] | PathLike | None = None,
) -> NDArray[Any]:
    """Return an array filled with compute(batch) for each batch of its first axis.

    Parameters
    ----------
    compute : callable
        Returns the rows of the result for a slice, on any device.
    batches : iterable of slice
        Slices that cover the first axis.
    shape, dtype
        Of the result.
    xp : namespace
        Where a new array is allocated.
    out : array, path or None, default None
        An array to fill, the path of an .npy file to write, or None: a new array.

    Returns
    -------
    array
        `out`, the file's content (memory-mapped), or a new array.

    Raises
    ------
    ShapeError
        If `out` is an array of another shape or dtype.
    """
    if isinstance(out, str | os.PathLike):
        return _fill_file(compute, batches, shape, dtype, Path(out))
    y: Any = xp.empty(shape, dtype=dtype) if out is None else out
    if not _holds_rows(y) or y.shape != shape or y.dtype != dtype:
        got = f"{y.dtype} of shape {y.shape}" if hasattr(y, "dtype") else type(y).__name__
        raise ShapeError(
            f"encode: argument out expected a path or an array of shape {shape}, {dtype}, got {got}"
        )
    _fill(y, compute, batches)
    return y


def _holds_rows(y: object) -> bool:
    """Return whether results can be written into something by slices of rows."""
    return is_array(y) or isinstance(y, np.ndarray | StoredRows)


def _fill(
    y: NDArray[Any], compute: Callable[[slice], NDArray[Any]], batches: Iterable[slice]
) -> None:
    device = backend_of(y).device
    for batch in batches:
        rows = compute(batch)
        y[batch] = rows if backend_of(rows).device == device else asarray(rows, device=device)


def _fill_file(
    compute: Callable[[slice], NDArray[Any]],
    batches: Iterable[slice],
    shape: Shape,
    dtype: str,
    path: Path,
) -> NDArray[Any]:
    """Write an .npy file; a failure leaves an earlier file of that name untouched."""
    if not shape[0]:
        raise ShapeError(f"encode: expected at least one image to write to {path}, got none")
    npy = np.lib.format
    header = {"descr": npy.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with replacing(path) as stream:
        npy.write_array_header_1_0(stream, header)
        stream.flush()
        offset = stream.tell()
        size = math.prod(shape) * np.dtype(dtype).itemsize
        reserve(stream.fileno(), offset + size)
        y: Any = StoredRows(os.dup(stream.fileno()), shape, dtype, offset)
        _fill(y, compute, batches)
        # Some systems do not rename a file that is open.
        del y
    return npy.open_memmap(path, mode="r+")


def on_device(images: NDArray[Any], device: str) -> NDArray[Any]:
    """Return a copy of images (n, C, H, W) on a device; lazy ones are copied in blocks."""
    if not is_lazy(images):
        copy: NDArray[Any] = asarray(images, device=device)
        return copy
    y: NDArray[Any] = use(device).xp.empty(images.shape, dtype=images.dtype)
    for block in images.blocks():
        y[block] = asarray(images[block], device=device)
    return y


def allocate(shape: Shape, dtype: str, memory: int, images: Images) -> NDArray[Any]:
    """Return an uninitialised array on the device of the images.

    Beyond `memory` bytes an array on the host is mapped from a temporary file, which lies
    in `tempfile.gettempdir()` and vanishes with the array.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if backend_of(images) is not CPU or size <= memory:
        return xp_of(images).empty(shape, dtype=dtype)
    with tempfile.TemporaryFile() as file:
        reserve_temporary(file.fileno(), size, "allocate")
        return np.memmap(file, dtype=dtype, mode="r+", shape=shape)


def allocate_rows(shape: Shape, dtype: str, memory: int, images: Images) -> NDArray[Any]:
    """Return an uninitialised array for results of images, on their device.

    Beyond `memory` bytes, or the memory that lazy images allow, one on the host lies in a
    temporary file as StoredRows, of which only what is asked for is read into memory.
    """
    if backend_of(images) is not CPU:
        return xp_of(images).empty(shape, dtype=dtype)
    limit = min(memory, images.memory) if is_lazy(images) else memory
    return room(shape, dtype, limit, "features")
