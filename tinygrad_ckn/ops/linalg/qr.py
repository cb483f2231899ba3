"""The QR decomposition.

Of matrices with at least as many rows as columns, and linearly independent columns,

    A_bar = (Q_bar - Q copyltu(Q_bar^T Q)) R^-T

(Walter, Lehmann and Lamour, On evaluating higher-order derivatives of the QR
decomposition, 2012), where copyltu(M) is symmetric with the lower triangle of M. R is
Q^T A, and of wider matrices Q is that of the first columns.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace, xp_of
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.index import getitem
from tinygrad_ckn.ops.join import concatenate
from tinygrad_ckn.ops.linalg.lapack import (
    check_matrices,
    decompose,
    transposed,
    triangle,
)
from tinygrad_ckn.ops.linalg.limits import without_derivative
from tinygrad_ckn.ops.linalg.solve import solve_triangular
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


class QRResult(NamedTuple):
    """Orthonormal columns, and an upper triangle."""

    Q: Tensor
    R: Tensor


@primitive(name="qr")
def orthonormal_factor(xp: Namespace, a: Array) -> Array:
    """Return Q (..., m, n) of the decomposition a = Q R of matrices with m >= n.

    Examples
    --------
    >>> abs(orthonormal_factor(Tensor([[3.0], [4.0]])))
    Tensor((2, 1), float64, cpu) [[0.6] [0.8]]
    """
    check_matrices("qr", a=a)
    if a.shape[-2] < a.shape[-1]:
        raise ShapeError(f"qr: argument a expected no more columns than rows, got shape {a.shape}")
    factor: Array = decompose(xp, "qr", "qr", a)[0]
    return factor


orthonormal_factor.vjp(a=lambda g, a, y: _orthonormal_rule(g, a, y))


def _orthonormal_rule(g: Array, a: Array, y: Array) -> Array:
    r = matmul(transposed(y), a)
    lower = triangle(matmul(transposed(g), y))
    symmetric = lower + transposed(triangle(lower, diagonal=False))
    return transposed(solve_triangular(r, transposed(g - matmul(y, symmetric))))


def qr(a: Array, /, mode: Literal["reduced", "complete"] = "reduced") -> QRResult:
    """Return the decomposition a = Q R into orthonormal columns and an upper triangle.

    Parameters
    ----------
    a
        Matrices (..., m, n), floating.
    mode
        "reduced" (default): Q (..., m, k) and R (..., k, n), k = min(m, n). "complete":
        Q (..., m, m) and R (..., m, n); the columns it adds to Q have no
        derivative: it is NaN.

    Returns
    -------
    QRResult
        `Q` and `R`. The signs of the rows of R are LAPACK's choice.

    Raises
    ------
    LinearAlgebraError
        If a is not finite; in a backward pass, if the first k columns are linearly
        dependent.
    ShapeError
        If a has fewer than two axes.
    DTypeError
        If a is not floating.
    ConfigError
        If the mode is unknown.

    Examples
    --------
    >>> q, r = qr(Tensor([[3.0, 1.0], [4.0, 1.0]]))
    >>> (q @ r).round(12)
    Tensor((2, 2), float64, cpu) [[3. 1.] [4. 1.]]
    """
    checks.array("qr", a=a)
    checks.one_of("qr", ("reduced", "complete"), mode=mode)
    raw: Any = unwrap(a)
    check_matrices("qr", a=raw)
    rows, columns = raw.shape[-2:]
    q = orthonormal_factor(a if rows >= columns else getitem(a, (..., slice(rows))))
    r: Any = triangle(matmul(transposed(q), a), lower=False)
    if mode == "reduced" or rows <= columns:
        return QRResult(q, r)
    xp = xp_of(raw)
    full = decompose(xp, "qr", "qr", raw, mode="complete")[0]
    zeros = xp.zeros((*raw.shape[:-2], rows - columns, columns), dtype=raw.dtype)
    added = without_derivative(full[..., columns:], a)
    return QRResult(concatenate([q, added], axis=-1), concatenate([r, zeros], axis=-2))
