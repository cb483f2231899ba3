"""Roots of matrices, closed under differentiation to any order.

Batches lie along the leading axes. With lyapunov(Y, Q) the solution X of YX + XY = Q:

    Y = (A + eps I)^(-1/2)   has  A_bar = -Y^2 lyapunov(Y, sym Y_bar) Y^2
    Y = A^(1/2)              has  A_bar = lyapunov(Y, sym Y_bar)
    X = lyapunov(A, Q)       has  Q_bar = lyapunov(A, X_bar),  A_bar = -sym(Q_bar X^T + X^T Q_bar)

In the eigenbasis of A these divide by sums of eigenvalues, never by differences, so
repeated ones are harmless. Derivation: differentiate Y A Y = I, Y Y = A and A X + X A =
Q; cf. Higham, Functions of Matrices (2008). Where no solution exists a
LinearAlgebraError is raised. These three occur in training steps, where a GPU must not
be waited for: on a GPU they give NaN instead.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace, backend_of, xp_of
from tinygrad_ckn.errors import LinearAlgebraError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.arithmetic import add
from tinygrad_ckn.ops.linalg.lapack import (
    check_square,
    rotate,
    symmetric_eigen,
    symmetric_part,
    transposed,
)
from tinygrad_ckn.ops.linalg.solve import inv
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.parallel import one_blas_thread
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


@primitive(name="inverse_sqrt", saves=True)
def plain_inverse_sqrt(xp: Namespace, a: Array, eps: float) -> tuple[Array, Any]:
    """Return `inverse_sqrt` in its default convention."""
    w, v = symmetric_eigen(xp, "inverse_sqrt", a)
    root = xp.sqrt(_checked_eigenvalues(xp, "inverse_sqrt", w + eps, eps, allow_zero=False))
    with one_blas_thread():
        return (v / root[..., None, :]) @ transposed(v), (root, v)


plain_inverse_sqrt.vjp(a=lambda g, y, saved: _inverse_sqrt_rule(g, y, saved))


def _inverse_sqrt_rule(g: Array, y: Array, saved: tuple[Array, Array] | None) -> Array:
    if saved is None:
        square = matmul(y, y)
        return -matmul(matmul(square, lyapunov(y, symmetric_part(g))), square)
    root, v = saved
    p = root[..., :, None]
    q = root[..., None, :]
    return -rotate(v, rotate(transposed(v), symmetric_part(g)) / (p * q * (p + q)))


@plain_arguments
def inverse_sqrt(
    a: Array, *, eps: float = 0.0, convention: Literal["inside", "outside"] = "inside"
) -> Tensor:
    """Return the regularised inverse square root of symmetric positive matrices.

    Parameters
    ----------
    a
        Positive semi-definite (..., n, n), floating. The symmetric part is used; a
        matrix that differs from it by more than 10% is an error.
    eps
        Regularisation >= 0; default 0.
    convention
        "inside" (default): (A + eps I)^(-1/2), as in Mairal 2016 (arXiv 1605.06265).
        "outside": eigenvalues 1 / (sqrt(lambda) + eps), as in other CKN codes.

    Raises
    ------
    LinearAlgebraError
        If a is not symmetric, or has an eigenvalue <= -eps (on a GPU: NaN).
    ShapeError
        If the matrices are not square.
    DTypeError
        If a is not floating.
    ConfigError
        If eps is negative, or the convention unknown.

    Examples
    --------
    >>> inverse_sqrt(Tensor([[3.0, 0.0], [0.0, 15.0]]), eps=1.0)
    Tensor((2, 2), float64, cpu) [[0.5  0.  ] [0.   0.25]]
    """
    checks.number("inverse_sqrt", "eps", eps, "a number >= 0", lambda value: value >= 0)
    checks.one_of("inverse_sqrt", ("inside", "outside"), convention=convention)
    if convention == "inside":
        return plain_inverse_sqrt(a, eps)
    checks.array("inverse_sqrt", a=a)
    identity = xp_of(unwrap(a)).eye(a.shape[-1], dtype=a.dtype)
    return inv(add(sqrtm(a), eps * identity))


@primitive(saves=True)
def sqrtm(xp: Namespace, a: Array) -> tuple[Array, Any]:
    """Return the square root of symmetric positive semi-definite matrices.

    Eigenvalues that rounding made negative, by at most 1e-8 of the largest (3e-4 in
    float32), count as 0. Where two eigenvalues are 0 the derivative is infinite.

    Parameters
    ----------
    a
        Matrices (..., n, n), floating; the symmetric part is used.

    Raises
    ------
    LinearAlgebraError
        If a is not symmetric or not positive semi-definite (on a GPU: NaN).
    ShapeError
        If the matrices are not square.
    DTypeError
        If a is not floating.

    Examples
    --------
    >>> sqrtm(Tensor([[4.0, 0.0], [0.0, 9.0]]))
    Tensor((2, 2), float64, cpu) [[2. 0.] [0. 3.]]
    """
    w, v = symmetric_eigen(xp, "sqrtm", a)
    if w.size:
        slack = float(xp.finfo(w.dtype).eps) ** 0.5 * xp.abs(w).max(axis=-1, keepdims=True)
        w = xp.where((w < 0) & (w > -slack), 0, w)
    root = xp.sqrt(_checked_eigenvalues(xp, "sqrtm", w, 0.0, allow_zero=True))
    with one_blas_thread():
        return (v * root[..., None, :]) @ transposed(v), (root, v)


sqrtm.vjp(a=lambda g, y, saved: _sqrtm_rule(g, y, saved))


def _sqrtm_rule(g: Array, y: Array, saved: tuple[Array, Array] | None) -> Array:
    return (
        lyapunov(y, symmetric_part(g))
        if saved is None
        else _solve_lyapunov(saved, symmetric_part(g))
    )


@primitive(saves=True, broadcasts=True)
def lyapunov(xp: Namespace, a: Array, q: Array) -> tuple[Array, Any]:
    """Return the solution X of A X + X A = Q.

    Parameters
    ----------
    a
        Symmetric positive definite matrices (..., n, n), floating.
    q
        Matrices (..., n, n), floating; leading axes broadcast.

    Raises
    ------
    LinearAlgebraError
        If a is not symmetric positive definite (on a GPU: NaN).
    ShapeError
        If the matrices are not square, or their sizes differ.
    DTypeError
        If a or q is not floating.

    Examples
    --------
    >>> lyapunov(Tensor([[1.0, 0.0], [0.0, 3.0]]), Tensor([[2.0, 4.0], [4.0, 6.0]]))
    Tensor((2, 2), float64, cpu) [[1. 1.] [1. 1.]]
    """
    check_square("lyapunov", "q", q)
    w, v = symmetric_eigen(xp, "lyapunov", a)
    eigen = _checked_eigenvalues(xp, "lyapunov", w, 0.0, allow_zero=False), v
    return _solve_lyapunov(eigen, q), eigen


lyapunov.vjp(
    q=lambda g, a, saved: _lyapunov_q(g, a, saved),
    a=lambda g, a, y, saved: _lyapunov_a(g, a, y, saved),
)


def _lyapunov_q(g: Array, a: Array, saved: tuple[Array, Array] | None) -> Array:
    return lyapunov(a, g) if saved is None else _solve_lyapunov(saved, g)


def _lyapunov_a(g: Array, a: Array, y: Array, saved: tuple[Array, Array] | None) -> Array:
    q_bar = _lyapunov_q(g, a, saved)
    yt = transposed(y)
    return -symmetric_part(matmul(q_bar, yt) + matmul(yt, q_bar))


def _solve_lyapunov(eigen: tuple[Array, Array], q: Array) -> Array:
    w, v = eigen
    return rotate(v, rotate(transposed(v), q) / (w[..., :, None] + w[..., None, :]))


def _checked_eigenvalues(
    xp: Namespace, op: str, w: Array, eps: float, *, allow_zero: bool
) -> Array:
    """Return eigenvalues, all of them positive (or 0); raise a LinearAlgebraError if not.

    On a GPU the others become NaN instead.
    """
    if not w.size:
        return w
    if backend_of(w).asynchronous:
        return xp.where(w >= 0 if allow_zero else w > 0, w, math.nan)
    smallest = float(w.min())
    if smallest < 0 or (smallest == 0 and not allow_zero):
        kind = "positive semi-definite" if allow_zero else "positive definite"
        raise LinearAlgebraError(
            f"{op}: argument a expected {kind} matrices, got smallest eigenvalue "
            f"{smallest:.3g} with eps={eps:g}; add eps > {-smallest:.3g} to the diagonal"
        )
    return w
