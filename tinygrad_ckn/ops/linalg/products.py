"""Products of vectors and matrices, and parts of matrices, as the Array API names them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, DTypeLike, xp_of
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.integers import axes_of
from tinygrad_ckn.ops.conversion import astype
from tinygrad_ckn.ops.index import getitem
from tinygrad_ckn.ops.join import stack
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.ops.reduce import sum as sum_over
from tinygrad_ckn.ops.shape import moveaxis, reshape, swapaxes, transpose
from tinygrad_ckn.plain import plain_array
from tinygrad_ckn.tensor import Tensor


def matrix_transpose(x: Array, /) -> Tensor:
    """Return matrices with their last two axes exchanged.

    Parameters
    ----------
    x
        Matrices (..., m, n).

    Raises
    ------
    ShapeError
        If x has fewer than two axes.

    Examples
    --------
    >>> matrix_transpose(Tensor([[1.0, 2.0, 3.0]])).shape
    (3, 1)
    """
    _check_matrices("matrix_transpose", x)
    return swapaxes(x, -1, -2)


def diagonal(x: Array, /, *, offset: int = 0) -> Tensor:
    """Return the diagonals of matrices.

    Parameters
    ----------
    x
        Matrices (..., m, n).
    offset
        Columns to the right of the main diagonal, negative: to the left; default 0.

    Raises
    ------
    ShapeError
        If x has fewer than two axes.
    ConfigError
        If the offset is not an integer.

    Examples
    --------
    >>> diagonal(Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor((2,), float64, cpu) [1. 4.]
    """
    _check_matrices("diagonal", x)
    checks.integers("diagonal", -(2**63), offset=offset)
    rows, columns = x.shape[-2:]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    steps = xp_of(unwrap(x)).arange(length)
    return getitem(x, (..., steps + max(-offset, 0), steps + max(offset, 0)))


def trace(x: Array, /, *, offset: int = 0, dtype: DTypeLike | None = None) -> Tensor:
    """Return the sums of the diagonals of matrices.

    Parameters
    ----------
    x
        Matrices (..., m, n).
    offset
        Columns to the right of the main diagonal, negative: to the left; default 0.
    dtype
        Type of the sums; default: that of x, int64 for booleans and small integers.

    Raises
    ------
    ShapeError
        If x has fewer than two axes.
    ConfigError
        If the offset is not an integer.

    Examples
    --------
    >>> trace(Tensor([[1.0, 2.0], [3.0, 4.0]])).item()
    5.0
    """
    _check_matrices("trace", x)
    values = diagonal(x, offset=offset)
    return sum_over(values if dtype is None else astype(values, dtype), axis=-1)


def outer(x1: Array, x2: Array, /) -> Tensor:
    """Return the matrix of all products of an element of x1 and one of x2.

    Parameters
    ----------
    x1, x2
        Vectors (n,) and (m,).

    Raises
    ------
    ShapeError
        If one is not a vector.

    Examples
    --------
    >>> outer(Tensor([1.0, 2.0]), Tensor([1.0, 10.0]))
    Tensor((2, 2), float64, cpu) [[ 1. 10.] [ 2. 20.]]
    """
    checks.array("outer", x1=x1, x2=x2)
    if len(x1.shape) != 1 or len(x2.shape) != 1:
        raise ShapeError(
            f"outer: expected two vectors, got shapes {tuple(x1.shape)} and {tuple(x2.shape)}; "
            "use .reshape(-1)"
        )
    column: Any = getitem(x1, (slice(None), None))
    product: Tensor = column * x2
    return product


def vecdot(x1: Array, x2: Array, /, *, axis: int = -1) -> Tensor:
    """Return the inner products of vectors along an axis.

    Parameters
    ----------
    x1, x2
        Arrays whose shapes broadcast, and have the same size along the axis.
    axis
        Axis of the vectors, counted in both arrays; default the last.

    Raises
    ------
    ShapeError
        If the axis is out of range, the sizes differ, or the other axes do not broadcast.

    Examples
    --------
    >>> vecdot(Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([1.0, 1.0]))
    Tensor((2,), float64, cpu) [3. 7.]
    """
    a, b = _vectors_last("vecdot", x1, x2, axis)
    row, column = getitem(a, (..., None, slice(None))), getitem(b, (..., None))
    product = matmul(row, column)
    return reshape(product, product.shape[:-2])


def cross(x1: Array, x2: Array, /, *, axis: int = -1) -> Tensor:
    """Return the cross products of vectors of three elements.

    Parameters
    ----------
    x1, x2
        Arrays whose shapes broadcast, with size 3 along the axis.
    axis
        Axis of the vectors, counted in both arrays; default the last.

    Raises
    ------
    ShapeError
        If the axis is out of range, its size is not 3, or the others do not broadcast.

    Examples
    --------
    >>> cross(Tensor([1.0, 0.0, 0.0]), Tensor([0.0, 1.0, 0.0]))
    Tensor((3,), float64, cpu) [0. 0. 1.]
    """
    a, b = _vectors_last("cross", x1, x2, axis)
    if a.shape[-1] != 3:
        raise ShapeError(f"cross: argument axis expected one of size 3, got size {a.shape[-1]}")
    u, v = ([getitem(x, (..., i)) for i in range(3)] for x in (a, b))
    parts: list[Any] = [u[i - 2] * v[i - 1] - u[i - 1] * v[i - 2] for i in range(3)]
    product = stack(parts, axis=-1)
    last = len(product.shape) - 1
    negative = axis if axis < 0 else axis - max(len(x1.shape), len(x2.shape))
    return product if negative == -1 else moveaxis(product, last, negative)


def tensordot(
    x1: Array, x2: Array, /, axes: int | tuple[Sequence[int], Sequence[int]] = 2
) -> Tensor:
    """Return sums of products over some axes of two arrays.

    Parameters
    ----------
    x1, x2
        Any shapes.
    axes
        How many of the last axes of x1 are paired with as many of the first of x2, in
        order, default 2; or the axes of x1 and those of x2 that are paired with them.

    Raises
    ------
    ShapeError
        If an axis is out of range or named twice, or sizes of a pair differ.

    Examples
    --------
    >>> tensordot(Tensor([[1.0, 2.0]]), Tensor([[3.0, 4.0]])).item()
    11.0
    """
    checks.array("tensordot", x1=x1, x2=x2)
    ndims = len(x1.shape), len(x2.shape)
    left, right = _paired_axes(plain_array(axes), *ndims)
    sizes, others = [x1.shape[i] for i in left], [x2.shape[i] for i in right]
    if sizes != others:
        raise ShapeError(
            f"tensordot: argument axes expected pairs of one size, got {sizes} and {others}"
        )
    free1 = [i for i in range(ndims[0]) if i not in left]
    free2 = [i for i in range(ndims[1]) if i not in right]
    shape1, shape2 = [x1.shape[i] for i in free1], [x2.shape[i] for i in free2]
    count = math.prod(sizes)
    a = reshape(transpose(x1, (*free1, *left)), (math.prod(shape1), count))
    b = reshape(transpose(x2, (*right, *free2)), (count, math.prod(shape2)))
    return reshape(matmul(a, b), (*shape1, *shape2))


def _paired_axes(axes: Any, ndim1: int, ndim2: int) -> tuple[Sequence[int], Sequence[int]]:
    """Return the axes of two arrays that tensordot sums over, counted from 0."""
    if isinstance(axes, Sequence) and len(axes) == 2:
        left, right = (
            axes_of("tensordot", a, n) for a, n in zip(axes, (ndim1, ndim2), strict=True)
        )
        if len(left) == len(right):
            return left, right
    elif type(axes) is int and 0 <= axes <= min(ndim1, ndim2):
        return range(ndim1 - axes, ndim1), range(axes)
    raise ShapeError(
        f"tensordot: argument axes expected an integer from 0 to {min(ndim1, ndim2)}, or two "
        f"sequences of as many axes, got {axes!r}"
    )


def kron(a: Array, b: Array, /) -> Tensor:
    """Return the Kronecker product: b, times each element of a in its place.

    Parameters
    ----------
    a, b
        Any shapes; the one with fewer axes gets axes of size 1 in front.

    Examples
    --------
    >>> kron(Tensor([1.0, 10.0]), Tensor([1.0, 2.0]))
    Tensor((4,), float64, cpu) [ 1.  2. 10. 20.]
    """
    checks.array("kron", a=a, b=b)
    ndim = max(len(a.shape), len(b.shape))
    shapes = [(1,) * (ndim - len(x.shape)) + tuple(x.shape) for x in (a, b)]
    left: Any = reshape(a, [n for size in shapes[0] for n in (size, 1)])
    right: Any = reshape(b, [n for size in shapes[1] for n in (1, size)])
    return reshape(left * right, [n * m for n, m in zip(*shapes, strict=True)])


def multi_dot(arrays: Sequence[Array], /) -> Tensor:
    """Return the product of two or more matrices, in the order that takes least work.

    Parameters
    ----------
    arrays
        Matrices; the first and the last may be vectors.

    Raises
    ------
    ShapeError
        If there are fewer than two, or the shapes do not fit.

    Examples
    --------
    >>> multi_dot([Tensor([[1.0, 2.0]]), Tensor([[1.0], [1.0]]), Tensor([2.0])])
    Tensor((1,), float64, cpu) [6.]
    """
    for i, array in enumerate(arrays):
        checks.array("multi_dot", **{f"arrays[{i}]": array})
    if len(arrays) < 2 or any(len(x.shape) != 2 for x in arrays[1:-1]):
        shapes = [tuple(x.shape) for x in arrays]
        raise ShapeError(f"multi_dot: expected two or more matrices, got shapes {shapes}")
    # products[i, j]: work for, and product of, the arrays from i to j
    best: dict[tuple[int, int], tuple[int, int]] = {(i, i): (0, i) for i in range(len(arrays))}
    rows = [x.shape[0] if len(x.shape) > 1 else 1 for x in arrays[:1]]
    rows += [x.shape[0] for x in arrays[1:]]
    sizes = [*rows, arrays[-1].shape[-1] if len(arrays[-1].shape) > 1 else 1]
    for length in range(1, len(arrays)):
        for i in range(len(arrays) - length):
            j = i + length
            best[i, j] = min(
                (best[i, k][0] + best[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            )

    def product(i: int, j: int) -> Any:
        if i == j:
            return arrays[i]
        k = best[i, j][1]
        return matmul(product(i, k), product(k + 1, j))

    return product(0, len(arrays) - 1)


def _check_matrices(op: str, x: Any) -> None:
    checks.array(op, x=x)
    if len(x.shape) < 2:
        raise ShapeError(
            f"{op}: argument x expected matrices (..., m, n), got shape {tuple(x.shape)}"
        )


def _vectors_last(op: str, x1: Any, x2: Any, axis: int) -> tuple[Any, Any]:
    """Return arrays with the axis of their vectors last, and of one size."""
    checks.array(op, x1=x1, x2=x2)
    places = [axes_of(op, axis, max(len(x.shape), 1))[0] for x in (x1, x2)]
    sizes = [tuple(x.shape)[i : i + 1] for x, i in zip((x1, x2), places, strict=True)]
    if not sizes[0] or sizes[0] != sizes[1]:
        raise ShapeError(
            f"{op}: argument axis expected one of equal size, got shapes {tuple(x1.shape)} and "
            f"{tuple(x2.shape)} with axis {axis}"
        )
    a, b = (moveaxis(x, place, -1) for x, place in zip((x1, x2), places, strict=True))
    return a, b
