"""Sums and maps over blocks of examples, so that features (n, D) may lie in a file.

On the CPU the threads share the blocks; on a GPU they run one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU, Shape, backend_of, to_numpy, xp_of
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.cpu import linear
from tinygrad_ckn.lazy_images import as_lazy, is_lazy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# maximum number of examples in a block
_BLOCK = 4096
# Bytes of features in a block on the CPU: they stay in cache for the second product, and
# threads do not switch blocks too often.
_BLOCK_BYTES = 2**22
# minimum number of examples in a block, for wide features
_MIN_BLOCK = 256
# bytes of intermediate arrays on a GPU
_DEVICE_BYTES = 2**28


@contextmanager
def small_matrices() -> Iterator[None]:
    """Limit the BLAS of NumPy and SciPy to one thread, which suits small matrices best."""
    import scipy.linalg  # noqa: F401  # loads SciPy's BLAS

    with parallel.one_blas_thread():
        yield


def blocks_of(features: NDArray[Any], n: int) -> list[slice]:
    """Cut n examples with features (n, D) into blocks."""
    size = features.shape[1] * features.itemsize
    limit = min(_BLOCK * size, _BLOCK_BYTES) if backend_of(features) is CPU else _BLOCK * size
    return parallel.tiles(n, size, limit=limit, minimum=min(_BLOCK, _MIN_BLOCK))


def map_blocks(
    function: Callable[[NDArray[Any]], NDArray[Any]],
    images: NDArray[Any],
    shape: Shape,
    size: float,
) -> NDArray[Any]:
    """Apply a function to blocks of images (N, ...) and collect the results.

    Parameters
    ----------
    function
        Maps a block (n, ...) to n results.
    images
        (N, ...). If they are lazy and the result is large, it lies in a file and is lazy
        too.
    shape
        (N, ...), shape of the result, which has the dtype of the images.
    size
        Bytes of intermediate arrays per image.
    """
    on_host = backend_of(images) is CPU
    y: NDArray[Any]
    if is_lazy(images):
        y = images.room(shape, images.dtype, "preprocessing")
    else:
        y = (parallel if on_host else xp_of(images)).empty(shape, images.dtype)

    def fill(block: slice) -> None:
        y[block] = function(images[block])

    blocks = parallel.tiles(len(images), size, limit=_BLOCK_BYTES if on_host else _DEVICE_BYTES)
    if on_host:
        parallel.for_each(fill, blocks)
    else:
        for block in blocks:
            fill(block)
    return as_lazy(y, images.memory) if is_lazy(images) else y


def sum_over(
    features: NDArray[Any],
    add: Callable[[slice, parallel.Total], object],
    blocks: list[slice],
    start: Callable[[], parallel.Total],
) -> parallel.Total:
    """Sum over blocks: add(block, total) adds the term of one block in place.

    start() returns a total of zero on the device of the features.
    """
    if backend_of(features) is CPU:
        return parallel.sum_of(add, blocks, start)
    total = start()
    for block in blocks:
        add(block, total)
    return total


def scores_of(x: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """Return x @ weight.T, (n, k), for a block x (n, D) and weight (k, D)."""
    return linear.scores(x, weight) if backend_of(x) is CPU else x @ weight.T


def scatter_of(
    features: NDArray[Any], n: int, block: Callable[[slice], NDArray[Any]]
) -> NDArray[np.float64]:
    """Return the sum of x^T x over n examples: (D, D), float64, on the host.

    Only the upper triangle is defined. block(rows) returns examples (m, D) on the
    device of `features`.
    """
    total = xp_of(features).zeros((features.shape[1],) * 2)
    for rows in slices(n, _BLOCK):
        x = block(rows)
        if backend_of(features) is CPU:
            linear.add_gram(total, x)
        else:
            total += x.T @ x
    return to_numpy(total)
