"""Elements taken by arrays of positions, and repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, xp_of
from tinygrad_ckn.errors import DTypeError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.integers import axis_of
from tinygrad_ckn.ops.index import getitem
from tinygrad_ckn.ops.shape import reshape
from tinygrad_ckn.tensor import Tensor


def take(x: Array, indices: Array | Sequence[int] | int, axis: int | None = None) -> Tensor:
    """Return the elements at some positions along an axis.

    Parameters
    ----------
    x
        Any shape.
    indices
        Integers, any shape; negative ones count from the end.
    axis
        Axis to take from; None (default) takes from the flattened array.

    Raises
    ------
    ShapeError
        If the axis is out of range.
    OpIndexError
        If an index is out of range; see `getitem` for a GPU.
    DTypeError
        If x is not an array, or the indices are not integers.

    Examples
    --------
    >>> take(Tensor([[1.0, 2.0, 3.0]]), [2, 0], axis=1)
    Tensor((1, 2), float64, cpu) [[3. 1.]]
    """
    checks.array("take", x=x)
    x = reshape(x, (-1,)) if axis is None else x
    along = axis_of("take", 0 if axis is None else axis, len(x.shape))
    return getitem(x, (*(slice(None),) * along, _positions("take", x, indices)))


def take_along_axis(x: Array, indices: Array, axis: int | None = -1) -> Tensor:
    """Return the elements at positions along an axis that differ from row to row.

    Parameters
    ----------
    x
        At least one axis.
    indices
        Integers with as many axes as x; axes other than `axis` broadcast against those
        of x.
    axis
        Axis to take from, default -1; None takes from the flattened array.

    Raises
    ------
    ShapeError
        If the axis is out of range, or the numbers of axes differ.
    OpIndexError
        If an index is out of range, or shapes do not broadcast.
    DTypeError
        If x is not an array, or the indices are not integers.

    Examples
    --------
    >>> take_along_axis(Tensor([[1.0, 2.0], [3.0, 4.0]]), np.array([[1], [0]]))
    Tensor((2, 1), float64, cpu) [[2.] [3.]]
    """
    checks.array("take_along_axis", x=x, indices=indices)
    x = reshape(x, (-1,)) if axis is None else x
    along = axis_of("take_along_axis", 0 if axis is None else axis, len(x.shape))
    positions = _positions("take_along_axis", x, indices)
    if positions.ndim != len(x.shape):
        raise ShapeError(
            f"take_along_axis: argument indices expected {len(x.shape)} axes, as x has, got "
            f"shape {positions.shape}"
        )
    xp = xp_of(positions)
    index = [
        xp.arange(n).reshape((-1,) + (1,) * (len(x.shape) - 1 - i)) for i, n in enumerate(x.shape)
    ]
    index[along] = positions
    return getitem(x, tuple(index))


def repeat(x: Array, repeats: int | Sequence[int] | Array, axis: int | None = None) -> Tensor:
    """Return x with each element repeated along an axis.

    Parameters
    ----------
    x
        Any shape.
    repeats
        How often: one integer >= 0, or one for each position along the axis.
    axis
        Axis to repeat along; None (default) repeats in the flattened array.

    Raises
    ------
    ShapeError
        If the axis is out of range, or `repeats` is negative or of another length.
    DTypeError
        If x is not an array, or `repeats` are not integers.

    Examples
    --------
    >>> repeat(Tensor([1.0, 2.0]), 2)
    Tensor((4,), float64, cpu) [1. 1. 2. 2.]
    """
    checks.array("repeat", x=x)
    x = reshape(x, (-1,)) if axis is None else x
    along = axis_of("repeat", 0 if axis is None else axis, len(x.shape))
    counts = _positions("repeat", x, repeats)
    xp = xp_of(unwrap(x))
    try:
        places = xp.repeat(xp.arange(x.shape[along]), counts)
    except (ValueError, TypeError) as error:
        raise ShapeError(
            f"repeat: argument repeats expected integers >= 0, one or {x.shape[along]}, got "
            f"{repeats} ({error})"
        ) from error
    return getitem(x, (*(slice(None),) * along, places))


def _positions(op: str, x: Array, indices: Any) -> Any:
    """Return integers as an array on the device of x, or of their own."""
    given = unwrap(indices)
    array = given if hasattr(given, "dtype") else xp_of(unwrap(x)).asarray(given)
    if array.size == 0 and array.dtype.kind == "f" and not hasattr(given, "dtype"):
        # an empty list
        array = array.astype("int64")
    if array.dtype.kind not in "iu":
        raise DTypeError(
            f"{op}: expected integers as positions, got {array.dtype}; use .astype('int64')"
        )
    return array
