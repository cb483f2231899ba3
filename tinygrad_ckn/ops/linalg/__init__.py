"""Functions of matrices and their decompositions, with exact derivatives.

Batches lie along the leading axes. Names and signatures are those of the linear algebra
extension of the Array API standard (2024.12) and of `numpy.linalg`, and each function
says what its derivatives are where eigenvalues are equal or a matrix is singular.
"""

from tinygrad_ckn.ops.linalg.cholesky import cholesky
from tinygrad_ckn.ops.linalg.determinant import det, slogdet
from tinygrad_ckn.ops.linalg.eigen import eigh, eigvalsh
from tinygrad_ckn.ops.linalg.exponential import expm, matrix_power
from tinygrad_ckn.ops.linalg.least_squares import lstsq, matrix_rank, pinv
from tinygrad_ckn.ops.linalg.norms import cond, matrix_norm, norm, vector_norm
from tinygrad_ckn.ops.linalg.products import (
    cross,
    diagonal,
    kron,
    matrix_transpose,
    multi_dot,
    outer,
    tensordot,
    trace,
    vecdot,
)
from tinygrad_ckn.ops.linalg.qr import qr
from tinygrad_ckn.ops.linalg.roots import inverse_sqrt, lyapunov, sqrtm
from tinygrad_ckn.ops.linalg.singular import svd, svdvals
from tinygrad_ckn.ops.linalg.solve import inv, solve, solve_triangular
from tinygrad_ckn.ops.matmul import matmul

__all__ = [
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "expm",
    "inv",
    "inverse_sqrt",
    "kron",
    "lstsq",
    "lyapunov",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "sqrtm",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]


def __dir__() -> list[str]:
    return sorted(__all__)
