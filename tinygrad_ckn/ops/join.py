"""Padding, joining and cutting arrays; values and dtypes are kept."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace, Shape, is_array, xp_of
from tinygrad_ckn.errors import DTypeError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.integers import axes_of, is_whole
from tinygrad_ckn.ops.index import getitem
from tinygrad_ckn.ops.shape import expand_dims, reshape
from tinygrad_ckn.plain import plain_array
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


@primitive()
def pad(xp: Namespace, x: Array, pad_width: int | Sequence[int] | Sequence[Sequence[int]]) -> Array:
    """Return x surrounded by zeros.

    Parameters
    ----------
    x
        Any shape.
    pad_width
        Numbers of zeros, as for `numpy.pad`: n on both sides of each axis,
        (before, after) for each axis, or one such pair per axis.

    Raises
    ------
    ShapeError
        If `pad_width` has another form, or a negative number.

    Examples
    --------
    >>> pad(Tensor([1.0, 2.0]), (1, 2))
    Tensor((5,), float64, cpu) [0. 1. 2. 0. 0.]
    """
    return xp.pad(x, _pad_pairs(pad_width, x.ndim))


pad.vjp(x=lambda g, pad_width, x_shape: _unpad(g, pad_width, x_shape))


def _pad_pairs(pad_width: Any, ndim: int) -> tuple[tuple[int, int], ...]:
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


def _unpad(g: Array, pad_width: Any, shape: Shape) -> Array:
    starts = [before for before, _ in _pad_pairs(pad_width, len(shape))]
    return getitem(g, tuple(slice(i, i + n) for i, n in zip(starts, shape, strict=True)))


@primitive(name="concatenate")
def _concatenate(xp: Namespace, *arrays: Array, axis: int = 0) -> Array:
    return xp.concatenate(arrays, axis=axis)


_concatenate.vjp(arrays=lambda g, arrays_shape, axis: _pieces(g, _ends(arrays_shape, axis), axis))


def _pieces(x: Array, cuts: Sequence[int], axis: int) -> list[Tensor]:
    """Cut x along an axis into the ranges between successive positions."""
    before = (slice(None),) * (axis % len(x.shape))
    return [getitem(x, (*before, slice(i, j))) for i, j in itertools.pairwise(cuts)]


def _ends(shapes: Sequence[Shape], axis: int) -> list[int]:
    return list(itertools.accumulate((shape[axis] for shape in shapes), initial=0))


def concatenate(arrays: Iterable[Array | float], axis: int | None = 0) -> Tensor:
    """Return arrays joined along an existing axis.

    Parameters
    ----------
    arrays
        Arrays of equal shapes, `axis` excepted; numbers take the dtype of the others.
    axis
        Axis to join along, default 0; None flattens the arrays first.

    Raises
    ------
    ShapeError
        If no array is passed, or they differ in size along another axis.
    DTypeError
        If one is not an array or a number.

    Examples
    --------
    >>> concatenate([Tensor([1.0, 2.0]), Tensor([3.0])])
    Tensor((3,), float64, cpu) [1. 2. 3.]
    """
    joined = as_arrays("concatenate", arrays)
    if axis is None:
        return _concatenate(*[reshape(array, (-1,)) for array in joined])
    return _concatenate(*joined, axis=axis)


def stack(arrays: Iterable[Array | float], axis: int = 0) -> Tensor:
    """Return arrays of equal shapes joined along a new axis.

    Parameters
    ----------
    arrays
        Arrays of equal shapes; numbers take the dtype of the others.
    axis
        Position of the new axis in the result; default 0.

    Raises
    ------
    ShapeError
        If no array is passed, or their shapes differ.
    DTypeError
        If one is not an array or a number.

    Examples
    --------
    >>> stack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])])
    Tensor((2, 2), float64, cpu) [[1. 2.] [3. 4.]]
    """
    expanded = [expand_dims(array, axis) for array in as_arrays("stack", arrays)]
    return _concatenate(*expanded, axis=axis)


def as_arrays(op: str, arrays: Iterable[Array | float]) -> list[Array]:
    """Return an iterable of arrays as a list, numbers as arrays of the others' dtype.

    Raises
    ------
    DTypeError
        If it is not iterable, or one is not an array or a number.
    """
    if not isinstance(arrays, Iterable):
        raise DTypeError(
            f"{op}: expected a sequence of arrays, got {type(arrays).__name__}; put them in a list"
        )
    listed: list[Any] = list(arrays)
    for i, array in enumerate(listed):
        if not isinstance(array, Real):
            checks.array(op, **{f"arrays[{i}]": array})
    like = next((unwrap(array) for array in listed if is_array(unwrap(array))), None)
    dtype = None if like is None else like.dtype
    return [
        xp_of(like).asarray(array, dtype=dtype) if isinstance(array, Real) else array
        for array in listed
    ]


def split(x: Array, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Cut x along an axis, as `numpy.split`.

    Parameters
    ----------
    x
        At least one axis.
    indices_or_sections
        A number of equal sections, or the positions to cut before.
    axis
        Axis to cut; default 0.

    Raises
    ------
    ShapeError
        If the number of sections does not divide the length, or the axis is out of
        range.
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> [piece.shape for piece in split(Tensor([1.0, 2.0, 3.0]), [1])]
    [(1,), (2,)]
    """
    checks.array("split", x=x)
    (axis,) = axes_of("split", axis, len(x.shape))
    indices_or_sections = plain_array(indices_or_sections)
    length = x.shape[axis]
    if not isinstance(indices_or_sections, Sequence):
        if not is_whole(indices_or_sections, 1) or length % indices_or_sections:
            raise ShapeError(
                f"split: expected a number of sections that divides the length {length} "
                f"of axis {axis}, got {indices_or_sections}; pass the positions to cut at"
            )
        step = length // indices_or_sections
        cuts = list(range(0, length + 1, step)) if step else [0] * (indices_or_sections + 1)
    else:
        cuts = [0, *indices_or_sections, length]
    return _pieces(x, cuts, axis)
