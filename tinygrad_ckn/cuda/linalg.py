"""Inverse square roots of stacks of matrices on the GPU, by eigenvectors.

For a stack, CuPy calls cuSOLVER's batched Jacobi method, which is designed for matrices
of up to 32 rows. Larger ones are faster one by one, by divide and conquer.

Newton-Schulz iterations, which consist of products, would be faster for hundreds of
rows, but were rejected. Only the device knows whether they have converged, so every
training step would have to wait, and in float32 their error is larger: with 256 rows
and a condition number of 10^5 (eps = 10^-3, very similar filters) it was 10^-3 of the
largest element, against 2 10^-5 with eigenvectors, where eps is added to the
eigenvalues.
"""

from __future__ import annotations

from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.ops.linalg.roots import plain_inverse_sqrt

# maximum number of rows of matrices that are handled as one stack
_BATCHED = 32


@plain_inverse_sqrt.kernel("cuda")
def inverse_sqrt_one_by_one(
    xp: Namespace, a: Array, eps: float
) -> tuple[Array, tuple[Array, Array]]:
    """Compute `plain_inverse_sqrt`; large matrices of a stack (n, d, d) one by one."""
    if a.ndim != 3 or a.shape[-1] <= _BATCHED:
        at_once: tuple[Array, tuple[Array, Array]] = plain_inverse_sqrt.forward(xp, a, eps)
        return at_once
    y = xp.empty_like(a)
    root = xp.empty(a.shape[:2], dtype=a.dtype)
    v = xp.empty_like(a)
    for i in range(len(a)):
        y[i], (root[i], v[i]) = plain_inverse_sqrt.forward(xp, a[i], eps)
    return y, (root, v)
