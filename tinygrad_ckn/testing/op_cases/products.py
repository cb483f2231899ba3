"""Cases of products, and of parts of matrices."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.ops import linalg
from tinygrad_ckn.testing.cases import bad, case
from tinygrad_ckn.testing.op_cases.inputs import n
from tinygrad_ckn.testing.strategies import arrays

inner = bad(np.ones((2, 3)), np.ones((2, 3)), error=ShapeError, match="matmul")
for left, right in (
    ((2, 3), (3, n)),
    ((n, 2, 3), (3, 2)),
    ((2, 1, 2, 3), (n, 3, 2)),
    ((3,), (n, 3, 2)),
    ((n, 3), (3,)),
):
    case(ops.matmul, arrays(*left), arrays(*right), linear=True, errors=[inner])
case(ops.matmul, arrays(3), arrays(3), linear=True)
case(ops.inner, arrays(2, n, 3), arrays(4, 3), linear=True)
case(ops.vdot, arrays(2, 3), arrays(6), linear=True)
case(ops.dot, arrays(2, 3), arrays(3), linear=True)
for subscripts, shapes in {
    "ij,jk->ik": ((2, 3), (3, 2)),
    "...ij,kj->...ki": ((2, 1, 2, 3), (2, 3)),
    "ii,ij->j": ((3, 3), (3, 2)),
    "ij,k,lk": ((2, 3), (4,), (2, 4)),
    "bij->ji": ((2, 2, 3),),
}.items():
    case(
        lambda *x, subscripts=subscripts: ops.einsum(subscripts, *x),
        *[arrays(*shape) for shape in shapes],
        name="einsum",
        linear=True,
    )
matrices = arrays(2, 3, n)
vector = bad(np.ones(3), error=ShapeError, match=r"expected matrices .*got shape \(3,\)")
case(linalg.matrix_transpose, matrices, linear=True, errors=[vector])
offsets = st.integers(-2, 3)
case(linalg.diagonal, matrices, offset=offsets, linear=True, errors=[vector])
case(linalg.trace, matrices, offset=offsets, linear=True, errors=[vector])
case(
    linalg.outer,
    arrays(3),
    arrays(n),
    linear=True,
    errors=[bad(np.ones((1, 1)), np.ones(2), error=ShapeError, match="expected two vectors")],
)
unequal = bad(
    np.ones((2, 3)), np.ones((2, 2)), error=ShapeError, match="axis expected one of equal"
)
case(linalg.vecdot, arrays(2, 1, 3), arrays(n, 3), linear=True, errors=[unequal])
case(linalg.vecdot, arrays(2, 3, 1), arrays(2, 3, n), axis=-2, linear=True)
case(
    linalg.cross,
    arrays(2, 1, 3),
    arrays(n, 3),
    linear=True,
    errors=[unequal, bad(np.ones(2), np.ones(2), error=ShapeError, match="size 3, got size 2")],
)
case(linalg.cross, arrays(2, 3, 1), arrays(2, 3, n), axis=1, linear=True)
case(
    linalg.tensordot,
    arrays(2, 3, 2),
    arrays(3, 2, n),
    axes=st.sampled_from([0, 2, ((1, 0), (0, 1))]),
    linear=True,
    errors=[
        bad(np.ones(2), np.ones(2), axes=2, error=ShapeError, match="from 0 to 1, .*got 2"),
        bad(np.ones(2), np.ones(3), axes=1, error=ShapeError, match="pairs of one size"),
    ],
)
case(linalg.kron, arrays(2, n), arrays(3), linear=True)
case(
    lambda *x: linalg.multi_dot(x),
    arrays(3),
    arrays(3, 4),
    arrays(4, 2),
    name="multi_dot",
    linear=True,
)
