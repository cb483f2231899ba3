"""Singular values and vectors, at equal and at zero singular values too.

With A = U diag(s) V^T, E = U^T dA V and gradients g of s and U_bar of U,

    A_bar = U diag(g) V^T
          + U (F o (M - M^T)) diag(s) V^T + (I - U U^T) U_bar diag(1/s) V^T,  M = U^T U_bar

with F_ij = 1 / (s_j^2 - s_i^2); that of V is the same of A^T (Giles 2008; Townsend,
Differentiating the singular value decomposition, 2016). The first term has itself the
derivative

    U (D- o sym E + D+ o skew E) V^T + (I - U U^T) dA V diag(g/s) V^T
                                     + U diag(g/s) U^T dA (I - V V^T),
    D-_ij = (g_i - g_j) / (s_i - s_j),   D+_ij = (g_i + g_j) / (s_i + s_j)

whose quotients have limits for functions of the singular values that are symmetric and
smooth, and even where one is 0; see `limits.py`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace, xp_of
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.join import concatenate
from tinygrad_ckn.ops.linalg.lapack import (
    decompose,
    symmetric_part,
    transposed,
)
from tinygrad_ckn.ops.linalg.limits import (
    Slopes,
    quotient_of_each,
    quotient_of_pairs,
    quotient_of_vectors,
    slopes_of,
    without_derivative,
)
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor

# what a decomposition found: U (..., m, k), s (..., k), V (..., n, k); k = min(m, n)
_Parts = tuple[Array, Array, Array]


class SVDResult(NamedTuple):
    """Left singular vectors, singular values in descending order, right vectors as rows."""

    U: Tensor
    S: Tensor
    Vh: Tensor


@primitive(name="svdvals")
def singular_values(xp: Namespace, a: Array, *, parts: _Parts) -> Array:
    """Return the singular values that a decomposition of a found, as a function of a."""
    return parts[1]


singular_values.vjp(
    a=lambda g, a, y, parts: polar_matrix(a, g, parts=parts, slopes=slopes_of(g, y, zero=True))
)


@primitive(name="svd")
def left_vectors(xp: Namespace, a: Array, *, parts: _Parts) -> Array:
    """Return the left singular vectors that a decomposition of a found, as a function of a."""
    return parts[0]


left_vectors.vjp(a=lambda g, a, y, parts: _left_vectors_rule(g, a, y, parts))


def _left_vectors_rule(g: Array, a: Array, y: Array, parts: _Parts) -> Array:
    raw = parts[1]
    s = singular_values(a, parts=parts)
    v = _right_vectors(a, parts)
    product = matmul(transposed(y), g)
    identity = xp_of(raw).eye(raw.shape[-1], dtype=raw.dtype)
    row, column = s[..., :, None], s[..., None, :]
    # s_j / (s_j^2 - s_i^2)
    within = quotient_of_vectors(product - transposed(product), column - row + identity, raw)
    within = quotient_of_vectors(within * column, column + row, raw)
    gradient = matmul(matmul(y, within), transposed(v))
    if a.shape[-2] > raw.shape[-1]:
        outside = quotient_of_vectors(g - matmul(y, product), column, raw)
        gradient = gradient + matmul(outside, transposed(v))
    return gradient


def _right_vectors(a: Array, parts: _Parts) -> Array:
    """Return the right singular vectors (..., n, k): the left ones of the transpose."""
    u, s, v = parts
    return left_vectors(transposed(a), parts=(v, s, u))


@primitive()
def polar_matrix(
    xp: Namespace, a: Array, weights: Array, *, parts: _Parts, slopes: Slopes | None
) -> Array:
    """Return U diag(weights) V^T of a = U diag(s) V^T, for the rule of `singular_values`.

    `slopes` is the derivative of the weights in the singular values.
    """
    u, _, v = parts
    return (u * weights[..., None, :]) @ transposed(v)


polar_matrix.vjp(
    a=lambda g, a, weights, parts, slopes: _polar_a(g, a, weights, parts, slopes),
    weights=lambda g, a, parts: _polar_weights(g, a, parts),
)


def _polar_a(g: Array, a: Array, weights: Array, parts: _Parts, slopes: Slopes | None) -> Array:
    s = singular_values(a, parts=parts)
    u, v = left_vectors(a, parts=parts), _right_vectors(a, parts)
    ug, gv = matmul(transposed(u), g), matmul(g, v)
    inner = matmul(ug, v)
    even = symmetric_part(inner)
    middle = even * quotient_of_pairs(weights, s, slopes, -1)
    middle = middle + (inner - even) * quotient_of_pairs(weights, s, slopes, 1)
    gradient = matmul(matmul(u, middle), transposed(v))
    rows, columns = a.shape[-2:]
    if rows != columns:
        each = quotient_of_each(weights, s, slopes)[..., None, :]
        if rows > columns:
            gradient = gradient + matmul((gv - matmul(u, inner)) * each, transposed(v))
        else:
            rest = ug - matmul(inner, transposed(v))
            gradient = gradient + matmul(u * each, rest)
    return gradient


def _polar_weights(g: Array, a: Array, parts: _Parts) -> Array:
    u, v = left_vectors(a, parts=parts), _right_vectors(a, parts)
    return (u * matmul(g, v)).sum(axis=-2)


def _decomposition(op: str, a: Array) -> _Parts:
    raw: Any = unwrap(a)
    u, s, vt = decompose(xp_of(raw), op, "svd", raw, full_matrices=False)
    return u, s, transposed(vt)


def svd(a: Array, /, full_matrices: bool = True) -> SVDResult:
    """Return the singular value decomposition a = U diag(S) Vh.

    Parameters
    ----------
    a
        Matrices (..., m, n), floating.
    full_matrices
        Return square U (..., m, m) and Vh (..., n, n), default True as in NumPy; else
        U (..., m, k) and Vh (..., k, n), k = min(m, n). Of a matrix that is not square
        the added vectors have no derivative: it is NaN.

    Returns
    -------
    SVDResult
        `U`, `S` (..., k), descending, with the derivatives of `svdvals`, and `Vh`. The
        signs of the vectors are LAPACK's choice.

    Raises
    ------
    LinearAlgebraError
        If a is not finite.
    ShapeError
        If a has fewer than two axes.
    DTypeError
        If a is not floating.

    Notes
    -----
    The vectors of equal singular values have no derivative, nor have those of singular
    value 0: it is NaN, unless they have no influence on what is differentiated.
    Functions of the singular values alone have derivatives there, see `svdvals`.

    Examples
    --------
    >>> svd(Tensor([[0.0, 2.0], [1.0, 0.0]])).S
    Tensor((2,), float64, cpu) [2. 1.]
    """
    checks.array("svd", a=a)
    parts = _decomposition("svd", a)
    u: Any = left_vectors(a, parts=parts)
    v: Any = _right_vectors(a, parts)
    raw: Any = unwrap(a)
    rows, columns = raw.shape[-2:]
    if full_matrices and rows != columns:
        full: Any = decompose(xp_of(raw), "svd", "svd", raw)
        if rows > columns:
            u = _extended(u, full[0], a)
        else:
            v = _extended(v, transposed(full[2]), a)
    return SVDResult(u, singular_values(a, parts=parts), transposed(v))


def _extended(vectors: Any, full: Array, a: Array) -> Tensor:
    """Return vectors (..., m, k) with the other columns of `full` (..., m, m)."""
    added = without_derivative(full[..., vectors.shape[-1] :], a)
    return concatenate([vectors, added], axis=-1)


def svdvals(a: Array, /) -> Tensor:
    """Return the singular values, in descending order.

    Parameters
    ----------
    a
        Matrices (..., m, n), floating.

    Raises
    ------
    LinearAlgebraError
        If a is not finite.
    ShapeError
        If a has fewer than two axes.
    DTypeError
        If a is not floating.

    Notes
    -----
    Where singular values are equal, smooth functions that are symmetric in them have
    right derivatives of first and second order, and so they have where some are 0 if
    they are even functions, such as sums of squares. Third derivatives are NaN there. A
    single one has a kink, and so has the sum where one is 0: the gradient is that of
    LAPACK's u v^T, a subgradient for the largest and for the sum, and second derivatives
    are NaN. They are NaN as well if two calls of `svdvals` share in a function.

    Examples
    --------
    >>> svdvals(Tensor([[0.0, 2.0], [1.0, 0.0]]))
    Tensor((2,), float64, cpu) [2. 1.]
    """
    checks.array("svdvals", a=a)
    return singular_values(a, parts=_decomposition("svdvals", a))
