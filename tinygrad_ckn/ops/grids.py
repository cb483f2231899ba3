"""Arrays repeated to a common shape, and the coordinates of grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Shape
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.ops.join import as_arrays
from tinygrad_ckn.ops.shape import broadcast_to, reshape
from tinygrad_ckn.tensor import Tensor


def broadcast_arrays(*arrays: Array | float) -> list[Tensor]:
    """Return arrays, each repeated to the shape they have together.

    Parameters
    ----------
    arrays
        Arrays or numbers that broadcast; numbers take the dtype and device of the others.

    Raises
    ------
    ShapeError
        If they do not broadcast.
    DTypeError
        If one is not an array or a number.

    Examples
    --------
    >>> [a.shape for a in broadcast_arrays(Tensor([1.0, 2.0]), Tensor([[1.0], [2.0]]))]
    [(2, 2), (2, 2)]
    """
    shape = common_shape("broadcast_arrays", arrays)
    listed: Any = arrays
    return [broadcast_to(array, shape) for array in as_arrays("broadcast_arrays", listed)]


def meshgrid(*arrays: Array, indexing: Literal["xy", "ij"] = "xy") -> list[Tensor]:
    """Return the coordinates of a grid, from those along each of its axes.

    Parameters
    ----------
    arrays
        Vectors, or 0-d arrays.
    indexing
        "xy" (default) exchanges the first two axes of the grids, "ij" does not.

    Raises
    ------
    ShapeError
        If one has more than one axis.
    ConfigError
        If `indexing` is another word.

    Examples
    --------
    >>> meshgrid(Tensor([1.0, 2.0]), Tensor([3.0, 4.0]))[0]
    Tensor((2, 2), float64, cpu) [[1. 2.] [1. 2.]]
    """
    checks.one_of("meshgrid", ("xy", "ij"), indexing=indexing)
    checks.array("meshgrid", **{f"arrays[{i}]": array for i, array in enumerate(arrays)})
    if any(len(array.shape) > 1 for array in arrays):
        shapes = ", ".join(str(tuple(array.shape)) for array in arrays)
        raise ShapeError(f"meshgrid: expected vectors, got shapes {shapes}")
    places = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        places[:2] = 1, 0
    columns = [
        reshape(array, (1,) * place + (-1,) + (1,) * (len(arrays) - 1 - place))
        for place, array in zip(places, arrays, strict=True)
    ]
    return broadcast_arrays(*columns)


def common_shape(op: str, arrays: Sequence[Any]) -> Shape:
    """Return the shape to which arrays and numbers broadcast together.

    Raises
    ------
    ShapeError
        If there is none.
    """
    shapes = [tuple(getattr(array, "shape", ())) for array in arrays]
    ndim = max(map(len, shapes), default=0)
    padded = [(1,) * (ndim - len(shape)) + shape for shape in shapes]
    common = tuple(next((n for n in sizes if n != 1), 1) for sizes in zip(*padded, strict=True))
    if any(n not in (1, m) for shape in padded for n, m in zip(shape, common, strict=True)):
        raise ShapeError(f"{op}: expected shapes that broadcast, got {', '.join(map(str, shapes))}")
    return common
