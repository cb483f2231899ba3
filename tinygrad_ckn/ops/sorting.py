"""Order of elements: sorting, searching in sorted arrays, and counting.

Positions and counts are integers without derivative. Sorted elements are elements of
the argument, so their gradient goes where they came from.
"""

from __future__ import annotations

from typing import Any, Literal

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Axis, Namespace, xp_of
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.integers import axes_of, axis_tuple
from tinygrad_ckn.ops.positions import take_along_axis
from tinygrad_ckn.ops.shape import reshape
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


@primitive()
def argsort(
    xp: Namespace,
    x: Array,
    axis: int | None = -1,
    *,
    descending: bool = False,
    stable: bool = True,
) -> Array:
    """Return the positions of the elements in order of size, along an axis.

    NaN counts as larger than all numbers.

    Parameters
    ----------
    x
        At least one axis.
    axis
        Axis to sort along, default -1; None sorts the flattened array.
    descending
        The largest first; default False.
    stable
        Taken as True always: equal elements keep their order.

    Raises
    ------
    ShapeError
        If the axis is out of range.

    Examples
    --------
    >>> argsort(Tensor([3.0, 1.0, 2.0])).tolist()
    [1, 2, 0]
    """
    values: Any = x.reshape(-1) if axis is None else x
    (along,) = axes_of("argsort", 0 if axis is None else axis, values.ndim)
    if not descending:
        return xp.argsort(values, axis=along, kind="stable")
    backwards = xp.argsort(xp.flip(values, along), axis=along, kind="stable")
    return xp.flip(values.shape[along] - 1 - backwards, along)


def sort(
    x: Array, axis: int | None = -1, *, descending: bool = False, stable: bool = True
) -> Tensor:
    """Return the elements in order of size, along an axis.

    NaN counts as larger than all numbers.

    Parameters
    ----------
    x
        At least one axis.
    axis
        Axis to sort along, default -1; None sorts the flattened array.
    descending
        The largest first; default False.
    stable
        Taken as True always: equal elements keep their order, and with it their
        gradients.

    Raises
    ------
    ShapeError
        If the axis is out of range.
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> sort(Tensor([3.0, 1.0, 2.0]), descending=True)
    Tensor((3,), float64, cpu) [3. 2. 1.]
    """
    checks.array("sort", x=x)
    flat = reshape(x, (-1,)) if axis is None else x
    (along,) = axes_of("sort", 0 if axis is None else axis, len(flat.shape))
    order = argsort(unwrap(flat), along, descending=descending, stable=stable)
    return take_along_axis(flat, order, along)


@primitive()
def searchsorted(
    xp: Namespace,
    a: Array,
    v: Array | float,
    side: Literal["left", "right"] = "left",
    sorter: Array | None = None,
) -> Array:
    """Return where to insert numbers into a sorted vector so that it stays sorted.

    Parameters
    ----------
    a
        Vector, sorted in ascending order, or by `sorter`.
    v
        Numbers to insert, any shape.
    side
        "left" (default) inserts before equal elements, "right" after them.
    sorter
        Positions that sort a, such as `argsort(a)`; default: a is sorted.

    Raises
    ------
    ShapeError
        If a is not a vector, or `side` is another word.

    Examples
    --------
    >>> searchsorted(Tensor([1.0, 2.0, 3.0]), Tensor([0.5, 2.0])).tolist()
    [0, 1]
    """
    return xp.searchsorted(a, v, side=side, sorter=sorter)


@primitive()
def isin(xp: Namespace, a: Array | float, b: Array | float, *, invert: bool = False) -> Array:
    """Return whether each element of a is among the elements of b.

    Parameters
    ----------
    a, b
        Any shapes.
    invert
        Whether it is not among them instead; default False.

    Examples
    --------
    >>> isin(Tensor([1.0, 5.0]), Tensor([5.0, 7.0])).tolist()
    [False, True]
    """
    return xp.isin(a, b, invert=invert)


@primitive()
def count_nonzero(xp: Namespace, x: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """Return the number of elements that are not 0, along an axis, several, or all.

    Parameters
    ----------
    x
        Any shape; NaN is not 0.
    axis
        Axis, tuple of axes, or None (default) for all.
    keepdims
        Keep reduced axes with size 1; default False.

    Raises
    ------
    ShapeError
        If an axis is out of range or named twice.

    Examples
    --------
    >>> count_nonzero(Tensor([[0.0, 1.0], [2.0, 3.0]]), axis=1).tolist()
    [1, 2]
    """
    nonzeros: Any = x != 0
    return nonzeros.sum(axis=axis_tuple(axis), dtype="int64", keepdims=keepdims)


def nonzero(x: Array) -> tuple[Array, ...]:
    """Return the positions of the elements that are not 0, a vector for each axis.

    Parameters
    ----------
    x
        At least one axis.

    Raises
    ------
    ShapeError
        If x has no axis.
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> [axis.tolist() for axis in nonzero(Tensor([[0.0, 1.0], [2.0, 0.0]]))]
    [[0, 1], [1, 0]]
    """
    checks.array("nonzero", x=x)
    axes_of("nonzero", 0, len(x.shape))
    array = unwrap(x)
    found = xp_of(array).nonzero(array)
    return tuple(Variable.wrap(part) for part in found) if isinstance(x, Variable) else found
