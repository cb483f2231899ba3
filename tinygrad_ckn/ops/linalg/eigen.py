"""Eigenvalues and eigenvectors of symmetric matrices, at equal eigenvalues too.

With A = V diag(w) V^T and gradients g of w and V_bar of V,

    A_bar = V (diag(g) + F o skew(V^T V_bar)) V^T,   F_ij = 1 / (w_j - w_i)

(Giles, An extended collection of matrix derivative results, 2008). Where w_i = w_j, no
derivative of the eigenvectors exists, and that of an eigenvalue only to one side; but a
function of the eigenvalues that is symmetric in them is smooth. Its gradient
P = V diag(g) V^T has

    DP[E] = V (D o V^T E V) V^T + (what comes of g),   D_ij = (g_i - g_j) / (w_i - w_j)

and D_ij tends to (H_ii + H_jj)/2 - H_ij, with H the derivative of g in w. So where w_i
and w_j are close, a backward from g to w finds the limit (`limits.py`), and second
derivatives are right there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace, xp_of
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.linalg.lapack import (
    rotate,
    symmetric_eigen,
    symmetric_part,
    transposed,
)
from tinygrad_ckn.ops.linalg.limits import (
    Slopes,
    quotient_of_pairs,
    quotient_of_vectors,
    slopes_of,
)
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor

# what a decomposition found: eigenvalues (..., n) and eigenvectors (..., n, n)
_Eigen = tuple[Array, Array]


class EighResult(NamedTuple):
    """Eigenvalues in ascending order, and eigenvectors as columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


@primitive(name="eigvalsh")
def eigenvalues(xp: Namespace, a: Array, *, eigen: _Eigen) -> Array:
    """Return the eigenvalues that a decomposition of a found, as a function of a."""
    return eigen[0]


eigenvalues.vjp(a=lambda g, a, y, eigen: spectral_matrix(a, g, eigen=eigen, slopes=slopes_of(g, y)))


@primitive(name="eigh")
def eigenvectors(xp: Namespace, a: Array, *, eigen: _Eigen) -> Array:
    """Return the eigenvectors that a decomposition of a found, as a function of a."""
    return eigen[1]


eigenvectors.vjp(a=lambda g, a, y, eigen: _eigenvectors_rule(g, a, y, eigen))


def _eigenvectors_rule(g: Array, a: Array, y: Array, eigen: _Eigen) -> Array:
    w = eigenvalues(a, eigen=eigen)
    product = matmul(transposed(y), g)
    identity = xp_of(eigen[0]).eye(eigen[0].shape[-1], dtype=eigen[0].dtype)
    gaps = w[..., None, :] - w[..., :, None] + identity
    skew = 0.5 * (product - transposed(product))
    return rotate(y, quotient_of_vectors(skew, gaps, eigen[0]))


@primitive()
def spectral_matrix(
    xp: Namespace, a: Array, weights: Array, *, eigen: _Eigen, slopes: Slopes | None
) -> Array:
    """Return V diag(weights) V^T, V the eigenvectors of a, for the rule of `eigenvalues`.

    `slopes` is the derivative of the weights in the eigenvalues.
    """
    _, v = eigen
    return (v * weights[..., None, :]) @ transposed(v)


spectral_matrix.vjp(
    a=lambda g, a, weights, eigen, slopes: _spectral_a(g, a, weights, eigen, slopes),
    weights=lambda g, a, eigen: _spectral_weights(g, a, eigen),
)


def _spectral_a(g: Array, a: Array, weights: Array, eigen: _Eigen, slopes: Slopes | None) -> Array:
    v = eigenvectors(a, eigen=eigen)
    quotients = quotient_of_pairs(weights, eigenvalues(a, eigen=eigen), slopes, -1)
    return rotate(v, quotients * rotate(transposed(v), symmetric_part(g)))


def _spectral_weights(g: Array, a: Array, eigen: _Eigen) -> Array:
    v = eigenvectors(a, eigen=eigen)
    return (v * matmul(g, v)).sum(axis=-2)


def eigh(a: Array, /) -> EighResult:
    """Return eigenvalues and eigenvectors of symmetric matrices.

    Parameters
    ----------
    a
        Symmetric (..., n, n), floating. The symmetric part is used; a matrix that differs
        from it by more than 10% is an error.

    Returns
    -------
    EighResult
        `eigenvalues` (..., n), ascending, with the derivatives of `eigvalsh`, and
        `eigenvectors` (..., n, n), as columns. The sign of each is LAPACK's choice.

    Raises
    ------
    LinearAlgebraError
        If a is not symmetric or not finite (on a GPU: NaN).
    ShapeError
        If the matrices are not square.
    DTypeError
        If a is not floating.

    Notes
    -----
    The eigenvectors of equal eigenvalues have no derivative: it is NaN, unless neither of
    two such vectors has an influence on what is differentiated. Functions of the
    eigenvalues alone have derivatives there, see `eigvalsh`; so have `sqrtm`,
    `inverse_sqrt`, `expm` and `cholesky`.

    Examples
    --------
    >>> eigh(Tensor([[0.0, 1.0], [1.0, 0.0]])).eigenvalues
    Tensor((2,), float64, cpu) [-1.  1.]
    """
    checks.array("eigh", a=a)
    raw: Any = unwrap(a)
    eigen = symmetric_eigen(xp_of(raw), "eigh", raw)
    return EighResult(eigenvalues(a, eigen=eigen), eigenvectors(a, eigen=eigen))


def eigvalsh(a: Array, /) -> Tensor:
    """Return the eigenvalues of symmetric matrices, in ascending order.

    Parameters
    ----------
    a
        Symmetric (..., n, n), floating. The symmetric part is used; a matrix that differs
        from it by more than 10% is an error.

    Raises
    ------
    LinearAlgebraError
        If a is not symmetric or not finite (on a GPU: NaN).
    ShapeError
        If the matrices are not square.
    DTypeError
        If a is not floating.

    Notes
    -----
    Where eigenvalues are equal, smooth functions that are symmetric in them, such as the
    sum of logarithms or of powers, have right derivatives of first and second order;
    third ones are NaN. A single one has a kink there, as `abs` at 0: the gradient is
    v v^T with LAPACK's v, a subgradient for the largest, and second derivatives are NaN.
    They are NaN as well if two calls of `eigvalsh` share in a function.

    Examples
    --------
    >>> a = Tensor([[2.0, 0.0], [0.0, 2.0]], requires_grad=True)
    >>> (eigvalsh(a) ** 3).sum().backward()
    >>> a.grad
    Tensor((2, 2), float64, cpu) [[12.  0.] [ 0. 12.]]
    """
    checks.array("eigvalsh", a=a)
    raw: Any = unwrap(a)
    eigen = symmetric_eigen(xp_of(raw), "eigvalsh", raw)
    return eigenvalues(a, eigen=eigen)
