"""Reading by index, and its adjoint: adding by index."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import Array, Namespace, Shape, xp_of
from tinygrad_ckn.graph import raw
from tinygrad_ckn.primitive import primitive


@primitive()
def getitem(xp: Namespace, x: Array, index: Any) -> Any:
    """Return x[index]; slices, integers, None, Ellipsis, integer and boolean arrays or Tensors, as in NumPy.

    Raises
    ------
    OpIndexError
        If an index is out of range.

    Examples
    --------
    >>> Tensor([1.0, 2.0, 3.0])[[0, 0, 2]]
    Tensor((3,), float64, cpu) [1. 1. 3.]
    """
    return x[_raw_index(index)]


@primitive(broadcasts=True)
def index_add(xp: Namespace, x: Array, index: Any, values: Array) -> Any:
    """Return a copy of x with `values` (broadcast) added at `index`, once for each time a position is named.

    The adjoint of `getitem` in `values`; the source of its name and of adding repeatedly is `numpy.add.at`.

    Raises
    ------
    OpIndexError
        If an index is out of range.

    Examples
    --------
    >>> index_add(Tensor([1.0, 2.0, 3.0]), [0, 0, 2], Tensor([10.0, 20.0, 30.0]))
    Tensor((3,), float64, cpu) [31.  2. 33.]
    """
    index = _raw_index(index)
    y = xp.array(x, dtype=xp.result_type(x, values))
    if all(part is None or part is Ellipsis or isinstance(part, int | slice) for part in _parts(index)):
        y[index] += values
    else:
        xp.add.at(y, index, values)
    return y


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _raw_index(index: Any) -> Any:
    return tuple(raw(part) for part in index) if isinstance(index, tuple) else raw(index)


def zeros(shape: Shape, like: Any) -> Any:
    """Return zeros of a shape, with the dtype and on the device of an array or Tensor."""
    array = raw(like)
    return xp_of(array).zeros(shape, dtype=array.dtype)


getitem.vjp(x=lambda g, x_shape, index: index_add(zeros(x_shape, g), index, g))
index_add.vjp(x=lambda g: g, values=lambda g, index: getitem(g, index))
