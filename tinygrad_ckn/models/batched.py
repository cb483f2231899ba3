"""Images to features, block by block: in memory, in a file, or in a temporary file where they are too many."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tinygrad_ckn.backend import (
    CPU,
    Namespace,
    Shape,
    asarray,
    backend_of,
    is_array,
    is_whole,
    xp_of,
)
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.files import replacing
from tinygrad_ckn.grad_mode import evaluation, no_grad
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.checks import check_finite, check_results
from tinygrad_ckn.models.learning.patches import blocks
from tinygrad_ckn.profiling import record_function

if TYPE_CHECKING:
    from tinygrad_ckn.models.network import Network

# bytes of features that are kept in memory; more go to a file
MEMORY = 2**33


@record_function("blocks of images")
def map_batches(
    model: Network,
    function: Callable[[Any], Any],
    images: Any,
    shape: Shape,
    out: Any = None,
    batch_size: int | None = None,
) -> Any:
    """Fill an array or a file with what a function of a model makes of images, some at a time, without recording.

    Parameters
    ----------
    model
        Computes as in eval mode, whatever its mode is; it is not changed.
    function
        Makes (n, *shape) of n images on the model's device.
    images
        (N, C, H, W), such as the function takes.
    shape
        Of the result for an image; it has the model's dtype.
    out
        An array (N, *shape), the path of an .npy file, which is written anew, or None
        for an array where images are.
    batch_size
        Images at a time; None: by the size of the maps.

    Returns
    -------
    array
        (N, *shape): `out`, or the file's content, memory-mapped, or a new array.

    Raises
    ------
    ConfigError
        If batch_size is not an integer of at least 1.
    ShapeError
        If `out` is an array of another shape or dtype.
    DataError
        If there is NaN or infinity in the images, or in what comes of them.
    """
    if batch_size is not None and not is_whole(batch_size, 1):
        raise ConfigError(
            f"encode: argument batch_size expected an integer >= 1 or None, got {batch_size!r}"
        )
    array = unwrap(images)
    here = backend_of(array).device == model.device
    cuts = (
        blocks(len(array), model.largest_intermediate())
        if batch_size is None
        else blocks(len(array), 1, batch_size)
    )

    def compute(block: slice) -> Any:
        check_finite(type(model).__name__, array[block], block.start)
        found = unwrap(
            function(array[block] if here else asarray(array[block], device=model.device))
        )
        check_results(type(model).__name__, found, block.start)
        return found

    with no_grad(), evaluation():
        return _filled(out, compute, xp_of(array), (len(array), *shape), model.dtype, cuts)


def _filled(
    out: Any,
    compute: Callable[[slice], Any],
    xp: Namespace,
    shape: Shape,
    dtype: str,
    cuts: Iterable[slice],
) -> Any:
    """Return `out`, or what it stands for, filled."""
    if isinstance(out, str | os.PathLike):
        return _into_file(compute, shape, dtype, Path(out), cuts)
    y = xp.empty(shape, dtype=dtype) if out is None else out
    if not (is_array(y) or isinstance(y, CPU.xp.ndarray)) or y.shape != shape or y.dtype != dtype:
        got = f"{y.dtype} of shape {y.shape}" if hasattr(y, "dtype") else type(y).__name__
        raise ShapeError(
            f"encode: argument out expected a path or an array of shape {shape}, {dtype}, got {got}"
        )
    _fill(y, compute, cuts)
    return y


def _fill(y: Any, compute: Callable[[slice], Any], cuts: Iterable[slice]) -> None:
    device = backend_of(y).device
    for block in cuts:
        found = compute(block)
        y[block] = found if backend_of(found).device == device else asarray(found, device=device)


def _into_file(
    compute: Callable[[slice], Any], shape: Shape, dtype: str, path: Path, cuts: Iterable[slice]
) -> Any:
    """Write an .npy file; if something fails on the way, a file that was there before is untouched."""
    if not shape[0]:
        raise ShapeError(f"encode: expected at least one image to write to {path}, got none")
    npy = CPU.xp.lib.format
    with replacing(path) as stream:
        npy.write_array_header_1_0(
            stream,
            {
                "descr": npy.dtype_to_descr(CPU.xp.dtype(dtype)),
                "fortran_order": False,
                "shape": shape,
            },
        )
        y = _mapped(stream, dtype, shape, stream.tell())
        _fill(y, compute, cuts)
        y.flush()
        # Some systems do not rename a file that is mapped.
        del y
    return npy.open_memmap(path, mode="r+")


def _mapped(stream: IO[bytes], dtype: str, shape: Shape, offset: int = 0) -> Any:
    """Return an array in a file, whose room is taken at once: a full disk is an error here, not a crash later."""
    stream.flush()
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(
            stream.fileno(), 0, offset + math.prod(shape) * CPU.xp.dtype(dtype).itemsize
        )
    return CPU.xp.memmap(stream, dtype=dtype, mode="r+", offset=offset, shape=shape)


def allocate(shape: Shape, dtype: str, memory: int, images: Any) -> Any:
    """Return an array for features: where images are, or, of host images, beyond so many bytes in a temporary file.

    The file has no name, or loses it when the array is given up; it lies where
    `tempfile.gettempdir()` says.
    """
    if backend_of(images) is not CPU or math.prod(shape) * CPU.xp.dtype(dtype).itemsize <= memory:
        return xp_of(images).empty(shape, dtype=dtype)
    with tempfile.TemporaryFile() as file:
        return _mapped(file, dtype, shape)
