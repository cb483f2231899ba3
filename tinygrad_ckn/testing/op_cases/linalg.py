"""Cases of roots of matrices and linear systems."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.errors import ConfigError, LinearAlgebraError, ShapeError
from tinygrad_ckn.ops import linalg
from tinygrad_ckn.testing.cases import bad, case
from tinygrad_ckn.testing.op_cases.inputs import flags, n
from tinygrad_ckn.testing.strategies import (
    arrays,
    near_duplicate_filters,
    spd_matrices,
    spread_matrices,
)

skew = bad(
    np.array([[1.0, 2.0], [-2.0, 1.0]]),
    error=LinearAlgebraError,
    match="symmetric.*pass .a . a.T. / 2",
)
tall = bad(
    np.ones((2, 3)), error=ShapeError, match=r"square matrices \(..., n, n\), got shape \(2, 3\)"
)
negative = bad(
    -np.eye(2), error=LinearAlgebraError, match="smallest eigenvalue -1 with eps=0; add eps > 1"
)
mild = st.sampled_from(["random", "equal", "pairs"])
spd = spd_matrices(st.integers(1, 2), n=n, minimum=0.3, spectra=mild)
conventions = st.sampled_from(["inside", "outside"])
case(
    ops.inverse_sqrt,
    spd,
    eps=st.sampled_from([0.0, 0.1]),
    convention=conventions,
    errors=[
        skew,
        tall,
        negative,
        bad(np.eye(2), eps=-1, error=ConfigError, match="eps expected a number >= 0"),
    ],
)
case(
    lambda z, convention: ops.inverse_sqrt(
        ops.kappa_exponential(z @ z.T, 2.0), eps=1e-2, convention=convention
    ),
    near_duplicate_filters(4, 3, distance=0.1),
    convention=conventions,
    name="inverse_sqrt",
)
case(
    ops.sqrtm,
    spd,
    errors=[skew, tall, bad(-np.eye(2), error=LinearAlgebraError, match="positive semi-definite")],
)
case(
    ops.lyapunov,
    spd_matrices(n=3, minimum=0.3, spectra=mild),
    arrays(n, 3, 3),
    errors=[bad(np.eye(2), np.ones(2), error=ShapeError, match="argument q")],
)
singular = bad(
    np.ones((2, 2)), error=LinearAlgebraError, match="invertible matrices, got a singular one"
)
case(ops.inv, spd, errors=[tall, singular])
case(
    ops.solve,
    spd_matrices(n=3, minimum=0.3, spectra=mild),
    arrays(3),
    errors=[bad(np.ones((2, 2)), np.ones(2), error=LinearAlgebraError, match="singular")],
)
case(ops.solve, spd_matrices(2, n=3, minimum=0.3, spectra=mild), arrays(3, n))
rows = bad(np.eye(2), np.ones(3), error=ShapeError, match="b expected 2 rows as a has")
case(
    linalg.solve_triangular,
    spread_matrices(3, None, 2),
    arrays(3, n),
    lower=flags,
    unit_diagonal=flags,
    errors=[
        rows,
        bad(np.ones((2, 3)), np.ones(2), error=ShapeError, match="square matrices"),
        bad(np.zeros((2, 2)), np.ones(2), error=LinearAlgebraError, match="got a singular one"),
    ],
)
case(linalg.solve_triangular, spread_matrices(3), arrays(3), lower=flags)
