"""Cases of reductions."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.primitive import REGISTRY
from tinygrad_ckn.testing.cases import bad, case
from tinygrad_ckn.testing.op_cases.inputs import axes, complex_x, cube, flags, n, solid
from tinygrad_ckn.testing.strategies import arrays

outside = bad(
    np.ones((2, 3)), 2, error=ShapeError, match="argument axis expected distinct axes of 2, got 2"
)
nothing = bad(np.ones((2, 0)), error=ShapeError, match="at least one element")
case(ops.sum, cube, axis=axes, keepdims=flags, linear=True, errors=[complex_x])
case(ops.mean, solid, axis=axes, keepdims=flags, linear=True, errors=[nothing, outside])
case(
    ops.var,
    arrays(2, 3, 2),
    axis=axes,
    ddof=st.integers(0, 1),
    keepdims=flags,
    errors=[nothing, bad(np.ones(1), ddof=1, error=ShapeError, match="more than ddof=1 elements")],
)
case(ops.std, arrays(2, 3, 2, distinct=True), axis=st.sampled_from([None, (0, 1)]), keepdims=flags)
case(ops.max, arrays(n, n, n, distinct=True), axis=axes, keepdims=flags)
case(ops.min, arrays(n, n, n, distinct=True), axis=axes, keepdims=flags)
case(ops.logsumexp, solid, axis=axes, keepdims=flags, errors=[complex_x])
case(ops.prod, cube, axis=axes, keepdims=flags, errors=[complex_x])
# With zeros: several, in the same row too.
sparse = arrays(n, n, n).map(lambda x: np.where(abs(x) < 1, 0.0, x))
case(ops.prod, sparse, axis=axes, keepdims=flags)
case(ops.cumsum, cube, axis=st.sampled_from([None, 0, -1]), linear=True)
case(ops.cumprod, cube, axis=st.sampled_from([None, 0, -1]))
case(ops.cumprod, sparse, axis=st.sampled_from([None, 0, -1]))
case(ops.cumulative_sum, solid, axis=st.integers(-3, 2), include_initial=flags, linear=True)
case(ops.cumulative_prod, sparse, axis=st.integers(-3, 2), include_initial=flags)
case(REGISTRY["recurrence"], arrays(2, 5), arrays(2, 5))
case(ops.diff, arrays(3, 4), n=st.integers(0, 2), axis=st.integers(-2, 1), linear=True)
case(
    lambda x, before, after: ops.diff(x, prepend=before, append=after),
    arrays(3, 2),
    arrays(3, 1),
    arrays(3, 2),
    name="diff",
    linear=True,
)

case(ops.average, solid, axis=st.sampled_from([None, 0, -1]), linear=True)
case(lambda x, w: ops.average(x, 1, w), arrays(2, 3), arrays(3, low=0.5), name="average")
case(ops.nan_to_num, cube, linear=True)

# Order
case(
    ops.sort,
    arrays(n, 3, distinct=True),
    axis=st.sampled_from([None, 0, -1]),
    descending=flags,
)
case(ops.unique_values, arrays(n, n, distinct=True))
case(lambda x: ops.unique_all(x).values, arrays(n, n, distinct=True), name="unique_all")
case(lambda x: ops.unique_counts(x).values, arrays(n, n, distinct=True), name="unique_counts")
case(lambda x: ops.unique_inverse(x).values, arrays(n, n, distinct=True), name="unique_inverse")

# The kink where it is not asked for.
case(lambda x: x + 0 * REGISTRY["kink"](x, None), cube, name="kink")
case(ops.norm, arrays(n, n, n, gap=0.2), axis=axes, keepdims=flags, errors=[complex_x])
