"""NumPy's further ways of joining arrays, and arrays of at least one or two axes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array
from tinygrad_ckn.ops.join import as_arrays, concatenate
from tinygrad_ckn.ops.shape import reshape, transpose
from tinygrad_ckn.tensor import Tensor


def atleast_1d(x: Array) -> Tensor:
    """Return x, a 0-d array as a vector of one element.

    Raises
    ------
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> atleast_1d(Tensor(1.0)).shape
    (1,)
    """
    return _at_least("atleast_1d", x, 1)


def atleast_2d(x: Array) -> Tensor:
    """Return x, a vector or a 0-d array as a matrix of one row.

    Raises
    ------
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> atleast_2d(Tensor([1.0, 2.0])).shape
    (1, 2)
    """
    return _at_least("atleast_2d", x, 2)


def _at_least(op: str, x: Array, ndim: int) -> Tensor:
    checks.array(op, x=x)
    shape = tuple(x.shape)
    return reshape(x, (1,) * (ndim - len(shape)) + shape)


def vstack(arrays: Iterable[Array | float]) -> Tensor:
    """Return arrays joined along their first axis; vectors count as rows.

    Parameters
    ----------
    arrays
        Arrays of equal shapes, but for the first axis.

    Raises
    ------
    ShapeError
        If the shapes do not match.
    DTypeError
        If one is not an array or a number.

    Examples
    --------
    >>> vstack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])])
    Tensor((2, 2), float64, cpu) [[1. 2.] [3. 4.]]
    """
    return concatenate([_at_least("vstack", x, 2) for x in as_arrays("vstack", arrays)])


def hstack(arrays: Iterable[Array | float]) -> Tensor:
    """Return arrays joined along their second axis, vectors along their only one.

    Parameters
    ----------
    arrays
        Arrays of equal shapes, but for that axis; 0-d ones count as vectors.

    Raises
    ------
    ShapeError
        If the shapes do not match.
    DTypeError
        If one is not an array or a number.

    Examples
    --------
    >>> hstack([Tensor([1.0, 2.0]), Tensor([3.0])])
    Tensor((3,), float64, cpu) [1. 2. 3.]
    """
    joined = [_at_least("hstack", x, 1) for x in as_arrays("hstack", arrays)]
    return concatenate(joined, axis=1 if joined and joined[0].ndim > 1 else 0)


def column_stack(arrays: Iterable[Array | float]) -> Tensor:
    """Return vectors as the columns of a matrix, and matrices side by side.

    Parameters
    ----------
    arrays
        Vectors and matrices of one height.

    Raises
    ------
    ShapeError
        If the heights differ.
    DTypeError
        If one is not an array or a number.

    Examples
    --------
    >>> column_stack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])])
    Tensor((2, 2), float64, cpu) [[1. 3.] [2. 4.]]
    """
    columns: list[Any] = []
    for x in as_arrays("column_stack", arrays):
        columns.append(transpose(_at_least("column_stack", x, 2)) if len(x.shape) < 2 else x)
    return concatenate(columns, axis=1)


def append(x: Array, values: Array | float, axis: int | None = None) -> Tensor:
    """Return x with values after it: `concatenate` of the two.

    Parameters
    ----------
    x, values
        Arrays, or a number as the values.
    axis
        Axis to join along; None (default) flattens both first.

    Raises
    ------
    ShapeError
        If the shapes do not match.
    DTypeError
        If one is not an array or a number.

    Examples
    --------
    >>> append(Tensor([1.0, 2.0]), 3.0)
    Tensor((3,), float64, cpu) [1. 2. 3.]
    """
    return concatenate([x, values], axis=axis)
