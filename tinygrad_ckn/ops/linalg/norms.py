"""Norms of vectors and matrices, and condition numbers."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Axis
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.integers import axes_of
from tinygrad_ckn.ops.arithmetic import not_equal, power
from tinygrad_ckn.ops.conversion import astype
from tinygrad_ckn.ops.elementwise import abs as magnitude
from tinygrad_ckn.ops.elementwise import where
from tinygrad_ckn.ops.index import getitem
from tinygrad_ckn.ops.linalg.lapack import check_matrices, check_square
from tinygrad_ckn.ops.linalg.singular import svdvals
from tinygrad_ckn.ops.linalg.solve import inv
from tinygrad_ckn.ops.norm import norm as euclidean
from tinygrad_ckn.ops.reduce import max as largest
from tinygrad_ckn.ops.reduce import min as smallest
from tinygrad_ckn.ops.reduce import sum as total
from tinygrad_ckn.ops.shape import expand_dims, moveaxis
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor

_MATRIX_ORDERS = ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)


@plain_arguments
def vector_norm(
    x: Array, /, *, axis: Axis = None, keepdims: bool = False, ord: float = 2
) -> Tensor:
    """Return the norms of vectors, (sum |x_i|^ord)^(1/ord).

    Where a vector is 0 the gradient is taken as 0. Elements that are 0, equal largest
    and equal smallest ones are kinks of some orders, with the gradients of `abs`, `max`
    and `min`.

    Parameters
    ----------
    x
        Any shape, floating.
    axis
        Axis, or tuple of axes, that hold a vector; None (default): all.
    keepdims
        Keep reduced axes with size 1; default False.
    ord
        Any number; default 2. `math.inf` and `-math.inf` give the largest and the
        smallest absolute value, 0 the number of elements other than 0.

    Raises
    ------
    ShapeError
        If an axis is out of range or named twice; if ord is infinite and a vector empty.
    ConfigError
        If ord is not a number.

    Examples
    --------
    >>> vector_norm(Tensor([3.0, -4.0])).item(), vector_norm(Tensor([3.0, -4.0]), ord=1).item()
    (5.0, 7.0)
    """
    checks.array("vector_norm", x=x)
    checks.number("vector_norm", "ord", ord, "a number", lambda value: not math.isnan(value))
    if ord == 2:
        return euclidean(x, axis=axis, keepdims=keepdims)
    if ord == 0:
        return total(astype(not_equal(x, 0), x.dtype), axis=axis, keepdims=keepdims)
    sizes = magnitude(x)
    if math.isinf(ord):
        return (largest if ord > 0 else smallest)(sizes, axis=axis, keepdims=keepdims)
    if ord == 1:
        return total(sizes, axis=axis, keepdims=keepdims)
    powers = total(power(sizes, ord), axis=axis, keepdims=keepdims)
    zero = unwrap(powers) == 0
    return where(zero, 0, power(where(zero, 1, powers), 1 / ord))


@plain_arguments
def matrix_norm(x: Array, /, *, keepdims: bool = False, ord: float | str | None = "fro") -> Tensor:
    """Return the norms of matrices.

    Parameters
    ----------
    x
        Matrices (..., m, n), floating.
    keepdims
        Keep the last two axes with size 1; default False.
    ord
        "fro" (default) and None: the root of the sum of squares. "nuc": the sum of the singular
        values; 2 and -2: the largest and the smallest, whose derivatives are those of
        `svdvals`. 1 and -1: the largest and the smallest sum of absolute values of a
        column; `math.inf` and `-math.inf`: of a row.

    Raises
    ------
    ShapeError
        If x has fewer than two axes.
    DTypeError
        If x is not floating.
    ConfigError
        If ord is none of these.

    Examples
    --------
    >>> matrix_norm(Tensor([[1.0, -2.0], [3.0, 4.0]]), ord=1).item()
    6.0
    """
    checks.array("matrix_norm", x=x)
    check_matrices("matrix_norm", x=unwrap(x))
    ord = "fro" if ord is None else ord
    if not any(ord == choice for choice in _MATRIX_ORDERS):
        checks.one_of("matrix_norm", _MATRIX_ORDERS, ord=ord)
    result: Any
    if ord == "fro":
        result = euclidean(x, axis=(-2, -1))
    elif ord == "nuc":
        result = total(svdvals(x), axis=-1)
    elif ord in (2, -2):
        values = svdvals(x)
        result = (largest if ord == 2 else smallest)(values, axis=-1)
    else:
        sums = total(magnitude(x), axis=-2 if ord in (1, -1) else -1)
        result = (largest if ord in (1, math.inf) else smallest)(sums, axis=-1)
    return expand_dims(result, (-2, -1)) if keepdims else result


@plain_arguments
def norm(
    x: Array, ord: float | str | None = None, axis: Axis = None, keepdims: bool = False
) -> Tensor:
    """Return a norm of vectors or of matrices, as `numpy.linalg.norm` does.

    Parameters
    ----------
    x
        Any shape, floating.
    ord
        None (default): the root of the sum of squares; else as for `vector_norm` or
        `matrix_norm`.
    axis
        An axis of vectors, two axes of matrices, or None (default): x is one vector or
        matrix; without ord, any array.
    keepdims
        Keep reduced axes with size 1; default False.

    Raises
    ------
    ShapeError
        If an axis is out of range or named twice, or x is neither vector nor matrix.
    ConfigError
        If ord is none of these.

    Examples
    --------
    >>> norm(Tensor([3.0, -4.0]), 1).item()
    7.0
    """
    checks.array("norm", x=x)
    ndim = len(x.shape)
    if ord is None:
        return euclidean(x, axis=axis, keepdims=keepdims)
    axes = axes_of("norm", axis, ndim)
    if len(axes) == 1:
        return vector_norm(x, axis=axes[0], keepdims=keepdims, ord=ord)  # type: ignore[arg-type]
    if len(axes) != 2:
        raise ShapeError(
            f"norm: argument ord expected None for {len(axes)} axes, got {ord!r}; name one or two"
        )
    result = matrix_norm(moveaxis(x, axes, (-2, -1)), ord=ord)
    return expand_dims(result, axes) if keepdims else result


@plain_arguments
def cond(x: Array, p: float | str | None = None) -> Tensor:
    """Return condition numbers of matrices, the norm times that of the inverse.

    Parameters
    ----------
    x
        Matrices (..., m, n), floating.
    p
        Order of the norm, as for `matrix_norm`. None (default) and 2: the largest
        singular value over the smallest, with the derivatives of `svdvals`; -2: the
        smallest over the largest.

    Raises
    ------
    ShapeError
        If the matrices are not square, for other orders than 2 and -2.
    LinearAlgebraError
        If a matrix is singular, for other orders than 2 and -2.
    DTypeError
        If x is not floating.
    ConfigError
        If p is none of these.

    Examples
    --------
    >>> cond(Tensor([[4.0, 0.0], [0.0, 2.0]])).item()
    2.0
    """
    checks.array("cond", x=x)
    if p is None or p in (2, -2):
        values: Any = svdvals(x)
        first, last = getitem(values, (..., 0)), getitem(values, (..., -1))
        return last / first if p == -2 else first / last
    check_square("cond", "x", unwrap(x))
    result: Any = matrix_norm(x, ord=p) * matrix_norm(inv(x), ord=p)
    return result
