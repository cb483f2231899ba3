"""Batches of several arrays at once, for a training loop of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, NDArray
from tinygrad_ckn.data.dataset import batches
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.plain import plain
from tinygrad_ckn.random_numbers import default_rng


def minibatches(
    *arrays: Array,
    batch_size: int,
    rng: np.random.Generator | int | None = None,
    drop_last: bool = False,
) -> Iterator[tuple[Any, ...]]:
    """Return an iterator over batches of rows, the same rows of all arrays.

    Parameters
    ----------
    *arrays
        At least one array or Tensor, all with n rows; n may be 0.
    batch_size
        Rows in a batch, at least 1; the last batch may be shorter.
    rng
        Generator or seed of the order; None (default): in order. Pass one generator to all
        epochs: a seed gives the same order each time.
    drop_last
        Whether to leave out a last batch that is shorter; default False.

    Returns
    -------
    Iterator
        Tuples with one array, or Tensor, for each of those given.

    Raises
    ------
    ConfigError
        If there is no array, batch_size is not an integer >= 1, or `rng` no seed.
    DTypeError
        If one is not an array.
    ShapeError
        If they do not have the same number of rows.

    Examples
    --------
    >>> x, y = np.arange(10).reshape(5, 2), np.arange(5)
    >>> [labels.tolist() for images, labels in minibatches(x, y, batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """
    batch_size = plain(batch_size)
    checks.integers("minibatches", batch_size=batch_size)
    if not arrays:
        raise ConfigError("minibatches: expected at least one array, got none")
    checks.array("minibatches", **{f"arrays[{i}]": array for i, array in enumerate(arrays)})
    shapes = [tuple(array.shape) for array in arrays]
    if not all(shapes) or len({shape[0] for shape in shapes}) > 1:
        raise ShapeError(
            "minibatches: expected arrays with the same number of rows, "
            f"got shapes {', '.join(map(str, shapes))}"
        )
    n = shapes[0][0] - (shapes[0][0] % batch_size if drop_last else 0)
    order = _order(shapes[0][0], None if rng is None else default_rng(rng))[:n]
    return (tuple(array[order[rows]] for array in arrays) for rows in batches(n, batch_size))


def _order(n: int, rng: np.random.Generator | None) -> NDArray[Any]:
    return np.arange(n) if rng is None else rng.permutation(n)
