"""The pseudo-inverse, least squares and ranks.

With P the pseudo-inverse of A and P_bar its gradient,

    A_bar = -P^T P_bar P^T + (I - A P) P_bar^T P P^T + P^T P P_bar^T (I - P A)

(Golub and Pereyra, The differentiation of pseudo-inverses and nonlinear least squares
problems whose variables separate, 1973).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.elementwise import square
from tinygrad_ckn.ops.linalg.lapack import check_matrices, column, decompose, transposed
from tinygrad_ckn.ops.linalg.singular import svdvals
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor

# a number, or one for each matrix
Tolerance: TypeAlias = "float | Sequence[float] | None"


@primitive(name="pinv")
def _pinv(xp: Namespace, a: Array, *, rtol: Tolerance = None) -> Array:
    """Return `pinv`, with a tolerance that is no Tensor."""
    u, s, vt = decompose(xp, "pinv", "svd", a, full_matrices=False)
    kept = s > _cutoff(xp, a, s, rtol)
    inverse = xp.where(kept, 1 / xp.where(kept, s, 1), 0)
    return transposed(vt) @ (inverse[..., None] * transposed(u))


_pinv.vjp(a=lambda g, a, y: _pinv_rule(g, a, y))


def _pinv_rule(g: Array, a: Array, y: Array) -> Array:
    yt, gt = transposed(y), transposed(g)
    right = matmul(gt, matmul(y, yt))
    left = matmul(matmul(yt, y), gt)
    change = right - matmul(a, matmul(y, right)) + left - matmul(matmul(left, y), a)
    return change - matmul(yt, matmul(g, yt))


def pinv(a: Array, /, *, rtol: Array | float | None = None) -> Tensor:
    """Return the Moore-Penrose pseudo-inverse.

    Derivatives of any order are those among matrices of the same rank. Where the rank
    can change the pseudo-inverse jumps, and in such directions it has none.

    Parameters
    ----------
    a
        Matrices (..., m, n), floating.
    rtol
        Singular values up to this times the largest count as 0; a number, or one for
        each matrix. Default: max(m, n) times the rounding of the dtype.

    Raises
    ------
    LinearAlgebraError
        If a is not finite.
    ShapeError
        If a has fewer than two axes.
    DTypeError
        If a is not floating.

    Examples
    --------
    >>> pinv(Tensor([[2.0, 0.0], [0.0, 0.0]]))
    Tensor((2, 2), float64, cpu) [[0.5 0. ] [0.  0. ]]
    """
    checks.array("pinv", a=a)
    return _pinv(a, rtol=unwrap(rtol))


def _cutoff(xp: Namespace, a: Array, s: Array, rtol: Any) -> Array:
    """Return the singular value (..., 1) up to which others count as 0."""
    if rtol is None:
        rtol = max(a.shape[-2:]) * float(xp.finfo(s.dtype).eps)
    largest = s.max(axis=-1, keepdims=True) if s.shape[-1] else s[..., :0].sum(-1, keepdims=True)
    cutoff: Array = largest * xp.asarray(rtol, dtype=s.dtype)[..., None]
    return cutoff


@primitive(name="matrix_rank")
def _matrix_rank(xp: Namespace, a: Array, *, rtol: Tolerance = None) -> Array:
    """Return `matrix_rank`, with a tolerance that is no Tensor."""
    if a.ndim < 2:
        # as NumPy has it, of a vector or number
        return xp.asarray((a != 0).any()).astype("int64")
    s = decompose(xp, "matrix_rank", "svd", a, compute_uv=False)
    return (s > _cutoff(xp, a, s, rtol)).sum(axis=-1)


def matrix_rank(a: Array, /, *, rtol: Array | float | None = None) -> Tensor:
    """Return the ranks of matrices, as integers.

    Parameters
    ----------
    a
        Matrices (..., m, n), floating.
    rtol
        Singular values up to this times the largest count as 0; a number, or one for
        each matrix. Default: max(m, n) times the rounding of the dtype.

    Raises
    ------
    LinearAlgebraError
        If a is not finite.
    DTypeError
        If a is not floating.

    Examples
    --------
    >>> matrix_rank(Tensor([[1.0, 2.0], [2.0, 4.0]])).item()
    1
    """
    checks.array("matrix_rank", a=a)
    return _matrix_rank(a, rtol=unwrap(rtol))


class LstsqResult(NamedTuple):
    """Solutions of least squares problems, and what NumPy returns with them."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def lstsq(a: Array, b: Array, /, *, rtol: Array | float | None = None) -> LstsqResult:
    """Return the x of least norm among those with the least |a x - b|^2.

    It is `pinv(a)` times b, and has its derivatives: of any order, among matrices of the
    same rank.

    Parameters
    ----------
    a
        Matrices (..., m, n), floating.
    b
        A vector (m,), or matrices (..., m, k); leading axes broadcast.
    rtol
        As for `pinv`.

    Returns
    -------
    LstsqResult
        `solution` (n,) or (..., n, k); `residuals` (k,) or (..., k), the sum of squares
        of each column of a x - b, whatever the rank (NumPy's are empty if it is not n, or
        m <= n); `rank` (...), integer; and `singular_values` (..., min(m, n)).

    Raises
    ------
    LinearAlgebraError
        If a is not finite.
    ShapeError
        If a has fewer than two axes, or b has not as many rows.
    DTypeError
        If a is not floating.

    Examples
    --------
    >>> lstsq(Tensor([[1.0], [1.0]]), Tensor([1.0, 3.0])).solution.round(12)
    Tensor((1,), float64, cpu) [2.]
    """
    checks.array("lstsq", a=a, b=b)
    check_matrices("lstsq", a=unwrap(a))
    if b.shape[-2:][:1] != a.shape[-2:-1]:
        raise ShapeError(
            f"lstsq: argument b expected {a.shape[-2]} rows as a has, got shape {tuple(b.shape)}"
        )
    columns = b if len(b.shape) > 1 else column(b)
    solution = matmul(pinv(a, rtol=rtol), columns)
    residuals = square(matmul(a, solution) - columns).sum(axis=-2)
    if columns is not b:
        solution = solution.reshape(solution.shape[:-1])
    return LstsqResult(solution, residuals, matrix_rank(a, rtol=rtol), svdvals(a))
