"""Inverse square roots of stacks on the threads of the pool; substitution by LAPACK."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import Namespace
from tinygrad_ckn.ops.linalg.lapack import refused
from tinygrad_ckn.ops.linalg.roots import plain_inverse_sqrt
from tinygrad_ckn.ops.linalg.solve import check_triangular_system, solve_triangular


@plain_inverse_sqrt.kernel("cpu")
def threaded_inverse_sqrt(
    xp: Namespace, a: NDArray[Any], eps: float
) -> tuple[NDArray[Any], tuple[NDArray[Any], NDArray[Any]]]:
    """Compute `plain_inverse_sqrt` of a stack (n, d, d), one matrix per tile."""
    if a.ndim != 3:
        single: tuple[NDArray[Any], tuple[NDArray[Any], NDArray[Any]]]
        single = plain_inverse_sqrt.forward(xp, a, eps)
        return single
    y = np.empty_like(a)
    root = np.empty(a.shape[:2], a.dtype)
    v = np.empty_like(a)

    def one(i: int) -> None:
        y[i], (root[i], v[i]) = plain_inverse_sqrt.forward(xp, a[i], eps)

    parallel.for_each(one, range(len(a)))
    return y, (root, v)


@solve_triangular.kernel("cpu")
def substitution(
    xp: Namespace,
    a: NDArray[Any],
    b: NDArray[Any],
    *,
    lower: bool = False,
    unit_diagonal: bool = False,
) -> NDArray[Any]:
    """Compute `solve_triangular` of one matrix without its LU decomposition."""
    options = {"lower": lower, "unit_diagonal": unit_diagonal}
    single = a.ndim == 2 and b.ndim <= 2 and a.size and b.size
    if not single or a.dtype != b.dtype or a.dtype not in (np.float32, np.float64):
        plain: NDArray[Any] = solve_triangular.forward(xp, a, b, **options)
        return plain
    check_triangular_system(a, b)
    from scipy.linalg import LinAlgError
    from scipy.linalg import solve_triangular as solve

    try:
        with parallel.one_blas_thread():
            x: NDArray[Any] = solve(a, b, check_finite=False, **options)
    except LinAlgError as error:
        raise refused("solve_triangular", error) from error
    return x
