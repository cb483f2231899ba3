"""Cases of matmul and einsum."""

from __future__ import annotations

import numpy as np

from tinygrad_ckn import ops
from tinygrad_ckn.errors import ShapeError
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
