"""Reading by index, and its adjoint: adding by index."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_ckn.backend import CPU, Array, Index, Namespace, Shape, backend_of, is_array, xp_of
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.scattered import Scattered


@primitive()
def getitem(xp: Namespace, x: Array, index: Index) -> Array:
    """Return x[index].

    Parameters
    ----------
    x
        Any shape.
    index
        As in NumPy: slices, integers, None, Ellipsis, integer and boolean arrays or
        Tensors, or a tuple of these.

    Raises
    ------
    OpIndexError
        If an index is out of range. On a GPU, numbers in an array of indices are not
        read: a floating result is NaN instead.

    Examples
    --------
    >>> Tensor([1.0, 2.0, 3.0])[[0, 0, 2]]
    Tensor((3,), float64, cpu) [1. 1. 3.]
    """
    index, valid = _wrapped(x, _unwrap_index(index))
    return _nan_unless(valid, xp, x[index])


getitem.vjp(x=lambda g, x_shape, index: _getitem_rule(g, x_shape, index))


def _getitem_rule(g: Array, x_shape: Shape, index: Any) -> Array | Scattered:
    if backend_of(unwrap(g)).asynchronous:
        # Only `index_add` can turn an index that is out of range into NaN.
        return index_add(_zeros(x_shape, g), _unwrap_index(index), g)
    return _ScatteredRows(x_shape, index, g)


def _zeros(shape: Shape, like: Array) -> Array:
    """Return zeros with the dtype and on the device of an array or Tensor."""
    array = unwrap(like)
    return xp_of(array).zeros(shape, dtype=array.dtype)


@primitive(broadcasts=True)
def index_add(xp: Namespace, x: Array, index: Index, values: Array | float) -> Array:
    """Return a copy of x with values added at an index: the adjoint of `getitem`.

    A position that the index names several times is added to as often, as in
    `numpy.add.at`.

    Parameters
    ----------
    x
        Any shape.
    index
        As for `getitem`.
    values
        Array or number that broadcasts to the shape of x[index]; dtypes promote.

    Raises
    ------
    OpIndexError
        If an index is out of range. On a GPU, numbers in an array of indices are not
        read: a floating result is NaN instead.

    Examples
    --------
    >>> index_add(Tensor([1.0, 2.0, 3.0]), [0, 0, 2], Tensor([10.0, 20.0, 30.0]))
    Tensor((3,), float64, cpu) [31.  2. 33.]
    """
    index, valid = _wrapped(x, _unwrap_index(index))
    y = xp.array(x, dtype=xp.result_type(x, values))
    _add_at(xp, y, index, values)
    return _nan_unless(valid, xp, y)


index_add.vjp(x=lambda g: g, values=lambda g, index: getitem(g, _unwrap_index(index)))


@primitive(name="scatter", broadcasts=True)
def _scatter(xp: Namespace, *values: Array, indices: tuple[Any, ...], shape: Shape) -> Array:
    """Return zeros with values added at indices: the sum of several adjoints of `getitem`."""
    y = xp.zeros(shape, dtype=xp.result_type(*values))
    for index, value in zip(indices, values, strict=True):
        _add_at(xp, y, index, value)
    return y


_scatter.vjp(values=lambda g, indices: [getitem(g, index) for index in indices])


class _ScatteredRows(Scattered):
    """The gradient of an indexed array: values at the index, zero elsewhere."""

    def add_to(self, buffer: Array) -> None:
        """Add the values to an array of the whole shape, in place."""
        _add_at(xp_of(buffer), buffer, _unwrap_index(self.index), self.values)

    def dense(self, parts: Sequence[Scattered]) -> Array:
        """Return the sum of several as one Tensor."""
        indices = tuple(_unwrap_index(part.index) for part in parts)
        return _scatter(*[part.values for part in parts], indices=indices, shape=self.shape)


def _add_at(xp: Namespace, y: Any, index: Any, values: Array | float) -> None:
    """Add values to y in place; positions named several times are added to as often."""
    if all(
        part is None or part is Ellipsis or isinstance(part, int | slice) for part in _parts(index)
    ):
        y[index] += values
    elif _names_rows(y, index):
        # In a flat array NumPy adds in the same order, and five times as fast.
        size = math.prod(y.shape[1:])
        places = index.astype("int64")[..., None] * size + xp.arange(size)
        added = xp.broadcast_to(values, index.shape + y.shape[1:])
        xp.add.at(y.reshape(-1), places.reshape(-1), added.reshape(-1))
    else:
        xp.add.at(y, index, values)


def _names_rows(y: Any, index: Any) -> bool:
    """Return whether an index is an array of numbers of rows, and y one block of memory.

    Numbers out of range are none; on a GPU they are not read.
    """
    if not is_array(index) or index.dtype.kind not in "iu" or backend_of(y).asynchronous:
        return False
    if y.ndim < 2 or not index.size or not y.flags.c_contiguous:
        return False
    return bool(index.min() >= -len(y) and index.max() < len(y))


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _unwrap_index(index: Any) -> Any:
    return tuple(unwrap(part) for part in index) if isinstance(index, tuple) else unwrap(index)


def _wrapped(x: Array, index: Any) -> tuple[Any, Array | None]:
    """Return an index in range and, on a GPU, a 0-d bool that tells whether it was valid.

    NumPy reads the numbers in an array of indices. CuPy takes them modulo the length,
    and reading them would block until the GPU is done.
    """
    if not backend_of(x).asynchronous:
        return index, None
    parts = list(_parts(index))
    valid = None
    axis = 0
    ellipsis_axes = x.ndim - sum(map(_indexed_axes, parts))
    for i, part in enumerate(parts):
        if axis < x.ndim and (is_array(part) or isinstance(part, list)):
            array: Any = part if is_array(part) else CPU.xp.asarray(part)
            if array.size and array.dtype.kind in "iu":
                length = x.shape[axis]
                numbers = array.astype("int64")
                inside = ((numbers >= -length) & (numbers < length)).all()
                if length and backend_of(array).asynchronous:
                    parts[i] = numbers % length
                    valid = inside if valid is None else valid & inside
                elif not (length and inside):
                    raise IndexError(
                        f"an index is out of bounds for axis {axis} with size {length}"
                    )
        axis += ellipsis_axes if part is Ellipsis else _indexed_axes(part)
    return index if valid is None else tuple(parts), valid


def _indexed_axes(part: Any) -> int:
    """Return the number of axes that a part of an index consumes."""
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    mask = CPU.xp.asarray(part) if isinstance(part, list) else part
    return int(mask.ndim) if is_array(mask) and mask.dtype == bool else 1


def _nan_unless(valid: Array | None, xp: Namespace, y: Array) -> Array:
    """Return y if the index was valid, else NaN; integers cannot be NaN, so they raise."""
    if valid is None:
        return y
    if y.dtype.kind == "f":
        return xp.where(valid, y, math.nan)
    if not bool(valid):
        raise IndexError("an index is out of bounds")
    return y
