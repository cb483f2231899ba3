"""Computing images in batches, into an array or a file.

Everything here works on arrays; `Network` knows which function to apply.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

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
    xp_of,
)
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.files import PathLike, replacing

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
    y = xp.empty(shape, dtype=dtype) if out is None else out
    if not (is_array(y) or isinstance(y, np.ndarray)) or y.shape != shape or y.dtype != dtype:
        got = f"{y.dtype} of shape {y.shape}" if hasattr(y, "dtype") else type(y).__name__
        raise ShapeError(
            f"encode: argument out expected a path or an array of shape {shape}, {dtype}, got {got}"
        )
    _fill(y, compute, batches)
    return y


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
        y = _memory_map(stream, dtype, shape, stream.tell())
        _fill(y, compute, batches)
        y.flush()
        # Some systems do not rename a file that is mapped.
        del y
    return npy.open_memmap(path, mode="r+")


def _memory_map(
    stream: IO[bytes], dtype: str, shape: Shape, offset: int = 0
) -> np.memmap[Any, Any]:
    """Return an array in a file, reserving its space so that a full disk fails here."""
    stream.flush()
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(stream.fileno(), 0, offset + math.prod(shape) * np.dtype(dtype).itemsize)
    return np.memmap(stream, dtype=dtype, mode="r+", offset=offset, shape=shape)


def allocate(shape: Shape, dtype: str, memory: int, images: Images) -> NDArray[Any]:
    """Return an uninitialised array on the device of the images.

    Beyond `memory` bytes an array on the host is mapped from a temporary file, which lies
    in `tempfile.gettempdir()` and vanishes with the array.
    """
    if backend_of(images) is not CPU or math.prod(shape) * np.dtype(dtype).itemsize <= memory:
        return xp_of(images).empty(shape, dtype=dtype)
    with tempfile.TemporaryFile() as file:
        return _memory_map(file, dtype, shape)
