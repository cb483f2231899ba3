"""Functions of matrices, closed under differentiation to any order.

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
from collections.abc import Callable
from typing import Any, Literal

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace, backend_of, xp_of
from tinygrad_ckn.errors import DTypeError, LinearAlgebraError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.arithmetic import add
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.parallel import one_blas_thread
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor

# Largest residual |A V - V W| of an eigendecomposition relative to max |A|; rounding
# stays far below.
_MAX_RESIDUAL = 1e-3


@primitive(name="inverse_sqrt", saves=True)
def plain_inverse_sqrt(xp: Namespace, a: Array, eps: float) -> tuple[Array, Any]:
    """Return `inverse_sqrt` in its default convention."""
    w, v = symmetric_eigen(xp, "inverse_sqrt", a)
    root = xp.sqrt(_checked_eigenvalues(xp, "inverse_sqrt", w + eps, eps, allow_zero=False))
    with one_blas_thread():
        return (v / root[..., None, :]) @ _transpose(v), (root, v)


plain_inverse_sqrt.vjp(a=lambda g, y, saved: _inverse_sqrt_rule(g, y, saved))


def _inverse_sqrt_rule(g: Array, y: Array, saved: tuple[Array, Array] | None) -> Array:
    if saved is None:
        square = matmul(y, y)
        return -matmul(matmul(square, lyapunov(y, _sym(g))), square)
    root, v = saved
    p = root[..., :, None]
    q = root[..., None, :]
    return -_rotate(v, _rotate(_transpose(v), _sym(g)) / (p * q * (p + q)))


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
        return (v * root[..., None, :]) @ _transpose(v), (root, v)


sqrtm.vjp(a=lambda g, y, saved: _sqrtm_rule(g, y, saved))


def _sqrtm_rule(g: Array, y: Array, saved: tuple[Array, Array] | None) -> Array:
    return lyapunov(y, _sym(g)) if saved is None else _solve_lyapunov(saved, _sym(g))


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
    _check_square("lyapunov", "q", q)
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
    yt = _transpose(y)
    return -_sym(matmul(q_bar, yt) + matmul(yt, q_bar))


def _solve_lyapunov(eigen: tuple[Array, Array], q: Array) -> Array:
    w, v = eigen
    return _rotate(v, _rotate(_transpose(v), q) / (w[..., :, None] + w[..., None, :]))


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
    _check_square("inv", "a", a)
    return _call_lapack(xp, "inv", xp.linalg.inv, a)


inv.vjp(a=lambda g, y: -matmul(_transpose(y), matmul(g, _transpose(y))))


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
    _check_square("solve", "a", a)
    if b.ndim > 1:
        # CuPy does not broadcast the leading axes.
        batch = (
            xp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
            if a.shape[:-2] != b.shape[:-2]
            else a.shape[:-2]
        )
        a, b = (
            m if m.shape[:-2] == batch else xp.broadcast_to(m, (*batch, *m.shape[-2:]))
            for m in (a, b)
        )
    return _call_lapack(xp, "solve", xp.linalg.solve, a, b)


solve.vjp(a=lambda g, a, b, y: _solve_a(g, a, b, y), b=lambda g, a, b: _solve_b(g, a, b))


def _solve_a(g: Array, a: Array, b: Array, y: Array) -> Array:
    if b.ndim > 1:
        return -matmul(solve(_transpose(a), g), _transpose(y))
    column = (*y.shape, 1)
    return -matmul(solve(_transpose(a), g.reshape(column)), _transpose(y.reshape(column)))


def _solve_b(g: Array, a: Array, b: Array) -> Array:
    if b.ndim > 1:
        return solve(_transpose(a), g)
    column = solve(_transpose(a), g.reshape((*g.shape, 1)))
    return column.reshape(column.shape[:-1])


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
    _check_square(op, "a", a)
    asynchronous = backend_of(a).asynchronous
    skew, size = (
        (xp.abs(m).max(axis=(-2, -1)) for m in (a - _transpose(a), a)) if a.size else (a, a)
    )
    symmetric = skew <= 0.1 * size
    if not asynchronous and not bool(symmetric.all()):
        raise LinearAlgebraError(
            f"{op}: argument a expected symmetric finite matrices, got others; pass (a + a.T) / 2"
        )
    # LAPACK's own threads mostly wait for each other.
    with one_blas_thread():
        w, v = xp.linalg.eigh(_sym(a))
    if asynchronous and a.size:
        error = xp.abs(matmul(_sym(a), v) - v * w[..., None, :]).max(axis=(-2, -1))
        w = xp.where((symmetric & (error <= _MAX_RESIDUAL * size))[..., None], w, math.nan)
    return w, v


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


def _call_lapack(xp: Namespace, op: str, function: Callable[..., Array], *matrices: Array) -> Array:
    """Call a function of xp.linalg; raise a LinearAlgebraError for a singular matrix."""
    try:
        with backend_of(*matrices).strict_linalg(), one_blas_thread():
            return function(*matrices)
    except xp.linalg.LinAlgError as error:
        raise LinearAlgebraError(
            f"{op}: argument a expected invertible matrices, got a singular one ({error})"
        ) from error


def _check_square(op: str, argument: str, a: Array) -> None:
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(
            f"{op}: argument {argument} expected square matrices (..., n, n), got shape {a.shape}"
        )
    if a.dtype.kind != "f":
        raise DTypeError(
            f"{op}: argument {argument} expected a floating dtype, got {a.dtype}; "
            "use .astype('float64')"
        )


def _transpose(a: Array) -> Array:
    return a.swapaxes(-1, -2)


def _sym(a: Array) -> Array:
    return 0.5 * (a + _transpose(a))


def _rotate(v: Array, middle: Array) -> Array:
    return matmul(matmul(v, middle), _transpose(v))
