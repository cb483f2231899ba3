"""Images that are read when asked for, because all of them would not fit into memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import DType, Shape, register_host
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.memory import usable_bytes
from tinygrad_ckn.stored_rows import StoredRows, indices_of

# Bytes that are read at a time where all images are gone through.
_BLOCK_BYTES = 2**22
# Share of the usable memory that all images of a data set may take, unless the user says.
_SHARE = 4


class Source(Protocol):
    """A reader of images by their numbers: a file, a folder of pictures, a computation."""

    @property
    def shape(self) -> Shape:
        """The shape (n, ...) of all images."""
        ...

    @property
    def dtype(self) -> DType:
        """The dtype of the pixels."""
        ...

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Return the images with the given indices as an array (len(indices), ...)."""
        ...


class LazyImages:
    """Images (n, C, H, W) that are read when indexed, in place of an array of them.

    Indexing by a slice, an integer, or an array of integers or booleans returns a new
    C-contiguous NumPy array, as indexing an array does. `take` returns fewer images
    without reading them. `numpy.asarray` reads all.

    Parameters
    ----------
    source
        Reads images.
    memory
        Bytes that an array made for all images, such as their features, may take in
        memory; larger ones lie in a temporary file.
    indices
        The images of the source that these are, (n,). None: all.

    Examples
    --------
    >>> rows = StoredRows.temporary((4, 1, 1, 2), "float32", "an example")
    >>> rows[:] = np.arange(8).reshape(4, 1, 1, 2)
    >>> images = LazyImages(rows, memory=2**20)
    >>> images.shape, images[1:3, 0, 0].tolist()
    ((4, 1, 1, 2), [[2.0, 3.0], [4.0, 5.0]])
    >>> images.take(np.array([3, 0]))[:, 0, 0].tolist()
    [[6.0, 7.0], [0.0, 1.0]]
    """

    def __init__(
        self, source: Source, memory: int, indices: NDArray[np.integer[Any]] | None = None
    ) -> None:
        self.source = source
        self.memory = memory
        self.indices = indices
        n = source.shape[0] if indices is None else len(indices)
        self.shape: Shape = (n, *source.shape[1:])
        self.dtype: DType = np.dtype(source.dtype)
        # Results of `of_each`, so that files are not read again for them.
        self._known: dict[Callable[[NDArray[Any]], NDArray[Any]], NDArray[Any]] = {}

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of pixels of all images."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of an array of all images."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"LazyImages({self.shape}, {self.dtype})"

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for block in self.blocks():
            yield from self[block]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        if isinstance(key, tuple):
            first, *rest = key
            one = isinstance(first, int | np.integer)
            return self[first][(*rest,) if one else (slice(None), *rest)]
        if isinstance(key, int | np.integer):
            image: NDArray[Any] = self[np.array([key])][0]
            return image
        rows = key if isinstance(key, slice) else np.asarray(key, None if len(key) else np.intp)
        chosen = indices_of(rows, len(self))
        return self.source.read(chosen if self.indices is None else self.indices[chosen])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    def take(self, rows: NDArray[Any]) -> LazyImages:
        """Return the images with the given indices, without reading them."""
        chosen = indices_of(rows, len(self))
        indices = chosen if self.indices is None else self.indices[chosen]
        images = LazyImages(self.source, self.memory, indices)
        images._known = {measure: values[chosen] for measure, values in self._known.items()}
        return images

    def map(
        self,
        function: Callable[[NDArray[Any], NDArray[np.integer[Any]]], NDArray[Any]],
        shape: Shape,
        dtype: DTypeLike,
    ) -> LazyImages:
        """Return images that are computed from these whenever they are read.

        Parameters
        ----------
        function
            Called as function(images, indices) with some images and their numbers among
            these; returns one result for each.
        shape, dtype
            Of the result for one image.
        """
        return LazyImages(_Mapped(self, function, shape, dtype), self.memory)

    def astype(self, dtype: DTypeLike) -> LazyImages:
        """Return these images in another dtype, converted when they are read."""
        return self.map(lambda images, _: images.astype(dtype), self.shape[1:], dtype)

    def min(self) -> Any:
        """Return the smallest pixel."""
        return self.of_each(_least).min()

    def max(self) -> Any:
        """Return the largest pixel."""
        return self.of_each(_greatest).max()

    def of_each(self, measure: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[Any]:
        """Return measure(images) for all images, read in blocks on all threads; kept.

        `measure` is a function of a module; it returns an array with a row for each image.
        """
        known = self._known.get(measure)
        if known is None:
            blocks = list(self.blocks())
            results: dict[int, NDArray[Any]] = {}

            def compute(block: slice) -> None:
                results[block.start] = measure(self[block])

            parallel.for_each(compute, blocks)
            parts = [results[block.start] for block in blocks] or [measure(self[:0])]
            self._known[measure] = known = np.concatenate(parts)
        return known

    def blocks(self) -> Iterator[slice]:
        """Return slices that cut the images into blocks of a few megabytes."""
        size = math.prod(self.shape[1:]) * max(4, self.dtype.itemsize)
        return slices(len(self), max(1, _BLOCK_BYTES // max(1, size)))

    def room(self, shape: Shape, dtype: DTypeLike, purpose: str) -> NDArray[Any]:
        """Return an uninitialised array, in memory or, beyond `memory` bytes, in a file.

        `rows[slice] = values` fills it; to type checkers it is an array. `purpose` begins
        the message of a StorageError.
        """
        return room(shape, dtype, self.memory, purpose)


register_host(LazyImages)


class _Mapped:
    """A function of images, computed when they are read."""

    def __init__(
        self,
        images: LazyImages,
        function: Callable[[NDArray[Any], NDArray[np.integer[Any]]], NDArray[Any]],
        shape: Shape,
        dtype: DTypeLike,
    ) -> None:
        self.images = images
        self.function = function
        self.shape: Shape = (len(images), *shape)
        self.dtype: DType = np.dtype(dtype)

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Return the function of some images."""
        return self.function(self.images[indices], indices)


def is_lazy(images: object) -> TypeGuard[LazyImages]:
    """Return whether images are read when indexed."""
    return isinstance(images, LazyImages)


def some_of(images: Any, rows: NDArray[Any]) -> Any:
    """Return the images with the given indices: of an array a copy, of lazy ones a view."""
    return images.take(rows) if is_lazy(images) else images[rows]


def as_lazy(rows: NDArray[Any], memory: int) -> NDArray[Any]:
    """Return what `room` made as images: those in a file as LazyImages, typed as an array."""
    stored: Any = rows
    lazy: Any = LazyImages(stored, memory) if isinstance(stored, StoredRows) else rows
    images: NDArray[Any] = lazy
    return images


def room(shape: Shape, dtype: DTypeLike, memory: int, purpose: str) -> NDArray[Any]:
    """Return an uninitialised array, in memory or, beyond `memory` bytes, as StoredRows.

    To type checkers it is an array. `purpose` begins the message of a StorageError.
    """
    if math.prod(shape) * np.dtype(dtype).itemsize <= memory:
        return np.empty(shape, dtype)
    stored: Any = StoredRows.temporary(shape, dtype, purpose)
    rows: NDArray[Any] = stored
    return rows


def default_memory() -> int:
    """Return the bytes that images may take in memory: a quarter of what may be used.

    If the system does not say how much that is, there is no limit.
    """
    return usable_bytes() // _SHARE or 2**62


def _least(images: NDArray[Any]) -> NDArray[Any]:
    least: NDArray[Any] = images.reshape(len(images), -1).min(axis=1)
    return least


def _greatest(images: NDArray[Any]) -> NDArray[Any]:
    greatest: NDArray[Any] = images.reshape(len(images), -1).max(axis=1)
    return greatest
