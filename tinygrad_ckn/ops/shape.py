"""Shapes and the order of axes; values and dtypes are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Axis, Namespace
from tinygrad_ckn.backward import sum_to as _sum_to
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.integers import axes_of
from tinygrad_ckn.plain import plain_array
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


@primitive()
def reshape(
    xp: Namespace, x: Array, shape: int | Sequence[int], *, copy: bool | None = None
) -> Array:
    """Return the elements in another shape, in C order.

    Parameters
    ----------
    x
        Any shape.
    shape
        A size or sizes; one of them may be -1, for the size that fits.
    copy
        True copies, False shares the memory of x or raises; None (default) shares it
        where its layout allows.

    Raises
    ------
    ShapeError
        If the sizes do not multiply to the number of elements, or copy=False and a copy
        is needed.

    Examples
    --------
    >>> reshape(Tensor([1.0, 2.0, 3.0, 4.0]), (2, -1)).shape
    (2, 2)
    """
    y: Array = x.reshape(shape)
    if copy is None:
        return y
    shared = xp.may_share_memory(x, y)
    if not copy and not shared and y.size:
        raise ShapeError(
            f"reshape: copy=False expected a layout that allows the shape {shape} without a copy; "
            "leave copy out"
        )
    return xp.array(y) if copy and shared else y


reshape.vjp(x=lambda g, x_shape: g.reshape(x_shape))


@primitive()
def transpose(xp: Namespace, x: Array, axes: Sequence[int] | None = None) -> Array:
    """Return x with its axes permuted.

    Parameters
    ----------
    x
        Any shape.
    axes
        Axis of x for each axis of the result; None (default) reverses them.

    Raises
    ------
    ShapeError
        If `axes` is not a permutation of the axes of x.

    Examples
    --------
    >>> transpose(Tensor([[1.0, 2.0, 3.0]])).shape
    (3, 1)
    """
    return x.transpose(axes)


transpose.vjp(x=lambda g, axes: transpose(g, _inverse(axes)))


def _inverse(axes: Sequence[int] | None) -> tuple[int, ...] | None:
    if axes is None:
        return None
    return tuple(sorted(range(len(axes)), key=lambda i: axes[i] % len(axes)))


@primitive()
def moveaxis(
    xp: Namespace, x: Array, source: int | Sequence[int], destination: int | Sequence[int]
) -> Array:
    """Return x with some axes moved; the other axes keep their order.

    Parameters
    ----------
    x
        Any shape.
    source, destination
        Axis or axes of x, and their positions in the result.

    Raises
    ------
    ShapeError
        If an axis is out of range or named twice, or the numbers of axes differ.

    Examples
    --------
    >>> moveaxis(Tensor([[[1.0, 2.0, 3.0]]]), -1, 0).shape
    (3, 1, 1)
    """
    return xp.moveaxis(x, source, destination)


moveaxis.vjp(x=lambda g, source, destination: moveaxis(g, destination, source))


@primitive()
def swapaxes(xp: Namespace, x: Array, axis1: int, axis2: int) -> Array:
    """Return x with two axes exchanged.

    Parameters
    ----------
    x
        Any shape.
    axis1, axis2
        The two axes; negative ones count from the end.

    Raises
    ------
    ShapeError
        If an axis is out of range.

    Examples
    --------
    >>> swapaxes(Tensor([[1.0, 2.0, 3.0]]), 0, 1).shape
    (3, 1)
    """
    return x.swapaxes(axis1, axis2)


swapaxes.vjp(x=lambda g, axis1, axis2: swapaxes(g, axis1, axis2))


@primitive()
def broadcast_to(xp: Namespace, x: Array, shape: int | Sequence[int]) -> Array:
    """Return x repeated along new axes and axes of size 1, up to a shape.

    Parameters
    ----------
    x
        Any shape that broadcasts to `shape`.
    shape
        Shape of the result.

    Raises
    ------
    ShapeError
        If x does not broadcast to `shape`.

    Examples
    --------
    >>> broadcast_to(Tensor([1.0, 2.0]), (2, 2))
    Tensor((2, 2), float64, cpu) [[1. 2.] [1. 2.]]
    """
    return xp.broadcast_to(x, shape)


broadcast_to.vjp(x=lambda g, x_shape: sum_to(g, x_shape))


@primitive()
def sum_to(xp: Namespace, x: Array, shape: Sequence[int]) -> Array:
    """Return x summed to a shape: the adjoint of `broadcast_to`.

    Parameters
    ----------
    x
        Any shape.
    shape
        Shape of the result, which broadcasts to that of x.

    Raises
    ------
    ShapeError
        If `shape` does not broadcast to that of x.

    Examples
    --------
    >>> sum_to(Tensor([[1.0, 2.0], [3.0, 4.0]]), (1, 2))
    Tensor((1, 2), float64, cpu) [[4. 6.]]
    """
    shape = tuple(shape)
    broadcasts = len(shape) <= x.ndim and all(
        n in (1, m) for n, m in zip(shape[::-1], x.shape[::-1], strict=False)
    )
    if not broadcasts:
        raise ShapeError(f"sum_to: expected a shape that broadcasts to x's {x.shape}, got {shape}")
    return _sum_to(x, shape)


sum_to.vjp(x=lambda g, x_shape: broadcast_to(g, x_shape))


@primitive()
def flip(xp: Namespace, x: Array, axis: Axis = None) -> Array:
    """Return x in reverse order along an axis, several, or all.

    Parameters
    ----------
    x
        Any shape.
    axis
        Axis, tuple of axes, or None (default) for all.

    Raises
    ------
    ShapeError
        If an axis is out of range or named twice.

    Examples
    --------
    >>> flip(Tensor([1.0, 2.0, 3.0]))
    Tensor((3,), float64, cpu) [3. 2. 1.]
    """
    return xp.flip(x, axis)


flip.vjp(x=lambda g, axis: flip(g, axis))


def expand_dims(x: Array, axis: int | Sequence[int] = 0) -> Tensor:
    """Return x with new axes of size 1.

    Parameters
    ----------
    x
        Any shape.
    axis
        Position or positions of the new axes in the result; default 0.

    Raises
    ------
    ShapeError
        If a position is out of range or named twice.
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> expand_dims(Tensor([1.0, 2.0]), 0).shape
    (1, 2)
    """
    checks.array("expand_dims", x=x)
    axis = plain_array(axis)
    ndim = len(x.shape) + (len(axis) if isinstance(axis, Sequence) else 1)
    places = axes_of("expand_dims", axis, ndim)
    sizes = iter(x.shape)
    return reshape(x, tuple(1 if i in places else next(sizes) for i in range(ndim)))


def squeeze(x: Array, axis: Axis = None) -> Tensor:
    """Return x without axes of size 1.

    Parameters
    ----------
    x
        Any shape.
    axis
        Axis or tuple of axes to remove; None (default) removes all of size 1.

    Raises
    ------
    ShapeError
        If a named axis has another size, is out of range, or is named twice.
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> squeeze(Tensor([[1.0, 2.0]])).shape
    (2,)
    """
    checks.array("squeeze", x=x)
    if axis is None:
        removed = tuple(i for i, n in enumerate(x.shape) if n == 1)
    else:
        removed = axes_of("squeeze", axis, len(x.shape))
    if math.prod(x.shape[i] for i in removed) != 1:
        raise ShapeError(
            f"squeeze: argument axis expected axes of size 1, got {axis} for shape {x.shape}"
        )
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in removed))
