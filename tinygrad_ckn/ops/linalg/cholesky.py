"""The Cholesky factor, and its derivative by triangular solves.

With A = L L^T and Phi(M) the lower triangle of M with its diagonal halved,

    A_bar = sym(L^-T Phi(L^T L_bar) L^-1)

(Murray, Differentiation of the Cholesky decomposition, 2016, arXiv 1602.07527). No
eigenvalues occur, so equal ones are harmless, and log det A = 2 sum(log(diag(L))) has
right derivatives of any order at all positive definite matrices.
"""

from __future__ import annotations

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.ops.linalg.lapack import (
    call_lapack,
    check_square,
    check_symmetric,
    symmetric_part,
    transposed,
    triangle,
)
from tinygrad_ckn.ops.linalg.solve import solve_triangular
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor

_DEFINITE = "positive definite matrices, got another; add eps > 0 to the diagonal"


@primitive(name="cholesky")
def _lower_factor(xp: Namespace, a: Array) -> Array:
    """Return the lower Cholesky factor of symmetric positive definite matrices."""
    check_square("cholesky", "a", a)
    check_symmetric(xp, "cholesky", a)
    return call_lapack(xp, "cholesky", xp.linalg.cholesky, symmetric_part(a), expected=_DEFINITE)


_lower_factor.vjp(a=lambda g, y: _cholesky_rule(g, y))


def _cholesky_rule(g: Array, y: Array) -> Array:
    product = triangle(matmul(transposed(y), triangle(g)))
    phi = product - 0.5 * triangle(triangle(product, lower=False))
    half = solve_triangular(transposed(y), phi)
    return symmetric_part(transposed(solve_triangular(transposed(y), transposed(half))))


def cholesky(a: Array, /, *, upper: bool = False) -> Tensor:
    """Return the Cholesky factor L of A = L L^T, or U of A = U^T U.

    Parameters
    ----------
    a
        Symmetric positive definite (..., n, n), floating. The symmetric part is used; a
        matrix that differs from it by more than 10% is an error.
    upper
        Return U = L^T; default False.

    Raises
    ------
    LinearAlgebraError
        If a is not symmetric or not positive definite.
    ShapeError
        If the matrices are not square.
    DTypeError
        If a is not floating.

    Examples
    --------
    >>> cholesky(Tensor([[4.0, 2.0], [2.0, 5.0]]))
    Tensor((2, 2), float64, cpu) [[2. 0.] [1. 2.]]
    """
    checks.array("cholesky", a=a)
    factor = _lower_factor(a)
    return transposed(factor) if upper else factor
