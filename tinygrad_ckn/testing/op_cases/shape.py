"""Cases of operations that move elements: shapes, joins, indices."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.errors import OpIndexError, ShapeError
from tinygrad_ckn.primitive import REGISTRY
from tinygrad_ckn.testing.cases import bad, case
from tinygrad_ckn.testing.op_cases.inputs import axes, cube, n
from tinygrad_ckn.testing.strategies import arrays, integers_in

case(
    ops.reshape,
    arrays(2, 3, 2),
    (-1, 4),
    linear=True,
    errors=[bad(np.ones(3), 2, error=ShapeError, match="reshape")],
)
case(ops.transpose, cube, axes=st.one_of(st.none(), st.permutations([0, 1, -1])), linear=True)
case(lambda x: ops.moveaxis(x, (0, 1), (-1, 0)), cube, name="moveaxis", linear=True)
case(ops.swapaxes, cube, axis1=st.integers(-3, 2), axis2=st.integers(-3, 2), linear=True)
case(
    lambda x: ops.broadcast_to(x, (2, len(x), 4, 3)),
    arrays(n, 1, 3),
    name="broadcast_to",
    linear=True,
)
case(
    lambda x: ops.sum_to(x, (x.shape[1], 1)),
    cube,
    name="sum_to",
    linear=True,
)
case(ops.flip, cube, axis=axes, linear=True)
case(
    ops.pad,
    arrays(n, n),
    pad_width=st.sampled_from([1, (0, 2), ((1, 0), (2, 3))]),
    linear=True,
    errors=[
        bad(
            np.ones((2, 2)),
            ((1, 1),) * 3,
            error=ShapeError,
            match="expected 2 .before, after. pairs",
        )
    ],
)
case(lambda x: ops.astype(x, x.dtype), cube, name="astype", linear=True)
case(ops.to_device, cube, "cpu", linear=True)
case(
    lambda a, b: ops.concatenate([a, b], axis=-1),
    arrays(2, n),
    arrays(2, n),
    name="concatenate",
    linear=True,
)
case(lambda a, b: ops.stack([a, b], axis=1), arrays(2, 3), arrays(2, 3), name="stack", linear=True)
case(lambda x: ops.split(x, [1, 2], axis=1)[1:], arrays(n, 4), name="split", linear=True)
case(ops.expand_dims, cube, axis=st.sampled_from([0, -1, (0, 2)]), linear=True)
case(ops.squeeze, arrays(1, n, 1), axis=st.sampled_from([None, 0, (0, 2)]), linear=True)

# Elements moved, taken and repeated
case(
    ops.roll,
    cube,
    shift=st.integers(-4, 4),
    axis=st.sampled_from([None, 0, -1]),
    linear=True,
)
case(lambda x: ops.roll(x, (1, -2), axis=(0, 1)), cube, name="roll", linear=True)
not_matrices = bad(np.ones(3), error=ShapeError, match="expected matrices .*got shape .3,.")
case(ops.tril, cube, k=st.integers(-2, 2), linear=True, errors=[not_matrices])
case(ops.triu, cube, k=st.integers(-2, 2), linear=True, errors=[not_matrices])
case(ops.diag, arrays(n), k=st.integers(-2, 2), linear=True)
case(ops.diag, arrays(n, 3), k=st.integers(-2, 2), linear=True)
case(
    ops.tile,
    arrays(2, n),
    repetitions=st.sampled_from([2, (3,), (2, 1), (2, 1, 3)]),
    linear=True,
)
case(
    ops.repeat,
    arrays(2, 3),
    repeats=st.integers(0, 3),
    axis=st.sampled_from([None, 0, -1]),
    linear=True,
)
case(lambda x: ops.repeat(x, [2, 0, 1], axis=1), arrays(2, 3), name="repeat", linear=True)
case(
    ops.take,
    arrays(3, 4),
    indices=integers_in(2, n, below=3),
    axis=st.sampled_from([None, 0, -1]),
    linear=True,
)
case(
    lambda x: ops.take_along_axis(x, np.array([[0, 2], [1, 1], [2, 0]]), axis=1),
    arrays(3, 3),
    name="take_along_axis",
    linear=True,
)
case(ops.unstack, arrays(2, n), axis=st.sampled_from([0, -1]), linear=True)
case(
    ops.broadcast_arrays,
    arrays(2, 1),
    arrays(1, n),
    linear=True,
)
case(
    lambda a, b, indexing: ops.meshgrid(a, b, indexing=indexing),
    arrays(n),
    arrays(3),
    indexing=st.sampled_from(["xy", "ij"]),
    name="meshgrid",
    linear=True,
)

# NumPy's ways of joining
for joining in (ops.vstack, ops.hstack, ops.column_stack):
    case(
        lambda a, b, joining=joining: joining([a, b]),
        arrays(3),
        arrays(3),
        name=joining.__name__,
        linear=True,
    )
case(ops.append, arrays(2, n), arrays(3), linear=True)
for least in (ops.atleast_1d, ops.atleast_2d):
    case(least, arrays(n), linear=True)
case(ops.ravel, arrays(2, n), linear=True)
case(
    lambda a, b: ops.array([[a, b], [b, 1.0]]),
    arrays(),
    arrays(),
    name="array",
)

# Indices
indices = st.sampled_from(
    [
        1,
        (slice(None), -1),
        (..., slice(None, None, -2)),
        (None, 0),
        ([0, 2, 0],),
        ([0, 2], slice(1, 3)),
        (np.array([True, False, True]),),
        (np.array([[0, 1], [2, 2]]), np.array([1, 0])),
    ]
)
far = bad(np.ones(3), 5, error=OpIndexError, match="index 5 is out of bounds")
case(ops.getitem, arrays(3, 4), indices, linear=True, errors=[far])
case(ops.index_add, arrays(3, 4), indices, arrays(1), linear=True)
case(
    lambda a, b: REGISTRY["scatter"](a, b, indices=(0, (slice(None), [1, 1])), shape=(3, 4)),
    arrays(4),
    arrays(3, 2),
    name="scatter",
    linear=True,
)
case(lambda x: ops.stack([*x, x[1]]), arrays(3, 2), name="getitem", linear=True)
