"""The distinct elements of an array; gradients go to the first of equal ones."""

from __future__ import annotations

from typing import Any, NamedTuple

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, xp_of
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.ops.index import getitem
from tinygrad_ckn.ops.shape import reshape
from tinygrad_ckn.tensor import Tensor


class UniqueAll(NamedTuple):
    """Result of `unique_all`."""

    values: Array
    indices: Array
    inverse_indices: Array
    counts: Array


class UniqueCounts(NamedTuple):
    """Result of `unique_counts`."""

    values: Array
    counts: Array


class UniqueInverse(NamedTuple):
    """Result of `unique_inverse`."""

    values: Array
    inverse_indices: Array


def unique_all(x: Array) -> UniqueAll:
    """Return the distinct elements with their positions and numbers.

    Parameters
    ----------
    x
        Any shape; each NaN counts as distinct.

    Returns
    -------
    UniqueAll
        `values`, sorted; `indices`, where each occurs first in the flattened array;
        `inverse_indices`, in the shape of x, with x = values[inverse_indices]; and
        `counts`, how often each occurs.

    Raises
    ------
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> unique_all(Tensor([3.0, 1.0, 3.0])).counts.tolist()
    [1, 2]
    """
    checks.array("unique", x=x)
    array: Any = unwrap(x)
    _, first, inverse, counts = xp_of(array).unique(
        array, return_index=True, return_inverse=True, return_counts=True, equal_nan=False
    )
    found: tuple[Any, ...] = (first, inverse.reshape(array.shape), counts)
    if isinstance(x, Variable):
        found = tuple(map(Variable.wrap, found))
    values = getitem(reshape(x, (-1,)), first)
    return UniqueAll(values, *found)


def unique_counts(x: Array) -> UniqueCounts:
    """Return the distinct elements, sorted, and how often each occurs.

    Parameters
    ----------
    x
        Any shape; each NaN counts as distinct.

    Raises
    ------
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> unique_counts(Tensor([3.0, 1.0, 3.0])).values
    Tensor((2,), float64, cpu) [1. 3.]
    """
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Array) -> UniqueInverse:
    """Return the distinct elements, sorted, and the position among them of each element.

    Parameters
    ----------
    x
        Any shape; each NaN counts as distinct.

    Raises
    ------
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> unique_inverse(Tensor([3.0, 1.0, 3.0])).inverse_indices.tolist()
    [1, 0, 1]
    """
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Array) -> Tensor:
    """Return the distinct elements, sorted.

    Parameters
    ----------
    x
        Any shape; each NaN counts as distinct.

    Raises
    ------
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> unique_values(Tensor([3.0, 1.0, 3.0]))
    Tensor((2,), float64, cpu) [1. 3.]
    """
    values: Any = unique_all(x).values
    return values
