"""Inverse square roots of stacks of matrices on the GPU: by eigenvectors, a matrix at a time.

For a stack CuPy calls cuSOLVER's batched Jacobi method, which is made for matrices of
up to 32 rows; larger ones are sooner done one after another by divide and conquer.

Newton-Schulz iterations, which are products only, would be faster for hundreds of rows,
but were left out: whether they have converged is known on the device alone, and asking
would have every training step wait; and in float32 their error is larger. With 256 rows
and a condition of 10^5 (eps = 10^-3, filters that are much alike) it was 10^-3 of the
largest element, that of eigenvectors, to whose eigenvalues eps is added afterwards, 2
10^-5.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import Namespace
from tinygrad_ckn.ops.linalg import plain_inverse_sqrt

# rows up to which a stack is one call
_BATCHED = 32


@plain_inverse_sqrt.kernel("cuda")
def inverse_sqrt_one_by_one(xp: Namespace, a: Any, eps: float) -> Any:
    """Return what `plain_inverse_sqrt` does."""
    if a.ndim != 3 or a.shape[-1] <= _BATCHED:
        return plain_inverse_sqrt.forward(xp, a, eps)
    y, root, v = xp.empty_like(a), xp.empty(a.shape[:2], dtype=a.dtype), xp.empty_like(a)
    for i in range(len(a)):
        y[i], (root[i], v[i]) = plain_inverse_sqrt.forward(xp, a[i], eps)
    return y, (root, v)
