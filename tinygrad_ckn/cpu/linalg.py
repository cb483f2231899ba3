"""Inverse square roots of stacks of matrices, on the threads of the pool."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import Namespace
from tinygrad_ckn.ops.linalg.roots import plain_inverse_sqrt


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
