"""Linear systems, and the inverse."""

from __future__ import annotations

from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.ops.linalg.lapack import (
    call_lapack,
    check_matrices,
    check_square,
    column,
    transposed,
    triangle,
)
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.primitive import primitive


@primitive()
def inv(xp: Namespace, a: Array) -> Array:
    """Return the inverse of square matrices.

    Parameters
    ----------
    a
        Matrices (..., n, n), floating.

    Raises
    ------
    LinearAlgebraError
        If a matrix is singular.
    ShapeError
        If the matrices are not square.
    DTypeError
        If a is not floating.

    Examples
    --------
    >>> inv(Tensor([[2.0, 0.0], [0.0, 4.0]]))
    Tensor((2, 2), float64, cpu) [[0.5  0.  ] [0.   0.25]]
    """
    check_square("inv", "a", a)
    return call_lapack(xp, "inv", xp.linalg.inv, a)


inv.vjp(a=lambda g, y: -matmul(transposed(y), matmul(g, transposed(y))))


@primitive(broadcasts=True)
def solve(xp: Namespace, a: Array, b: Array) -> Array:
    """Return the solution x of a x = b.

    Parameters
    ----------
    a
        Matrices (..., n, n), floating.
    b
        A vector (n,), or matrices (..., n, k); leading axes broadcast.

    Raises
    ------
    LinearAlgebraError
        If a matrix is singular.
    ShapeError
        If the matrices are not square, or the sizes differ.
    DTypeError
        If a is not floating.

    Examples
    --------
    >>> solve(Tensor([[2.0, 0.0], [0.0, 4.0]]), Tensor([2.0, 2.0]))
    Tensor((2,), float64, cpu) [1.  0.5]
    """
    check_square("solve", "a", a)
    a, b = _with_common_batch(xp, a, b)
    return call_lapack(xp, "solve", xp.linalg.solve, a, b)


solve.vjp(a=lambda g, a, b, y: _solve_a(g, a, b, y), b=lambda g, a, b: _solve_b(g, a, b))


def _solve_a(g: Array, a: Array, b: Array, y: Array) -> Array:
    if b.ndim == 1:
        g, y = column(g), column(y)
    return -matmul(solve(transposed(a), g), transposed(y))


def _solve_b(g: Array, a: Array, b: Array) -> Array:
    if b.ndim > 1:
        return solve(transposed(a), g)
    solution = solve(transposed(a), column(g))
    return solution.reshape(solution.shape[:-1])


@primitive(broadcasts=True)
def solve_triangular(
    xp: Namespace, a: Array, b: Array, *, lower: bool = False, unit_diagonal: bool = False
) -> Array:
    """Return the solution x of a x = b for triangular a, as `scipy.linalg.solve_triangular`.

    Parameters
    ----------
    a
        Matrices (..., n, n), floating; the other triangle is not read, and its gradient
        is 0.
    b
        A vector (n,), or matrices (..., n, k), floating; leading axes broadcast.
    lower
        Read the lower triangle of a; default False: the upper one.
    unit_diagonal
        Take the diagonal of a for 1 without reading it; default False.

    Raises
    ------
    LinearAlgebraError
        If a 0 is on a diagonal.
    ShapeError
        If the matrices are not square, or the sizes differ.
    DTypeError
        If a or b is not floating.

    Examples
    --------
    >>> solve_triangular(Tensor([[2.0, 0.0], [1.0, 4.0]]), Tensor([2.0, 9.0]), lower=True)
    Tensor((2,), float64, cpu) [1. 2.]
    """
    a, b = _triangular_system(xp, a, b, lower=lower, unit_diagonal=unit_diagonal)
    if lower:
        # An upper triangle is its own LU decomposition, so this is substitution.
        a, b = a[..., ::-1, ::-1], b[::-1] if b.ndim == 1 else b[..., ::-1, :]
    x = call_lapack(xp, "solve_triangular", xp.linalg.solve, a, b)
    if lower:
        x = x[..., ::-1] if b.ndim == 1 else x[..., ::-1, :]
    return x


solve_triangular.vjp(
    a=lambda g, a, b, y, lower, unit_diagonal: _triangular_a(g, a, b, y, lower, unit_diagonal),
    b=lambda g, a, b, lower, unit_diagonal: _triangular_b(g, a, b, lower, unit_diagonal),
)


def _triangular_a(g: Array, a: Array, b: Array, y: Array, lower: bool, unit: bool) -> Array:
    if b.ndim == 1:
        g, y = column(g), column(y)
    adjoint = solve_triangular(transposed(a), g, lower=not lower, unit_diagonal=unit)
    return -triangle(matmul(adjoint, transposed(y)), lower=lower, diagonal=not unit)


def _triangular_b(g: Array, a: Array, b: Array, lower: bool, unit: bool) -> Array:
    columns = g if b.ndim > 1 else column(g)
    x = solve_triangular(transposed(a), columns, lower=not lower, unit_diagonal=unit)
    return x if b.ndim > 1 else x.reshape(x.shape[:-1])


def check_triangular_system(a: Array, b: Array) -> None:
    """Raise unless a is square matrices, and b has as many rows."""
    check_square("solve_triangular", "a", a)
    if b.ndim > 1:
        check_matrices("solve_triangular", b=b)
    if b.shape[-2:][:1] != a.shape[-1:]:
        raise ShapeError(
            f"solve_triangular: argument b expected {a.shape[-1]} rows as a has, "
            f"got shape {b.shape}"
        )


def _triangular_system(
    xp: Namespace, a: Array, b: Array, *, lower: bool, unit_diagonal: bool
) -> tuple[Array, Array]:
    """Return checked a and b with common leading axes, the other triangle of a as zeros."""
    check_triangular_system(a, b)
    a = xp.tril(a) if lower else xp.triu(a)
    if unit_diagonal:
        identity = xp.eye(a.shape[-1], dtype=a.dtype)
        a = xp.where(identity > 0, identity, a)
    return _with_common_batch(xp, a, b)


def _with_common_batch(xp: Namespace, a: Array, b: Array) -> tuple[Array, Array]:
    """Return a and the matrices b with broadcast leading axes, as CuPy's routines need them."""
    if b.ndim <= 1 or a.shape[:-2] == b.shape[:-2]:
        return a, b
    batch = xp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (
        m if m.shape[:-2] == batch else xp.broadcast_to(m, (*batch, *m.shape[-2:])) for m in (a, b)
    )
    return a, b
