"""Cases of losses and softmax."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.errors import DataError, DTypeError, ShapeError
from tinygrad_ckn.testing.cases import bad, case
from tinygrad_ckn.testing.op_cases.inputs import away, axes, solid
from tinygrad_ckn.testing.strategies import arrays, integers_in

labels = integers_in(3, below=4)
wrong = [
    bad(
        np.ones((2, 3)), np.array([0, 3]), error=DataError, match="class numbers 0 .. 2, got 0 .. 3"
    ),
    bad(
        np.ones((2, 3)),
        np.array([0.0, 1.0]),
        error=DTypeError,
        match="labels expected integer class numbers, got float64",
    ),
    bad(np.ones((2, 3)), np.array([0]), error=ShapeError, match=r"\(2, 3\) and \(1,\)"),
]
# Integers, because the losses have no derivative in them.
weights = integers_in(3, below=4).map(lambda drawn: drawn + (drawn.sum() == 0))
wrong_weights = [
    bad(np.ones((2, 3)), np.array([0, 1]), given, error=error, match=match)
    for given, error, match in (
        (
            np.ones(3),
            ShapeError,
            r"weights expected shape \(2,\), one for each example, got \(3,\)",
        ),
        (np.zeros(2), DataError, "weights expected finite numbers >= 0, not all 0, got .* 0 to 0"),
        (np.array([1.0, -1.0]), DataError, "got numbers from -1 to 1; leave out examples"),
        (np.array([1.0, np.inf]), DataError, "expected finite numbers >= 0, not all 0"),
        (np.array([1.0, np.nan]), DataError, "expected finite numbers >= 0, not all 0"),
    )
]
case(ops.log_softmax, solid, axis=axes)
case(ops.softmax, solid, axis=axes)
case(
    ops.cross_entropy,
    arrays(3, 4),
    labels,
    label_smoothing=st.sampled_from([0.0, 0.0, 0.3]),
    errors=wrong,
)
case(ops.squared_hinge, away, labels, errors=wrong)
case(
    ops.cross_entropy,
    arrays(3, 4),
    labels,
    weights,
    label_smoothing=st.sampled_from([0.0, 0.3]),
    errors=wrong_weights,
)
case(ops.squared_hinge, away, labels, weights, errors=wrong_weights)
case(ops.cross_entropy, arrays(1, 4), integers_in(1, below=4), np.array([3]))
case(
    ops.mse,
    arrays(2, 3),
    arrays(2, 3),
    errors=[bad(np.ones(2), np.ones(3), error=ShapeError, match="reshape one")],
)
