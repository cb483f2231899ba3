"""Operations that move elements and compute nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

from tinygrad_ckn.backend import Array, Axis, Namespace, Shape, axes_of, is_array, is_whole, xp_of
from tinygrad_ckn.backward import sum_to as _sum_to
from tinygrad_ckn.errors import DTypeError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.index import getitem
from tinygrad_ckn.plain import plain_array
from tinygrad_ckn.primitive import primitive


@primitive()
def reshape(xp: Namespace, x: Array, shape: int | Sequence[int]) -> Any:
    """Return the elements in another shape, in C order; one size may be -1.

    Examples
    --------
    >>> reshape(Tensor([1.0, 2.0, 3.0, 4.0]), (2, -1)).shape
    (2, 2)
    """
    return x.reshape(shape)


@primitive()
def transpose(xp: Namespace, x: Array, axes: Sequence[int] | None = None) -> Any:
    """Return x with its axes permuted; reversed when `axes` is None.

    Examples
    --------
    >>> transpose(Tensor([[1.0, 2.0, 3.0]])).shape
    (3, 1)
    """
    return x.transpose(axes)


@primitive()
def moveaxis(
    xp: Namespace, x: Array, source: int | Sequence[int], destination: int | Sequence[int]
) -> Any:
    """Return x with some axes moved to other places, the others in their order.

    Examples
    --------
    >>> moveaxis(Tensor([[[1.0, 2.0, 3.0]]]), -1, 0).shape
    (3, 1, 1)
    """
    return xp.moveaxis(x, source, destination)


@primitive()
def swapaxes(xp: Namespace, x: Array, axis1: int, axis2: int) -> Any:
    """Return x with two axes exchanged.

    Examples
    --------
    >>> swapaxes(Tensor([[1.0, 2.0, 3.0]]), 0, 1).shape
    (3, 1)
    """
    return x.swapaxes(axis1, axis2)


@primitive()
def broadcast_to(xp: Namespace, x: Array, shape: int | Sequence[int]) -> Any:
    """Return x repeated along new axes and axes of size 1, up to `shape`.

    Examples
    --------
    >>> broadcast_to(Tensor([1.0, 2.0]), (2, 2))
    Tensor((2, 2), float64, cpu) [[1. 2.] [1. 2.]]
    """
    return xp.broadcast_to(x, shape)


@primitive()
def sum_to(xp: Namespace, x: Array, shape: Sequence[int]) -> Any:
    """Return x summed to `shape`, which broadcasts to that of x: the adjoint of `broadcast_to`.

    Raises
    ------
    ShapeError
        If `shape` does not broadcast to x's.

    Examples
    --------
    >>> sum_to(Tensor([[1.0, 2.0], [3.0, 4.0]]), (1, 2))
    Tensor((1, 2), float64, cpu) [[4. 6.]]
    """
    shape = tuple(shape)
    fits = len(shape) <= x.ndim and all(
        n in (1, m) for n, m in zip(shape[::-1], x.shape[::-1], strict=False)
    )
    if not fits:
        raise ShapeError(f"sum_to: expected a shape that broadcasts to x's {x.shape}, got {shape}")
    return _sum_to(x, shape)


@primitive()
def flip(xp: Namespace, x: Array, axis: Axis = None) -> Any:
    """Return x with the order along an axis, several, or all, reversed.

    Examples
    --------
    >>> flip(Tensor([1.0, 2.0, 3.0]))
    Tensor((3,), float64, cpu) [3. 2. 1.]
    """
    return xp.flip(x, axis)


@primitive()
def pad(xp: Namespace, x: Array, pad_width: int | Sequence[Any]) -> Any:
    """Return x with zeros around it; `pad_width` as for `numpy.pad`: n, (before, after), or such a pair per axis.

    Examples
    --------
    >>> pad(Tensor([1.0, 2.0]), (1, 2))
    Tensor((5,), float64, cpu) [0. 1. 2. 0. 0.]
    """
    return xp.pad(x, _widths(pad_width, x.ndim))


@primitive(name="concatenate")
def _concatenate(xp: Namespace, *arrays: Array, axis: int = 0) -> Any:
    return xp.concatenate(arrays, axis=axis)


def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """Return arrays joined along an existing axis; flattened first when it is None.

    Raises
    ------
    ShapeError
        If there are none, or they differ in size along another axis.

    Examples
    --------
    >>> concatenate([Tensor([1.0, 2.0]), Tensor([3.0])])
    Tensor((3,), float64, cpu) [1. 2. 3.]
    """
    joined = _listed("concatenate", arrays)
    if axis is None:
        return _concatenate(*[reshape(array, (-1,)) for array in joined])
    return _concatenate(*joined, axis=axis)


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Return arrays of one shape joined along a new axis.

    Raises
    ------
    ShapeError
        If there are none, or their shapes differ.

    Examples
    --------
    >>> stack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])])
    Tensor((2, 2), float64, cpu) [[1. 2.] [3. 4.]]
    """
    return _concatenate(
        *[expand_dims(array, axis) for array in _listed("stack", arrays)], axis=axis
    )


def check_array(op: str, argument: str, x: Any) -> None:
    """Raise a DTypeError if an argument is no array or Tensor, in the words that primitives use."""
    if not hasattr(x, "shape"):
        raise DTypeError(
            f"{op}: argument {argument} expected an array or a Tensor, got {type(x).__name__}; "
            "wrap it in Tensor(...) first"
        )


def _listed(op: str, arrays: Any) -> list[Any]:
    """Return a sequence of arrays as a list, numbers among them as arrays of the others' dtype."""
    if not isinstance(arrays, Iterable):
        raise DTypeError(
            f"{op}: expected a sequence of arrays, got {type(arrays).__name__}; put them in a list"
        )
    found = list(arrays)
    for i, array in enumerate(found):
        if not isinstance(array, Real):
            check_array(op, f"arrays[{i}]", array)
    like = next((unwrap(array) for array in found if is_array(unwrap(array))), None)
    return [
        xp_of(like).asarray(array, dtype=None if like is None else like.dtype)
        if isinstance(array, Real)
        else array
        for array in found
    ]


def _widths(pad_width: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """Return (before, after) for each axis."""
    pad_width = plain_array(pad_width)
    pairs = list(pad_width) if isinstance(pad_width, Sequence) else [pad_width]
    if all(is_whole(n, 0) for n in pairs) and len(pairs) in (1, 2):
        pairs = [(pairs[0], pairs[-1])]
    pairs = pairs * ndim if len(pairs) == 1 else pairs
    if len(pairs) != ndim or not all(
        isinstance(p, Sequence) and len(p) == 2 and all(is_whole(n, 0) for n in p) for p in pairs
    ):
        raise ShapeError(
            f"pad: argument pad_width expected {ndim} (before, after) pairs, got {pad_width}"
        )
    return tuple((int(before), int(after)) for before, after in pairs)


def _unpad(g: Any, pad_width: Any, shape: Shape) -> Any:
    starts = [before for before, _ in _widths(pad_width, len(shape))]
    return getitem(g, tuple(slice(i, i + n) for i, n in zip(starts, shape, strict=True)))


def _inverse(axes: Sequence[int] | None) -> tuple[int, ...] | None:
    if axes is None:
        return None
    return tuple(sorted(range(len(axes)), key=lambda i: axes[i] % len(axes)))


def _pieces(x: Any, cuts: Sequence[int], axis: int) -> list[Any]:
    """Cut x along an axis into the ranges between successive positions."""
    before = (slice(None),) * (axis % len(x.shape))
    return [getitem(x, (*before, slice(i, j))) for i, j in itertools.pairwise(cuts)]


def _ends(shapes: Sequence[Shape], axis: int) -> list[int]:
    return list(itertools.accumulate((shape[axis] for shape in shapes), initial=0))


reshape.vjp(x=lambda g, x_shape: g.reshape(x_shape))
transpose.vjp(x=lambda g, axes: transpose(g, _inverse(axes)))
moveaxis.vjp(x=lambda g, source, destination: moveaxis(g, destination, source))
swapaxes.vjp(x=lambda g, axis1, axis2: swapaxes(g, axis1, axis2))
broadcast_to.vjp(x=lambda g, x_shape: sum_to(g, x_shape))
sum_to.vjp(x=lambda g, x_shape: broadcast_to(g, x_shape))
flip.vjp(x=lambda g, axis: flip(g, axis))
pad.vjp(x=lambda g, pad_width, x_shape: _unpad(g, pad_width, x_shape))
_concatenate.vjp(arrays=lambda g, arrays_shape, axis: _pieces(g, _ends(arrays_shape, axis), axis))


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Cut x along an axis, into equal sections or before the given positions, as `numpy.split`.

    Raises
    ------
    ShapeError
        If the axis cannot be cut into so many equal sections.

    Examples
    --------
    >>> [piece.shape for piece in split(Tensor([1.0, 2.0, 3.0]), [1])]
    [(1,), (2,)]
    """
    (axis,) = axes_of("split", axis, len(x.shape))
    indices_or_sections = plain_array(indices_or_sections)
    length = x.shape[axis]
    if not isinstance(indices_or_sections, Sequence):
        if not is_whole(indices_or_sections, 1) or length % indices_or_sections:
            raise ShapeError(
                f"split: expected a number of sections that divides the length {length} of axis {axis}, "
                f"got {indices_or_sections}; pass the positions to cut at"
            )
        step = length // indices_or_sections
        cuts = list(range(0, length + 1, step)) if step else [0] * (indices_or_sections + 1)
    else:
        cuts = [0, *indices_or_sections, length]
    return _pieces(x, cuts, axis)


def expand_dims(x: Any, axis: int | Sequence[int]) -> Any:
    """Return x with new axes of size 1 at these positions of the result.

    Examples
    --------
    >>> expand_dims(Tensor([1.0, 2.0]), 0).shape
    (1, 2)
    """
    check_array("expand_dims", "x", x)
    axis = plain_array(axis)
    ndim = len(x.shape) + (len(axis) if isinstance(axis, Sequence) else 1)
    places = axes_of("expand_dims", axis, ndim)
    sizes = iter(x.shape)
    return reshape(x, tuple(1 if i in places else next(sizes) for i in range(ndim)))


def squeeze(x: Any, axis: Axis = None) -> Any:
    """Return x without its axes of size 1, or without those named.

    Raises
    ------
    ShapeError
        If a named axis has another size.

    Examples
    --------
    >>> squeeze(Tensor([[1.0, 2.0]])).shape
    (2,)
    """
    if axis is None:
        gone = tuple(i for i, n in enumerate(x.shape) if n == 1)
    else:
        gone = axes_of("squeeze", axis, len(x.shape))
    if math.prod(x.shape[i] for i in gone) != 1:
        raise ShapeError(
            f"squeeze: argument axis expected axes of size 1, got {axis} for shape {x.shape}"
        )
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in gone))
