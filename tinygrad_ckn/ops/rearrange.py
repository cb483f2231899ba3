"""Elements moved, repeated in blocks, or set to 0 by their position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace, xp_of
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.integers import axis_of, is_whole
from tinygrad_ckn.ops.index import getitem, index_add
from tinygrad_ckn.ops.shape import broadcast_to, reshape
from tinygrad_ckn.plain import plain_array
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


@primitive()
def roll(
    xp: Namespace,
    x: Array,
    shift: int | Sequence[int],
    axis: int | Sequence[int] | None = None,
) -> Array:
    """Return x with its elements moved in a circle.

    Parameters
    ----------
    x
        Any shape.
    shift
        By how many positions, one number or one for each axis.
    axis
        Axis or axes to move along; None (default) moves in the flattened array.

    Raises
    ------
    ShapeError
        If an axis is out of range, or the numbers of shifts and axes differ.

    Examples
    --------
    >>> roll(Tensor([1.0, 2.0, 3.0]), 1)
    Tensor((3,), float64, cpu) [3. 1. 2.]
    """
    return xp.roll(x, shift, axis=axis)


roll.vjp(x=lambda g, shift, axis: roll(g, _negated(shift), axis))


def _negated(shift: Any) -> int | tuple[int, ...]:
    steps = plain_array(shift)
    return tuple(-step for step in steps) if isinstance(steps, Sequence) else -steps


@primitive()
def tril(xp: Namespace, x: Array, k: int = 0) -> Array:
    """Return matrices with 0 above a diagonal.

    Parameters
    ----------
    x
        Matrices (..., n, m).
    k
        The diagonal: 0 (default) is the main one, positive ones lie above it.

    Raises
    ------
    ShapeError
        If x has fewer than two axes.

    Examples
    --------
    >>> tril(Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor((2, 2), float64, cpu) [[1. 0.] [3. 4.]]
    """
    _check_matrices("tril", x)
    return xp.tril(x, k)


tril.vjp(x=lambda g, k: tril(g, k))


@primitive()
def triu(xp: Namespace, x: Array, k: int = 0) -> Array:
    """Return matrices with 0 below a diagonal.

    Parameters
    ----------
    x
        Matrices (..., n, m).
    k
        The diagonal: 0 (default) is the main one, positive ones lie above it.

    Raises
    ------
    ShapeError
        If x has fewer than two axes.

    Examples
    --------
    >>> triu(Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor((2, 2), float64, cpu) [[1. 2.] [0. 4.]]
    """
    _check_matrices("triu", x)
    return xp.triu(x, k)


triu.vjp(x=lambda g, k: triu(g, k))


def _check_matrices(op: str, x: Array) -> None:
    if x.ndim < 2:
        raise ShapeError(f"{op}: expected matrices (..., n, m), got shape {x.shape}")


def diag(x: Array, k: int = 0) -> Tensor:
    """Return the diagonal of a matrix, or the matrix with a vector on its diagonal.

    Parameters
    ----------
    x
        Matrix (n, m), or vector (n,).
    k
        The diagonal: 0 (default) is the main one, positive ones lie above it.

    Raises
    ------
    ShapeError
        If x is neither a matrix nor a vector.
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> diag(Tensor([1.0, 2.0]))
    Tensor((2, 2), float64, cpu) [[1. 0.] [0. 2.]]
    >>> diag(Tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
    Tensor((1,), float64, cpu) [2.]
    """
    checks.array("diag", x=x)
    array = unwrap(x)
    if array.ndim not in (1, 2):
        raise ShapeError(f"diag: expected a vector or a matrix, got shape {array.shape}")
    xp = xp_of(array)
    below = max(-k, 0)
    above = max(k, 0)
    if array.ndim == 1:
        steps = xp.arange(len(array))
        size = len(array) + abs(k)
        zeros = xp.zeros((size, size), dtype=array.dtype)
        return index_add(zeros, (steps + below, steps + above), x)
    steps = xp.arange(max(0, min(array.shape[0] - below, array.shape[1] - above)))
    return getitem(x, (steps + below, steps + above))


def tile(x: Array, repetitions: int | Sequence[int]) -> Tensor:
    """Return x repeated as a block along its axes.

    Parameters
    ----------
    x
        Any shape.
    repetitions
        How often along each axis, the last ones if they are fewer than the axes of x;
        new axes are put in front if they are more.

    Raises
    ------
    ShapeError
        If one is not an integer >= 0.
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> tile(Tensor([1.0, 2.0]), 2)
    Tensor((4,), float64, cpu) [1. 2. 1. 2.]
    """
    checks.array("tile", x=x)
    given = plain_array(repetitions)
    counts = tuple(given) if isinstance(given, Sequence) else (given,)
    if not all(is_whole(count, 0) for count in counts):
        raise ShapeError(f"tile: expected integers >= 0 as repetitions, got {repetitions}")
    ndim = max(len(counts), len(x.shape))
    shape = (1,) * (ndim - len(x.shape)) + tuple(x.shape)
    counts = (1,) * (ndim - len(counts)) + counts
    pairs = tuple(zip(counts, shape, strict=True))
    blocks = reshape(x, tuple(size for _, n in pairs for size in (1, n)))
    spread = broadcast_to(blocks, tuple(size for pair in pairs for size in pair))
    return reshape(spread, tuple(count * n for count, n in pairs))


def unstack(x: Array, *, axis: int = 0) -> tuple[Tensor, ...]:
    """Return the parts of x along an axis, without that axis: the inverse of `stack`.

    Parameters
    ----------
    x
        At least one axis.
    axis
        Axis to take apart; default 0.

    Raises
    ------
    ShapeError
        If the axis is out of range.
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> unstack(Tensor([[1.0, 2.0], [3.0, 4.0]]))[1]
    Tensor((2,), float64, cpu) [3. 4.]
    """
    checks.array("unstack", x=x)
    along = axis_of("unstack", axis, len(x.shape))
    before = (slice(None),) * along
    return tuple(getitem(x, (*before, i)) for i in range(x.shape[along]))
