"""Inverse square roots of stacks of matrices, on the threads of the pool."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import Namespace
from tinygrad_ckn.ops.linalg import plain_inverse_sqrt


@plain_inverse_sqrt.kernel("cpu")
def threaded_inverse_sqrt(xp: Namespace, a: Any, eps: float) -> Any:
    """Return what `plain_inverse_sqrt` does, a matrix at a time."""
    if a.ndim != 3:
        return plain_inverse_sqrt.forward(xp, a, eps)
    y, root, v = xp.empty_like(a), xp.empty(a.shape[:2], a.dtype), xp.empty_like(a)

    def one(i: int) -> None:
        y[i], (root[i], v[i]) = plain_inverse_sqrt.forward(xp, a[i], eps)

    parallel.for_each(one, range(len(a)))
    return y, (root, v)
