"""The matrix exponential, and powers of matrices.

The derivative of exp at A in the direction E is the upper right block of

    exp([[A, E], [0, A]])

(Mathias, A chain rule for matrix functions and applications, 1996), and the gradient
that of A^T in the direction of the upstream gradient. So the rule is itself an
exponential, and derivatives of any order are exact for all matrices.
"""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace, xp_of
from tinygrad_ckn.errors import LinearAlgebraError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.integers import is_whole
from tinygrad_ckn.ops.elementwise import where
from tinygrad_ckn.ops.index import getitem
from tinygrad_ckn.ops.join import concatenate
from tinygrad_ckn.ops.linalg.lapack import call_lapack, check_square, transposed
from tinygrad_ckn.ops.linalg.solve import inv
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.ops.rounding import positive
from tinygrad_ckn.parallel import one_blas_thread
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor

# Norm up to which the approximant is exact to rounding in float64, and its coefficients
# (Higham, The scaling and squaring method for the matrix exponential revisited, 2005).
_LARGEST = 5.371920351148152
_PADE = tuple(
    math.factorial(26 - k)
    * math.factorial(13)
    / (math.factorial(26) * math.factorial(k) * math.factorial(13 - k))
    for k in range(14)
)


@primitive()
def expm(xp: Namespace, a: Array) -> Array:
    """Return the exponential of square matrices, 1 + A + A^2/2 + ...

    Derivatives of any order are exact, at equal eigenvalues too.

    Parameters
    ----------
    a
        Matrices (..., n, n), floating.

    Raises
    ------
    LinearAlgebraError
        If a is not finite.
    ShapeError
        If the matrices are not square.
    DTypeError
        If a is not floating.

    Examples
    --------
    >>> expm(Tensor([[0.0, 1.0], [0.0, 0.0]]))
    Tensor((2, 2), float64, cpu) [[1. 1.] [0. 1.]]
    """
    check_square("expm", "a", a)
    if not a.size:
        return a.copy()
    sizes: Any = abs(a)
    norms = sizes.sum(axis=-2).max(axis=-1)
    if not bool(xp.isfinite(norms).all()):
        raise LinearAlgebraError("expm: argument a expected finite matrices, got one that is not")
    squarings = xp.ceil(xp.log2(xp.maximum(norms / _LARGEST, 1)))[..., None, None]
    even, odd = _pade(xp, a * 0.5**squarings)
    y = call_lapack(xp, "expm", xp.linalg.solve, even - odd, even + odd)
    with one_blas_thread():
        for i in range(int(squarings.max())):
            y = xp.where(i < squarings, y @ y, y)
    return y


expm.vjp(a=lambda g, a: _expm_rule(g, a))


def _pade(xp: Namespace, a: Array) -> tuple[Array, Array]:
    """Return the even and odd part of the numerator of the approximant of order 13."""
    b = _PADE
    identity = xp.eye(a.shape[-1], dtype=a.dtype)
    with one_blas_thread():
        a2 = a @ a
        a4 = a2 @ a2
        a6 = a4 @ a2
        high = a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2)
        odd = a @ (high + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * identity)
        high = a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2)
        even = high + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * identity
    return even, odd


def _expm_rule(g: Array, a: Array) -> Array:
    n = a.shape[-1]
    raw: Any = unwrap(g)
    xp = xp_of(raw)
    if not raw.size:
        return g
    # The block is linear in g: scaled to the size of a, it needs no more squarings.
    size, own = (float(abs(unwrap(x)).max()) for x in (g, a))
    scale = 2.0 ** math.frexp(size / max(own, 1.0))[1] if 0 < size < math.inf else 1.0
    at = transposed(a)
    top = concatenate([at, g * (1 / scale)], axis=-1)
    bottom = concatenate([xp.zeros_like(raw), at], axis=-1)
    blocks = expm(concatenate([top, bottom], axis=-2))
    return scale * getitem(blocks, (..., slice(n), slice(n, None)))


@plain_arguments
def matrix_power(a: Array, n: int, /) -> Tensor:
    """Return the n-th power of square matrices; negative ones are those of the inverse.

    Parameters
    ----------
    a
        Matrices (..., n, n), floating.
    n
        Any integer; 0 gives identity matrices.

    Raises
    ------
    LinearAlgebraError
        If n is negative and a matrix is singular.
    ShapeError
        If the matrices are not square.
    DTypeError
        If a is not floating.
    ConfigError
        If n is not an integer.

    Examples
    --------
    >>> matrix_power(Tensor([[1.0, 1.0], [0.0, 1.0]]), 5)
    Tensor((2, 2), float64, cpu) [[1. 5.] [0. 1.]]
    """
    checks.array("matrix_power", a=a)
    raw: Any = unwrap(a)
    check_square("matrix_power", "a", raw)
    if not is_whole(n, -(2**63)):
        checks.number("matrix_power", "n", n, "an integer", lambda value: False)
    if n == 0:
        # a graph, and the gradient 0
        xp = xp_of(raw)
        return where(xp.zeros((), bool), a, xp.eye(raw.shape[-1], dtype=raw.dtype))
    base: Any = inv(a) if n < 0 else a
    power: Any = None
    for bit in f"{abs(n):b}":
        power = base if power is None else matmul(power, power)
        if bit == "1" and power is not base:
            power = matmul(power, base)
    return positive(power)
