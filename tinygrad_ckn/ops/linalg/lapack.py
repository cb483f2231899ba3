"""Checks, calls of LAPACK and parts of matrices that the functions of matrices share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace, backend_of, xp_of
from tinygrad_ckn.errors import DTypeError, LinearAlgebraError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.elementwise import where
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.parallel import one_blas_thread

# Largest residual |A V - V W| of an eigendecomposition relative to max |A|; rounding
# stays far below.
_MAX_RESIDUAL = 1e-3
# `expected` of a sentence about a matrix that LAPACK refused
_INVERTIBLE = "invertible matrices, got a singular one"
_CONVERGING = "matrices that LAPACK can decompose, got one that it cannot"


def symmetric_eigen(xp: Namespace, op: str, a: Array) -> tuple[Array, Array]:
    """Return eigenvalues (..., n) and eigenvectors (..., n, n) of symmetric matrices.

    The symmetric part is used, so that every element of a counts; a matrix that differs
    from it by more than 10% is taken for a mistake. On a GPU its eigenvalues are NaN,
    and so are those of a failed decomposition, which CuPy does not report.

    Raises
    ------
    LinearAlgebraError
        If a matrix is not symmetric or not finite (on a GPU: NaN).
    ShapeError, DTypeError
        If the matrices are not square, or not floating.
    """
    check_square(op, "a", a)
    asynchronous = backend_of(a).asynchronous
    symmetric, size = check_symmetric(xp, op, a)
    # LAPACK's own threads mostly wait for each other.
    with one_blas_thread():
        w, v = xp.linalg.eigh(symmetric_part(a))
    if asynchronous and a.size:
        error = xp.abs(matmul(symmetric_part(a), v) - v * w[..., None, :]).max(axis=(-2, -1))
        w = xp.where((symmetric & (error <= _MAX_RESIDUAL * size))[..., None], w, math.nan)
    return w, v


def check_symmetric(xp: Namespace, op: str, a: Array) -> tuple[Array, Array]:
    """Return which matrices are symmetric and finite, and their largest elements.

    Raises
    ------
    LinearAlgebraError
        If one is not; on a GPU nothing is raised.
    """
    skew, size = (
        (xp.abs(m).max(axis=(-2, -1)) for m in (a - transposed(a), a)) if a.size else (a, a)
    )
    symmetric = skew <= 0.1 * size
    if not backend_of(a).asynchronous and not bool(symmetric.all()):
        raise LinearAlgebraError(
            f"{op}: argument a expected symmetric finite matrices, got others; pass (a + a.T) / 2"
        )
    return symmetric, size


def call_lapack(
    xp: Namespace,
    op: str,
    function: Callable[..., Any],
    *matrices: Array,
    expected: str = _INVERTIBLE,
    **options: Any,
) -> Any:
    """Call a function of xp.linalg; raise a LinearAlgebraError for a matrix that it refuses."""
    try:
        with backend_of(*matrices).strict_linalg(), one_blas_thread():
            return function(*matrices, **options)
    except xp.linalg.LinAlgError as error:
        raise refused(op, error, expected) from error


def refused(op: str, error: Exception, expected: str = _INVERTIBLE) -> LinearAlgebraError:
    """Return the error for a matrix that LAPACK refused."""
    return LinearAlgebraError(f"{op}: argument a expected {expected} ({error})")


def decompose(xp: Namespace, op: str, name: str, a: Array, **options: Any) -> Any:
    """Call a decomposition of xp.linalg; raise unless a is floating and finite matrices."""
    check_matrices(op, a=a)
    checks.finite(op, error=LinearAlgebraError, a=a)
    return call_lapack(xp, op, getattr(xp.linalg, name), a, expected=_CONVERGING, **options)


def check_matrices(op: str, **arguments: Any) -> None:
    """Raise unless all arguments are floating matrices (..., m, n)."""
    for name, a in arguments.items():
        if a.ndim < 2:
            raise ShapeError(
                f"{op}: argument {name} expected matrices (..., m, n), got shape {tuple(a.shape)}"
            )
        _check_floating(op, name, a)


def check_square(op: str, argument: str, a: Array) -> None:
    """Raise unless an argument is floating square matrices (..., n, n)."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(
            f"{op}: argument {argument} expected square matrices (..., n, n), got shape {a.shape}"
        )
    _check_floating(op, argument, a)


def _check_floating(op: str, argument: str, a: Array) -> None:
    if a.dtype.kind != "f":
        raise DTypeError(
            f"{op}: argument {argument} expected a floating dtype, got {a.dtype}; "
            "use .astype('float64')"
        )


def transposed(a: Array) -> Any:
    """Return the matrices transposed."""
    return a.swapaxes(-1, -2)


def symmetric_part(a: Array) -> Array:
    """Return (A + A^T) / 2."""
    return 0.5 * (a + transposed(a))


def rotate(v: Array, middle: Array) -> Array:
    """Return V M V^T."""
    return matmul(matmul(v, middle), transposed(v))


def triangle(a: Array, *, lower: bool = True, diagonal: bool = True) -> Array:
    """Return the lower or upper triangle, with or without the diagonal, and zeros elsewhere."""
    rows, columns = a.shape[-2:]
    xp = xp_of(unwrap(a))
    below = xp.arange(rows)[:, None] - xp.arange(columns)
    below = below if lower else -below
    return where(below >= 0 if diagonal else below > 0, a, 0)


def column(x: Array) -> Array:
    """Return vectors (..., n) as columns (..., n, 1)."""
    return x.reshape((*x.shape, 1))
