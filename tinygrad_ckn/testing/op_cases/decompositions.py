"""Cases of decompositions of matrices, and of functions that use them.

Those of eigenvectors and singular vectors are of functions in which their signs, which
LAPACK chooses, do not count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_ckn.backend import xp_of
from tinygrad_ckn.errors import ConfigError, LinearAlgebraError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops import linalg
from tinygrad_ckn.primitive import REGISTRY
from tinygrad_ckn.testing.cases import bad, case
from tinygrad_ckn.testing.op_cases.inputs import axes, flags
from tinygrad_ckn.testing.strategies import arrays, spd_matrices, spread_matrices

sizes = st.integers(1, 3)
skew = bad(np.array([[1.0, 2.0], [-2.0, 1.0]]), error=LinearAlgebraError, match="symmetric")
tall = bad(np.ones((2, 3)), error=ShapeError, match="square matrices .*got shape \\(2, 3\\)")
flat = bad(np.ones(3), error=ShapeError, match="expected matrices .*got shape \\(3,\\)")
infinite = bad(np.full((2, 2), np.inf), error=LinearAlgebraError, match="expected finite numbers")
symmetric = spread_matrices(3, None, 2)
wide = spread_matrices(2, 3)
rectangular = st.one_of(spread_matrices(3, 2), spread_matrices(2, 3), spread_matrices(3, 3, 2))
rectangles = st.one_of(spread_matrices(3, 2), spread_matrices(2, 3))
thick = st.one_of(spread_matrices(3, 2), spread_matrices(3, 3, 2))

case(
    linalg.cholesky,
    spd_matrices(st.integers(1, 2), n=sizes, minimum=0.3),
    upper=flags,
    errors=[skew, tall, bad(-np.eye(2), error=LinearAlgebraError, match="definite.*add eps > 0")],
)
any_square = sizes.flatmap(lambda k: arrays(2, k, k))
case(linalg.det, any_square, errors=[tall])
case(REGISTRY["cofactors"], any_square, errors=[tall])
case(
    lambda a: linalg.slogdet(a).logabsdet,
    spread_matrices(sizes, None, 2),
    name="slogdet",
    errors=[tall],
)
case(linalg.eigvalsh, symmetric, errors=[skew, tall])
case(lambda a: linalg.eigh(a).eigenvectors ** 2, symmetric, name="eigh")
case(linalg.svdvals, rectangular, errors=[flat, infinite])
case(lambda a: _squares(*linalg.svd(a, full_matrices=False)), rectangular, name="svd")


def _squares(u: Any, s: Any, vh: Any) -> Any:
    """Return squares of the singular vectors, in which signs do not count."""
    return u**2 @ vh**2 + s.sum(axis=-1)[..., None, None]


case(lambda a, w: _with(a, w, "spectral_matrix"), symmetric, arrays(2, 3), name="spectral_matrix")
case(lambda a, w: _with(a, w, "polar_matrix"), rectangles, arrays(2), name="polar_matrix")


def _with(a: Any, weights: Any, name: str) -> Any:
    """Return a primitive of the weights and of a decomposition of a."""
    raw: Any = unwrap(a)
    eigh, svd = xp_of(raw).linalg.eigh, xp_of(raw).linalg.svd
    if name == "spectral_matrix":
        eigen = tuple(eigh(0.5 * (raw + raw.swapaxes(-1, -2))))
        return REGISTRY[name](a, weights, eigen=eigen, slopes=None)
    u, s, vt = svd(raw, full_matrices=False)
    return REGISTRY[name](a, weights, parts=(u, s, vt.swapaxes(-1, -2)), slopes=None)


case(
    lambda a, mode: _both(*linalg.qr(a, mode)),
    rectangular,
    mode="reduced",
    name="qr",
    errors=[
        bad(np.ones(3), mode="reduced", error=ShapeError, match="expected matrices"),
        bad(np.eye(2), mode="raw", error=ConfigError, match="'reduced' or 'complete', got 'raw'"),
    ],
)


def _both(q: Any, r: Any) -> Any:
    """Return a function of both factors in which the signs of the rows of R do not count."""
    return q**2 @ r**2


case(linalg.pinv, rectangular, errors=[flat, infinite])
few = bad(np.eye(2), np.ones(3), error=ShapeError, match="b expected 2 rows as a has")
case(lambda a, b: linalg.lstsq(a, b).solution, thick, arrays(3), name="lstsq", errors=[few])
case(lambda a, b: linalg.lstsq(a, b)[0], spread_matrices(2, 3), arrays(2, 2), name="lstsq")
case(
    linalg.expm,
    sizes.flatmap(lambda k: arrays(2, k, k)),
    errors=[tall, bad(np.full((2, 2), np.nan), error=LinearAlgebraError, match="finite")],
)
case(
    linalg.matrix_power,
    spread_matrices(3),
    st.integers(-2, 5),
    errors=[
        bad(np.ones((2, 3)), 2, error=ShapeError, match="square matrices"),
        bad(np.eye(2), 1.5, error=ConfigError, match="n expected an integer, got 1.5"),
    ],
)
orders = st.sampled_from([2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc"])
unknown = bad(np.eye(2), ord=3, error=ConfigError, match="ord expected 'fro', 'nuc', 1, .*got 3")
case(linalg.matrix_norm, rectangular, ord=orders, keepdims=flags, errors=[flat, unknown])
case(
    linalg.cond,
    spread_matrices(3),
    orders,
    errors=[bad(np.ones((2, 3)), 1, error=ShapeError, match="square")],
)
case(
    linalg.vector_norm,
    arrays(2, 3, 2, gap=0.2, distinct=True),
    axis=axes,
    keepdims=flags,
    ord=st.sampled_from([0.5, 1, 2, 3, -1, np.inf, -np.inf]),
)
case(linalg.vector_norm, arrays(2, 3).map(lambda x: x * [1.0, 0.0, 1.0]), ord=3)
