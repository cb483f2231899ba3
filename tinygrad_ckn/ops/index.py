"""Reading by index, and its adjoint: adding by index."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_ckn.backend import CPU, Array, Namespace, Shape, backend_of, is_array, xp_of
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.scattered import Scattered


@primitive()
def getitem(xp: Namespace, x: Array, index: Any) -> Any:
    """Return x[index]; slices, integers, None, Ellipsis, integer and boolean arrays or Tensors, as in NumPy.

    Raises
    ------
    OpIndexError
        If an index is out of range; of numbers in an array on a GPU the result is NaN
        instead, if x is floating.

    Examples
    --------
    >>> Tensor([1.0, 2.0, 3.0])[[0, 0, 2]]
    Tensor((3,), float64, cpu) [1. 1. 3.]
    """
    index, sound = _in_range(x, _raw_index(index))
    return _if_sound(xp, x[index], sound)


@primitive(broadcasts=True)
def index_add(xp: Namespace, x: Array, index: Any, values: Array) -> Any:
    """Return a copy of x with `values` (broadcast) added at `index`, once for each time a position is named.

    The adjoint of `getitem` in `values`; the source of its name and of adding
    repeatedly is `numpy.add.at`.

    Raises
    ------
    OpIndexError
        If an index is out of range; of numbers in an array on a GPU the result is NaN
        instead, if it is floating.

    Examples
    --------
    >>> index_add(Tensor([1.0, 2.0, 3.0]), [0, 0, 2], Tensor([10.0, 20.0, 30.0]))
    Tensor((3,), float64, cpu) [31.  2. 33.]
    """
    index, sound = _in_range(x, _raw_index(index))
    y = xp.array(x, dtype=xp.result_type(x, values))
    _add_at(xp, y, index, values)
    return _if_sound(xp, y, sound)


def _add_at(xp: Namespace, y: Any, index: Any, values: Any) -> None:
    """Add values to y in place, once for each time that an index names a position."""
    if all(
        part is None or part is Ellipsis or isinstance(part, int | slice) for part in _parts(index)
    ):
        y[index] += values
    else:
        xp.add.at(y, index, values)


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _raw_index(index: Any) -> Any:
    return tuple(unwrap(part) for part in index) if isinstance(index, tuple) else unwrap(index)


def _in_range(x: Any, index: Any) -> tuple[Any, Any]:
    """Return an index that stays within x, and where a GPU has yet to find out whether it did so before, that.

    NumPy looks at the numbers in an array of indices. CuPy takes them modulo the
    length; to look is to wait for it.
    """
    if not backend_of(x).asynchronous:
        return index, None
    parts, sound, axis = list(_parts(index)), None, 0
    missing = x.ndim - sum(map(_axes, parts))
    for i, part in enumerate(parts):
        if axis < x.ndim and (is_array(part) or isinstance(part, list)):
            array = part if is_array(part) else CPU.xp.asarray(part)
            if array.size and array.dtype.kind in "iu":
                length, numbers = x.shape[axis], array.astype("int64")
                inside = ((numbers >= -length) & (numbers < length)).all()
                if length and backend_of(array).asynchronous:
                    parts[i], sound = numbers % length, inside if sound is None else sound & inside
                elif not (length and inside):
                    raise IndexError(
                        f"an index is out of bounds for axis {axis} with size {length}"
                    )
        axis += missing if part is Ellipsis else _axes(part)
    return index if sound is None else tuple(parts), sound


def _axes(part: Any) -> int:
    """Return how many axes a part of an index is for."""
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    mask = CPU.xp.asarray(part) if isinstance(part, list) else part
    return int(mask.ndim) if is_array(mask) and mask.dtype == bool else 1


def _if_sound(xp: Namespace, y: Any, sound: Any) -> Any:
    """Return y; if the index was not sound, NaN, or where there is no NaN, raise an error."""
    if sound is None:
        return y
    if y.dtype.kind == "f":
        return xp.where(sound, y, math.nan)
    if not bool(sound):
        raise IndexError("an index is out of bounds")
    return y


def zeros(shape: Shape, like: Any) -> Any:
    """Return zeros of a shape, with the dtype and on the device of an array or Tensor."""
    array = unwrap(like)
    return xp_of(array).zeros(shape, dtype=array.dtype)


@primitive(name="scatter", broadcasts=True)
def _scatter(xp: Namespace, *values: Array, indices: tuple[Any, ...], shape: Shape) -> Any:
    """Return zeros of a shape with values added at indices: the sum of several adjoints of `getitem`."""
    y = xp.zeros(shape, dtype=xp.result_type(*values))
    for index, value in zip(indices, values, strict=True):
        _add_at(xp, y, index, value)
    return y


class _Rows(Scattered):
    """The gradient of what was indexed."""

    def add_to(self, buffer: Any) -> None:
        """Add the values to a raw array of the whole shape, in place."""
        _add_at(xp_of(buffer), buffer, _raw_index(self.index), self.values)

    def dense(self, parts: Sequence[Scattered]) -> Any:
        """Return the sum of several as one Tensor."""
        indices = tuple(_raw_index(part.index) for part in parts)
        return _scatter(*[part.values for part in parts], indices=indices, shape=self.shape)


def _getitem_rule(g: Any, x_shape: Shape, index: Any) -> Any:
    # where an index may turn out to be out of range
    if backend_of(unwrap(g)).asynchronous:
        return index_add(zeros(x_shape, g), _raw_index(index), g)
    return _Rows(x_shape, index, g)


getitem.vjp(x=_getitem_rule)
_scatter.vjp(values=lambda g, indices: [getitem(g, index) for index in indices])
index_add.vjp(x=lambda g: g, values=lambda g, index: getitem(g, _raw_index(index)))
