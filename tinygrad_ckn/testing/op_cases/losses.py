"""Cases of losses and softmax."""

from __future__ import annotations

import numpy as np

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
case(ops.log_softmax, solid, axis=axes)
case(ops.softmax, solid, axis=axes)
case(ops.cross_entropy, arrays(3, 4), labels, errors=wrong)
case(ops.squared_hinge, away, labels, errors=wrong)
case(
    ops.mse,
    arrays(2, 3),
    arrays(2, 3),
    errors=[bad(np.ones(2), np.ones(3), error=ShapeError, match="reshape one")],
)
