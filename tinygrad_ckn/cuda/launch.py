"""CUDA sources, compiled when one of their kernels is first launched, and launch helpers.

A source (`*.cu` in this folder) contains templates. `Source` lists the instantiations
that the Python side may launch, and all of them are compiled together. Kernels count in
32 bits within one launch, so `batch_slices` cuts a batch of any size into launches, and
only a single image that is too large is refused. Arrays are passed as pointers and must
be contiguous: other operands are copied first, and results are always new.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.errors import ShapeError

if TYPE_CHECKING:
    from cupy import RawModule

OPTIONS = ("-std=c++17",)
# supported dtypes and their names in C++
TYPES = {"float32": "float", "float64": "double"}
# threads of a block
THREADS = 256
# bytes of shared memory that every device offers a block
SHARED_BYTES = 48 * 1024
# Maximum number of elements in a launch: the indices of its last block still fit 32 bits.
MAX_ELEMENTS = 2**31 - THREADS
SOURCES: list[Source] = []


class Source:
    """A file of kernels and the instantiations that may be launched.

    Parameters
    ----------
    name
        Name of the file without `.cu`.
    kernels
        C++ names of kernels with their template arguments; `{T}` stands for each type.
    """

    def __init__(self, name: str, *kernels: str) -> None:
        self.name = name
        self.expressions = tuple(
            kernel.format(T=kind) for kernel in kernels for kind in TYPES.values()
        )
        SOURCES.append(self)

    @functools.cached_property
    def text(self) -> str:
        """The source code."""
        return (Path(__file__).parent / f"{self.name}.cu").read_text()

    @functools.cache  # noqa: B019 (sources live as long as the process)
    def module(self, xp: Namespace) -> RawModule:
        """Return the compiled module, a `cupy.RawModule`."""
        return xp.RawModule(code=self.text, options=OPTIONS, name_expressions=self.expressions)

    def launch(
        self,
        xp: Namespace,
        kernel: str,
        blocks: int,
        array: Array,
        *arguments: Array | int | float,
        threads: tuple[int, int] = (THREADS, 1),
        shared: int = 0,
    ) -> None:
        """Launch a kernel.

        Parameters
        ----------
        xp
            CuPy.
        kernel
            One of the `kernels`; `{T}` stands for the type of `array`.
        blocks
            Number of blocks; for 0 nothing is launched.
        array
            First argument of the kernel, a contiguous array.
        *arguments
            Other arguments: contiguous arrays; int for `int` and float for `double`.
        threads
            Threads of a block, (x, y).
        shared
            Bytes of dynamic shared memory.
        """
        if not blocks:
            return
        typed = [
            xp.int32(a) if isinstance(a, int) else xp.float64(a) if isinstance(a, float) else a
            for a in (array, *arguments)
        ]
        expression = kernel.format(T=TYPES[array.dtype.name])
        self.module(xp).get_function(expression)(
            (blocks,), threads, tuple(typed), shared_mem=shared
        )


def supported(*arrays: Array | None) -> bool:
    """Return whether there are kernels for these arrays: all float32 or all float64.

    None stands for an optional operand that was left out.
    """
    dtypes = {array.dtype.name for array in arrays if array is not None}
    return len(dtypes) == 1 and dtypes <= TYPES.keys()


def block_count(count: int, size: int = THREADS) -> int:
    """Return the number of blocks of `size` elements that cover `count` elements."""
    return -(-count // size)


def batch_slices(op: str, images: int, elements: int) -> Iterator[slice]:
    """Cut a batch of images with `elements` elements each into parts for one launch.

    Raises
    ------
    ShapeError
        If a single image has more than MAX_ELEMENTS.
    """
    if elements > MAX_ELEMENTS:
        raise ShapeError(
            f"{op}: expected images of at most {MAX_ELEMENTS} elements on the GPU, "
            f"got {elements} in one; cut the images"
        )
    return slices(images, max(1, MAX_ELEMENTS // max(1, elements)))


def threads_per_row(count: int) -> int:
    """Return how many neighbouring threads share a row of `count` elements: 4 to 32."""
    return next((n for n in (4, 8, 16) if n >= count), 32)


def row_pitch(row: int, wide: int) -> int:
    """Return the pitch of rows in shared memory that avoids bank conflicts.

    `wide` lanes of a warp read each row. A warp has 32 lanes and shared memory 32
    banks, so rows whose pitch is `wide` plus a multiple of 32 use distinct banks.
    """
    return row + (wide - row) % 32
