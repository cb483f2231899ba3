"""What is computed over blocks of examples, so that features (n, D) may lie in a file.

On the CPU all threads take blocks; on a GPU they go one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU, Shape, backend_of, to_numpy, xp_of
from tinygrad_ckn.cpu import linear

# examples taken at a time, at most
_BLOCK = 4096
_BLOCK_BYTES = (
    2**22
)  # of features on the CPU: in cache for the second product, yet threads seldom change hands
# examples in a block, where they are wide
_LEAST = 256
# of arrays made on the way, on a GPU
_DEVICE_BYTES = 2**28


@contextmanager
def small_matrices() -> Iterator[None]:
    """Hold BLAS, NumPy's and SciPy's, at one thread: for matrices so small that its threads would only wait."""
    import scipy.linalg  # noqa: F401  # loads SciPy's BLAS

    with parallel.one_blas_thread():
        yield


def blocks_of(features: Any, n: int) -> list[slice]:
    """Cut n examples into blocks."""
    size = features.shape[1] * features.itemsize
    limit = min(_BLOCK * size, _BLOCK_BYTES) if backend_of(features) is CPU else _BLOCK * size
    return parallel.tiles(n, size, limit=limit, minimum=min(_BLOCK, _LEAST))


def map_blocks(function: Callable[[Any], Any], images: Any, shape: Shape, size: float) -> Any:
    """Return a new array of a shape (N, ...) and the dtype of images (N, ...), a block of them at a time.

    function makes (n, ...) of n images, and takes `size` bytes for each of them on the way.
    """
    on_host = backend_of(images) is CPU
    y = parallel.empty(shape, images.dtype) if on_host else xp_of(images).empty(shape, images.dtype)

    def fill(block: slice) -> None:
        y[block] = function(images[block])

    blocks = parallel.tiles(len(images), size, limit=_BLOCK_BYTES if on_host else _DEVICE_BYTES)
    if on_host:
        parallel.for_each(fill, blocks)
    else:
        for block in blocks:
            fill(block)
    return y


def sum_over(
    features: Any, add: Callable[[slice, Any], None], blocks: list[slice], start: Callable[[], Any]
) -> Any:
    """Return the sum of what add(block, total) adds for each block; start() makes a total where the features are."""
    if backend_of(features) is CPU:
        return parallel.sum_of(add, blocks, start)
    total = start()
    for block in blocks:
        add(block, total)
    return total


def scores_of(x: Any, weight: Any) -> Any:
    """Return x @ weight.T, (n, k), for a block x (n, D) and weight (k, D)."""
    return linear.scores(x, weight) if backend_of(x) is CPU else x @ weight.T


def scatter_of(features: Any, n: int, block: Callable[[slice], Any]) -> Any:
    """Return the sum over n examples of the products x^T x, (D, D) in float64 on the host; the upper triangle counts.

    block(rows) returns the examples, of the kind of `features`.
    """
    total = xp_of(features).zeros((features.shape[1],) * 2)
    for rows in parallel.tiles(n, 1, limit=_BLOCK):
        x = block(rows)
        if backend_of(features) is CPU:
            linear.add_gram(total, x)
        else:
            total += x.T @ x
    return to_numpy(total)
