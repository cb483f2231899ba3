"""Cases of losses and softmax."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.errors import ConfigError, DataError, DTypeError, GradientError, ShapeError
from tinygrad_ckn.ops.losses.probabilities import xlogx
from tinygrad_ckn.tensor import Tensor
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
reductions = st.sampled_from(["mean", "sum", "none"])
# numbers >= 0 of the classes, of which those of labels 0 and 1 are not 0
of_classes = arrays(4, low=0.5, high=2.0).map(lambda w: w * (np.arange(4) != 3))
for_pairs = [bad(np.ones(2), np.ones(3), error=ShapeError, match="reshape one")]
for_reductions = [
    bad(
        np.ones((2, 3)),
        np.array([0, 1]),
        error=ConfigError,
        match="reduction expected 'mean', 'sum' or 'none', got 'average'",
        reduction="average",
    ),
    *(
        bad(np.ones((2, 3)), np.array([0, 1]), error=error, match=match, weight=given)
        for given, error, match in (
            (np.ones(2), ShapeError, r"weight expected shape \(3,\), one for each class, got \(2,"),
            (np.array([1.0, -1.0, 0]), DataError, "weight expected finite numbers >= 0, got .* -1"),
            (np.array([1.0, np.nan, 0]), DataError, "weight expected finite numbers >= 0"),
            (np.array([0.0, 0.0, 1]), DataError, "weights with a sum > 0 over the examples, got 0"),
            ([1.0, 1.0, 1.0], DTypeError, "weight expected an array or a Tensor, got list"),
            (Tensor(np.ones(3), requires_grad=True), GradientError, "weight has no derivative"),
        )
    ),
    bad(np.ones((0, 3)), np.zeros(0, int), error=ShapeError, match="with n, k >= 1"),
]
case(
    ops.cross_entropy,
    arrays(3, 4),
    integers_in(3, below=2),
    weight=of_classes,
    label_smoothing=st.sampled_from([0.0, 0.3]),
    reduction=reductions,
    errors=for_reductions,
)
case(ops.cross_entropy, arrays(3, 4), labels, weights, reduction=reductions, errors=wrong_weights)
case(ops.cross_entropy, arrays(2, 1), np.array([0, 0]), reduction="none")
case(ops.cross_entropy, arrays(0, 4), np.zeros(0, int), reduction=st.sampled_from(["sum", "none"]))
case(
    ops.cross_entropy,
    arrays(3, 4),
    arrays(3, 4, low=0.1, high=0.9),
    weight=of_classes,
    label_smoothing=st.sampled_from([0.0, 0.3]),
    reduction=reductions,
    errors=[
        bad(
            np.ones((2, 3)),
            np.ones((2, 4)),
            error=ShapeError,
            match=r"probabilities \(n, k\) with k >= 1, got \(2, 3\) and \(2, 4\)",
        ),
        bad(np.ones((2, 3)), np.ones((2, 3), int), error=DTypeError, match="one-hot rows"),
        bad(np.ones((2, 3)), -np.ones((2, 3)), error=DataError, match="probabilities >= 0, got"),
        bad(np.ones((0, 3)), np.ones((0, 3)), error=ShapeError, match="at least one element"),
    ],
)
case(
    ops.nll,
    arrays(3, 4),
    integers_in(3, below=2),
    weight=st.one_of(st.none(), of_classes),
    reduction=reductions,
    errors=[*wrong, *for_reductions],
)
case(ops.nll, arrays(0, 4), np.zeros(0, int), reduction="sum")
case(
    ops.mse,
    arrays(2, 3),
    arrays(2, 3),
    reduction=reductions,
    errors=[
        *for_pairs,
        bad(np.ones(0), np.ones(0), error=ShapeError, match="mse: expected at least one element"),
    ],
)
# all differences below the threshold; all above; an empty batch
case(ops.huber, arrays(2, 3, high=-0.5), arrays(2, 3, high=-0.5), delta=2.0, reduction=reductions)
case(
    ops.huber,
    arrays(2, 3, gap=1.0),
    arrays(2, 3, low=-0.4, high=0.4),
    delta=0.5,
    reduction=reductions,
    errors=[
        *for_pairs,
        bad(np.ones(2), np.ones(2), error=ConfigError, match="delta expected a finite", delta=0),
        bad(np.ones(2, int), np.ones(2, int), error=DTypeError, match="a floating argument"),
    ],
)
case(ops.huber, arrays(0, 3), arrays(0, 3), reduction="sum")
case(
    ops.bce_with_logits,
    arrays(2, 3, low=-6.0, high=6.0),
    arrays(2, 3, low=0.1, high=0.9),
    weight=st.one_of(st.none(), arrays(2, 1, low=0.5)),
    pos_weight=st.one_of(st.none(), arrays(3, low=0.5)),
    reduction=reductions,
    errors=[
        bad(np.ones(2), np.ones(3), error=ShapeError, match="logits and target of one shape"),
        bad(np.ones(2), -np.ones(2), error=DataError, match=r"pass \(labels \+ 1\) / 2"),
        bad(np.ones(2, int), np.ones(2), error=DTypeError, match="logits expected a floating"),
        bad(
            np.ones(2),
            np.ones(2),
            error=ShapeError,
            match=r"pos_weight expected a shape that broadcasts to \(2,\), got \(3,\)",
            pos_weight=np.ones(3),
        ),
        bad(np.ones(2), np.ones(2), error=DataError, match="weight expected", weight=-np.ones(1)),
        bad(np.ones(0), np.ones(0), error=ShapeError, match="at least one element"),
    ],
)
case(ops.bce_with_logits, arrays(4), np.array([0, 1, 1, 0]), reduction=reductions)
divergences = st.sampled_from(["mean", "batchmean", "sum", "none"])
case(
    ops.kl_div,
    arrays(2, 3),
    arrays(2, 3, low=0.1, high=0.9),
    log_target=st.booleans(),
    reduction=divergences,
    errors=[
        bad(np.ones(2), np.ones(3), error=ShapeError, match="and target of one shape"),
        bad(
            np.ones((2, 3)),
            np.ones((2, 3)),
            error=ConfigError,
            match="'batchmean', got 'average'",
            reduction="average",
        ),
        bad(
            np.ones((0, 3)),
            np.ones((0, 3)),
            error=ShapeError,
            match="at least one row",
            reduction="batchmean",
        ),
        bad(np.ones(2, int), np.ones(2), error=DTypeError, match="a floating dtype, got int64"),
    ],
)
case(xlogx, arrays(2, 3, low=0.1))
