"""Sources beside this file, compiled when a kernel of theirs is first launched, and what all launches share.

A source (`*.cu`) holds templates; `Source` says with which arguments the Python side
may ask for them, and these are all compiled together. Kernels count in 32 bits within
the images of one launch and in 64 bits between images, so a batch of any size is cut by
`batches`, and only an image that is too large by itself is refused. Arrays are handed
over as pointers, and must be contiguous; results are new, and operands that are not are
copied first.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinygrad_ckn.backend import Namespace
from tinygrad_ckn.errors import ShapeError

OPTIONS = ("-std=c++17",)
TYPES = {
    "float32": "float",
    "float64": "double",
}  # dtypes that kernels are made for, with their names in C++
# of a block
THREADS = 256
# bytes of shared memory that any device gives a block
SHARED_BYTES = 48 * 1024
# elements in one launch: what the last block counts to still fits 32 bits
MAX_ELEMENTS = 2**31 - THREADS
SOURCES: list[Source] = []


class Source:
    """A file of kernels, and the instantiations of them that may be asked for.

    Parameters
    ----------
    name
        Of the file, without `.cu`.
    kernels
        C++ names of kernels with their template arguments; `{T}` stands for each of the
        types.
    """

    def __init__(self, name: str, *kernels: str) -> None:
        self.name = name
        self.expressions = tuple(
            kernel.format(T=kind) for kernel in kernels for kind in TYPES.values()
        )
        SOURCES.append(self)

    @functools.cached_property
    def text(self) -> str:
        """The source."""
        return (Path(__file__).parent / f"{self.name}.cu").read_text()

    @functools.cache  # noqa: B019 (sources live as long as the process)
    def module(self, xp: Namespace) -> Any:
        """Return the compiled source."""
        return xp.RawModule(code=self.text, options=OPTIONS, name_expressions=self.expressions)

    def launch(
        self,
        xp: Namespace,
        kernel: str,
        blocks: int,
        *arguments: Any,
        threads: tuple[int, int] = (THREADS, 1),
        shared: int = 0,
    ) -> None:
        """Launch a kernel on a number of blocks, none if that is 0.

        Parameters
        ----------
        kernel
            As in `kernels`, `{T}` for the type of the first argument.
        arguments
            Contiguous arrays; int for `int` and float for `double` parameters.
        threads
            Of a block, (x, y).
        shared
            Bytes of dynamic shared memory.
        """
        if not blocks:
            return
        typed = [
            xp.int32(a) if isinstance(a, int) else xp.float64(a) if isinstance(a, float) else a
            for a in arguments
        ]
        expression = kernel.format(T=TYPES[arguments[0].dtype.name])
        self.module(xp).get_function(expression)(
            (blocks,), threads, tuple(typed), shared_mem=shared
        )


def supported(*arrays: Any) -> bool:
    """Tell whether there are kernels for these arrays (None: not given), which are to be of one dtype."""
    dtypes = {array.dtype.name for array in arrays if array is not None}
    return len(dtypes) == 1 and dtypes <= TYPES.keys()


def block_count(count: int, size: int = THREADS) -> int:
    """Return how many blocks cover so many elements."""
    return -(-count // size)


def batch_slices(op: str, images: int, elements: int) -> Iterator[slice]:
    """Cut a batch of images of so many elements each into parts for one launch.

    Raises
    ------
    ShapeError
        If one image has too many by itself.
    """
    if elements > MAX_ELEMENTS:
        raise ShapeError(
            f"{op}: expected images of at most {MAX_ELEMENTS} elements on the GPU, got {elements} in one; cut the images"
        )
    step = max(1, MAX_ELEMENTS // max(1, elements))
    return (slice(i, i + step) for i in range(0, images, step))


def threads_per_row(count: int) -> int:
    """Return how many neighbouring threads take a row of so many elements: 4, 8, 16 or 32."""
    return next((n for n in (4, 8, 16) if n >= count), 32)


def row_pitch(row: int, wide: int) -> int:
    """Return at what distance rows lie in shared memory, so that rows read by one warp, `wide` lanes each, follow on.

    A warp has 32 lanes, and shared memory 32 banks: rows at a distance of `wide` more
    than a multiple of 32 lie in banks of their own.
    """
    return row + (wide - row) % 32
