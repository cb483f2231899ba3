"""Functions of matrices, closed under differentiation to any order; batches along the leading axes.

With lyapunov(Y, Q) the solution X of YX + XY = Q:
    Y = (A + eps I)^(-1/2)   has  A_bar = -Y^2 lyapunov(Y, sym Y_bar) Y^2
    Y = A^(1/2)              has  A_bar = lyapunov(Y, sym Y_bar)
    X = lyapunov(A, Q)       has  Q_bar = lyapunov(A, X_bar),  A_bar = -sym(Q_bar X^T + X^T Q_bar)
In the eigenbasis of A these divide by sums of eigenvalues, never by differences, so
repeated ones are harmless. What cannot be done raises a LinearAlgebraError; of these
three, which training steps have, on a GPU it gives NaN. Derivation: differentiate Y A Y
= I, Y Y = A and A X + X A = Q; cf. Higham, Functions of Matrices (2008).
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from tinygrad_ckn.backend import Array, Namespace, backend_of, xp_of
from tinygrad_ckn.errors import ConfigError, DTypeError, LinearAlgebraError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.arithmetic import add
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.parallel import one_blas_thread
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.primitive import primitive

# of a matrix's largest element: what A V - V W may be, far above rounding
_SOLVED = 1e-3


def _transpose(a: Any) -> Any:
    return a.swapaxes(-1, -2)


def _sym(a: Any) -> Any:
    return 0.5 * (a + _transpose(a))


def _check_square(op: str, argument: str, a: Any) -> None:
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(
            f"{op}: argument {argument} expected square matrices (..., n, n), got shape {a.shape}"
        )
    if a.dtype.kind != "f":
        raise DTypeError(
            f"{op}: argument {argument} expected a floating dtype, got {a.dtype}; use .astype('float64')"
        )


def symmetric_eigen(xp: Namespace, op: str, a: Any) -> tuple[Any, Any]:
    """Return eigenvalues (..., n) and eigenvectors (..., n, n) of symmetric matrices.

    The symmetric part is taken, so that every element of a counts; what is far from
    symmetric (10%) is a mistake. On a GPU eigenvalues are NaN then, and where they do
    not solve the problem: CuPy does not say when that fails.
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
    # LAPACK's threads mostly wait for each other
    with one_blas_thread():
        w, v = xp.linalg.eigh(_sym(a))
    if asynchronous and a.size:
        error = xp.abs(matmul(_sym(a), v) - v * w[..., None, :]).max(axis=(-2, -1))
        w = xp.where((symmetric & (error <= _SOLVED * size))[..., None], w, math.nan)
    return w, v


def _rotate(v: Any, middle: Any) -> Any:
    return matmul(matmul(v, middle), _transpose(v))


def _positive(xp: Namespace, op: str, w: Any, eps: float, *, zero: bool) -> Any:
    """Return eigenvalues; refuse those of which the root, or with zero=False its inverse, does not exist.

    On a GPU they become NaN instead.
    """
    if not w.size:
        return w
    if backend_of(w).asynchronous:
        return xp.where(w >= 0 if zero else w > 0, w, math.nan)
    least = float(w.min())
    if least < 0 or (least == 0 and not zero):
        raise LinearAlgebraError(
            f"{op}: argument a expected positive {'semi-' if zero else ''}definite matrices, got smallest eigenvalue "
            f"{least:.3g} with eps={eps:g}; add eps > {-least:.3g} to the diagonal"
        )
    return w


@primitive(name="inverse_sqrt", saves=True)
def plain_inverse_sqrt(xp: Namespace, a: Array, eps: float) -> Any:
    """Return `inverse_sqrt` in its usual convention."""
    w, v = symmetric_eigen(xp, "inverse_sqrt", a)
    root = xp.sqrt(_positive(xp, "inverse_sqrt", w + eps, eps, zero=False))
    with one_blas_thread():
        return (v / root[..., None, :]) @ _transpose(v), (root, v)


def _inverse_sqrt_rule(g: Any, y: Any, saved: Any) -> Any:
    if saved is None:
        square = matmul(y, y)
        return -matmul(matmul(square, lyapunov(y, _sym(g))), square)
    root, v = saved
    p, q = root[..., :, None], root[..., None, :]
    return -_rotate(v, _rotate(_transpose(v), _sym(g)) / (p * q * (p + q)))


plain_inverse_sqrt.vjp(a=_inverse_sqrt_rule)


@plain_arguments
def inverse_sqrt(a: Any, *, eps: float = 0.0, convention: str = "inside") -> Any:
    """Return the regularised inverse square root of symmetric positive semi-definite matrices (..., n, n).

    Parameters
    ----------
    a
        Symmetric; the symmetric part is used, and what is more than 10% from it refused.
    eps
        At least 0.
    convention
        "inside": (A + eps I)^(-1/2), as in Mairal 2016 (arXiv 1605.06265).
        "outside": eigenvalues 1 / (sqrt(lambda) + eps), as other CKN codes have it.

    Raises
    ------
    LinearAlgebraError
        If a is not symmetric, or an eigenvalue is not positive and eps does not make it
        so (on a GPU: NaN).
    ShapeError
        If the matrices are not square.

    Examples
    --------
    >>> inverse_sqrt(Tensor([[3.0, 0.0], [0.0, 15.0]]), eps=1.0)
    Tensor((2, 2), float64, cpu) [[0.5  0.  ] [0.   0.25]]
    """
    if not (isinstance(eps, Real) and float(eps) >= 0):
        raise ConfigError(f"inverse_sqrt: argument eps expected a number >= 0, got {eps!r}")
    if convention == "inside":
        return plain_inverse_sqrt(a, eps)
    if convention != "outside":
        raise ConfigError(
            f"inverse_sqrt: argument convention expected 'inside' or 'outside', got {convention!r}"
        )
    return inv(add(sqrtm(a), eps * _identity(a)))


def _identity(a: Any) -> Any:
    return xp_of(unwrap(a)).eye(a.shape[-1], dtype=a.dtype)


@primitive(saves=True)
def sqrtm(xp: Namespace, a: Array) -> Any:
    """Return the square root of symmetric positive semi-definite matrices (..., n, n).

    Eigenvalues that rounding made negative, by at most 1e-8 of the largest (3e-4 in
    float32), count as 0; where two eigenvalues are 0 the derivative is infinite.

    Raises
    ------
    LinearAlgebraError
        If a is not symmetric or not positive semi-definite (on a GPU: NaN).

    Examples
    --------
    >>> sqrtm(Tensor([[4.0, 0.0], [0.0, 9.0]]))
    Tensor((2, 2), float64, cpu) [[2. 0.] [0. 3.]]
    """
    w, v = symmetric_eigen(xp, "sqrtm", a)
    if w.size:
        slack = float(xp.finfo(w.dtype).eps) ** 0.5 * xp.abs(w).max(axis=-1, keepdims=True)
        w = xp.where((w < 0) & (w > -slack), 0, w)
    root = xp.sqrt(_positive(xp, "sqrtm", w, 0.0, zero=True))
    with one_blas_thread():
        return (v * root[..., None, :]) @ _transpose(v), (root, v)


def _sqrtm_rule(g: Any, y: Any, saved: Any) -> Any:
    if saved is None:
        return lyapunov(y, _sym(g))
    return _solve_lyapunov(saved, _sym(g))


sqrtm.vjp(a=_sqrtm_rule)


def _solve_lyapunov(eigen: tuple[Any, Any], q: Any) -> Any:
    w, v = eigen
    return _rotate(v, _rotate(_transpose(v), q) / (w[..., :, None] + w[..., None, :]))


@primitive(saves=True, broadcasts=True)
def lyapunov(xp: Namespace, a: Array, q: Array) -> Any:
    """Return the solution X of A X + X A = Q for symmetric positive definite A; both (..., n, n).

    Raises
    ------
    LinearAlgebraError
        If a is not symmetric positive definite (on a GPU: NaN).
    ShapeError
        If the matrices are not square or not of one size.

    Examples
    --------
    >>> lyapunov(Tensor([[1.0, 0.0], [0.0, 3.0]]), Tensor([[2.0, 4.0], [4.0, 6.0]]))
    Tensor((2, 2), float64, cpu) [[1. 1.] [1. 1.]]
    """
    _check_square("lyapunov", "q", q)
    w, v = symmetric_eigen(xp, "lyapunov", a)
    eigen = _positive(xp, "lyapunov", w, 0.0, zero=False), v
    return _solve_lyapunov(eigen, q), eigen


def _lyapunov_q(g: Any, a: Any, saved: Any) -> Any:
    return lyapunov(a, g) if saved is None else _solve_lyapunov(saved, g)


def _lyapunov_a(g: Any, a: Any, y: Any, saved: Any) -> Any:
    q_bar, yt = _lyapunov_q(g, a, saved), _transpose(y)
    return -_sym(matmul(q_bar, yt) + matmul(yt, q_bar))


lyapunov.vjp(q=_lyapunov_q, a=_lyapunov_a)


def _lapack(xp: Namespace, op: str, function: Any, *matrices: Any) -> Any:
    """Call LAPACK; a singular matrix gives a LinearAlgebraError."""
    try:
        with backend_of(*matrices).strict_linalg(), one_blas_thread():
            return function(*matrices)
    except xp.linalg.LinAlgError as error:
        raise LinearAlgebraError(
            f"{op}: argument a expected invertible matrices, got a singular one ({error})"
        ) from error


@primitive()
def inv(xp: Namespace, a: Array) -> Any:
    """Return the inverse of square matrices (..., n, n).

    Raises
    ------
    LinearAlgebraError
        If a matrix is singular.

    Examples
    --------
    >>> inv(Tensor([[2.0, 0.0], [0.0, 4.0]]))
    Tensor((2, 2), float64, cpu) [[0.5  0.  ] [0.   0.25]]
    """
    _check_square("inv", "a", a)
    return _lapack(xp, "inv", xp.linalg.inv, a)


@primitive(broadcasts=True)
def solve(xp: Namespace, a: Array, b: Array) -> Any:
    """Return the solution x of a x = b; a (..., n, n), b (n,) or (..., n, k), broadcast.

    Raises
    ------
    LinearAlgebraError
        If a matrix is singular.

    Examples
    --------
    >>> solve(Tensor([[2.0, 0.0], [0.0, 4.0]]), Tensor([2.0, 2.0]))
    Tensor((2,), float64, cpu) [1.  0.5]
    """
    _check_square("solve", "a", a)
    # CuPy takes batches of one shape only
    if b.ndim > 1:
        batch = (
            xp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
            if a.shape[:-2] != b.shape[:-2]
            else a.shape[:-2]
        )
        a, b = (
            m if m.shape[:-2] == batch else xp.broadcast_to(m, (*batch, *m.shape[-2:]))
            for m in (a, b)
        )
    return _lapack(xp, "solve", xp.linalg.solve, a, b)


def _solve_b(g: Any, a: Any, b: Any) -> Any:
    if b.ndim > 1:
        return solve(_transpose(a), g)
    column = solve(_transpose(a), g.reshape((*g.shape, 1)))
    return column.reshape(column.shape[:-1])


def _solve_a(g: Any, a: Any, b: Any, y: Any) -> Any:
    if b.ndim > 1:
        return -matmul(solve(_transpose(a), g), _transpose(y))
    column = (*y.shape, 1)
    return -matmul(solve(_transpose(a), g.reshape(column)), _transpose(y.reshape(column)))


inv.vjp(a=lambda g, y: -matmul(_transpose(y), matmul(g, _transpose(y))))
solve.vjp(a=_solve_a, b=_solve_b)
