"""Determinants and their logarithms.

The gradient of det A is the matrix of cofactors, a polynomial in the elements of A,
which exists for singular matrices too. With the singular values s of A = U S V^T and
d = det U det V, cofactors and their derivative in the direction E are

    cof A = d U diag(p) V^T,      p_i the product of all s but s_i
    D cof A [E] = d U R V^T,      R_ii = sum_j p_ij F_jj,  R_ij = -p_ij F_ji,  F = U^T E V

with p_ij the product of all s but s_i and s_j, and p_ii = 0: nothing is divided. Derived
from det(S + F) up to second order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace, xp_of
from tinygrad_ckn.ops.arithmetic import multiply
from tinygrad_ckn.ops.index import getitem
from tinygrad_ckn.ops.linalg.lapack import call_lapack, check_square, decompose, transposed
from tinygrad_ckn.ops.linalg.solve import inv
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


@primitive()
def det(xp: Namespace, a: Array) -> Array:
    """Return the determinant of square matrices.

    First and second derivatives are right for singular matrices too, whatever their
    rank. Third ones need invertible matrices.

    Parameters
    ----------
    a
        Matrices (..., n, n), floating.

    Raises
    ------
    ShapeError
        If the matrices are not square.
    DTypeError
        If a is not floating.
    LinearAlgebraError
        In a backward pass, if a is not finite; in one for third derivatives, if a is
        singular.

    Examples
    --------
    >>> a = Tensor([[1.0, 2.0], [2.0, 4.0]], requires_grad=True)
    >>> det(a).backward()
    >>> a.grad
    Tensor((2, 2), float64, cpu) [[ 4. -2.] [-2.  1.]]
    """
    check_square("det", "a", a)
    return call_lapack(xp, "det", xp.linalg.det, a)


det.vjp(a=lambda g, a: multiply(g.reshape((*g.shape, 1, 1)), cofactors(a)))


@primitive(saves=True)
def cofactors(xp: Namespace, a: Array) -> tuple[Array, Any]:
    """Return the matrices of cofactors, the gradients of the determinants.

    Examples
    --------
    >>> cofactors(Tensor([[1.0, 2.0], [3.0, 4.0]])).round(12)
    Tensor((2, 2), float64, cpu) [[ 4. -3.] [-2.  1.]]
    """
    check_square("cofactors", "a", a)
    u, s, vt = decompose(xp, "det", "svd", a)
    # of orthogonal matrices: 1 or -1
    sign = (xp.linalg.slogdet(u)[0] * xp.linalg.slogdet(vt)[0])[..., None, None]
    return (u * (sign * _products_without_one(xp, s)[..., None, :])) @ vt, (u, s, vt, sign)


cofactors.vjp(a=lambda g, a, saved: _cofactors_rule(g, a, saved))


def _cofactors_rule(g: Array, a: Array, saved: tuple[Array, ...] | None) -> Array:
    if saved is None:
        # recorded: in terms of operations, as det(A) A^-T
        inverse = transposed(inv(a))
        along = (g * inverse).sum(axis=(-2, -1), keepdims=True)
        change = along * inverse - matmul(inverse, matmul(transposed(g), inverse))
        return det(a).reshape((*g.shape[:-2], 1, 1)) * change
    u, s, vt, sign = saved
    xp = xp_of(s)
    pairs = _products_without_two(xp, s)
    f = transposed(u) @ g @ transposed(vt)
    diagonal = xp.eye(s.shape[-1], dtype=bool)
    own = (pairs @ xp.where(diagonal, f, 0).sum(axis=-1)[..., None])[..., 0]
    r = xp.where(diagonal, own[..., None], -pairs * transposed(f))
    return sign * (u @ r @ vt)


def _products_without_one(xp: Namespace, s: Array) -> Array:
    """Return the product of all elements of s (..., n) but each one."""
    n = s.shape[-1]
    others = xp.where(xp.eye(n, dtype=bool), 1, s[..., None, :])
    return others.prod(axis=-1)


def _products_without_two(xp: Namespace, s: Array) -> Array:
    """Return the products (..., n, n) of all elements but two; 0 on the diagonal."""
    diagonal = xp.eye(s.shape[-1], dtype=bool)
    rows = [_products_without_one(xp, xp.where(own, 1, s)) for own in diagonal]
    return xp.where(diagonal, 0, xp.stack(rows, axis=-2)) if rows else xp.zeros((*s.shape, 0))


class SlogdetResult(NamedTuple):
    """Signs and logarithms of the absolute values of determinants."""

    sign: Tensor
    logabsdet: Tensor


@primitive(name="slogdet")
def _sign_and_logarithm(xp: Namespace, a: Array) -> Array:
    """Return the sign and logarithm of determinants, stacked along a new first axis."""
    check_square("slogdet", "a", a)
    return xp.stack(call_lapack(xp, "slogdet", xp.linalg.slogdet, a))


_sign_and_logarithm.vjp(a=lambda g, a: _slogdet_rule(g, a))


def _slogdet_rule(g: Array, a: Array) -> Array:
    slope = getitem(g, 1)
    return slope.reshape((*slope.shape, 1, 1)) * transposed(inv(a))


def slogdet(a: Array, /) -> SlogdetResult:
    """Return the signs and the logarithms of the absolute values of determinants.

    The gradient of the logarithm is the inverse, transposed. No eigenvalues occur, so
    equal ones are harmless; derivatives of any order are right. That of the sign is 0.

    Parameters
    ----------
    a
        Matrices (..., n, n), floating.

    Returns
    -------
    SlogdetResult
        `sign` (...), 1, -1 or 0, and `logabsdet` (...), -inf for singular matrices.

    Raises
    ------
    ShapeError
        If the matrices are not square.
    DTypeError
        If a is not floating.
    LinearAlgebraError
        In a backward pass, if a is singular.

    Examples
    --------
    >>> sign, logarithm = slogdet(Tensor([[0.0, 1.0], [1.0, 0.0]]))
    >>> sign.item(), logarithm.item()
    (-1.0, 0.0)
    """
    checks.array("slogdet", a=a)
    both = _sign_and_logarithm(a)
    return SlogdetResult(getitem(both, 0), getitem(both, 1))
