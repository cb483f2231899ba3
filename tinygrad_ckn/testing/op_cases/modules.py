"""Cases of modules, as functions of their input and of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_ckn import nn
from tinygrad_ckn.backend import backend_of
from tinygrad_ckn.errors import DataError, DTypeError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.nn.normalisation import normalise
from tinygrad_ckn.nn.recurrence import lstm_sequence, lstm_step
from tinygrad_ckn.testing.cases import bad, case
from tinygrad_ckn.testing.strategies import arrays, integers_in


def function_of(
    make: Callable[..., nn.Module], *names: str, evaluating: bool = False
) -> Callable[..., Any]:
    """Return a module as a function of its input and of the parameters of these names.

    Options are those of its class. The module is made anew in each call, on the device of
    the input.
    """

    def call(x: Any, *parameters: Any, **options: Any) -> Any:
        module = make(**options).to(backend_of(unwrap(x)).device)
        for name, parameter in zip(names, parameters, strict=False):
            setattr(module, name, parameter)
        return module.train(not evaluating)(x)

    return call


affine = ("weight", "bias")
more = st.integers(2, 4)
case(normalise, arrays(3, 2, 4), axis=st.sampled_from([(0,), (-1,), (0, 2)]), eps=0.1)
case(
    function_of(lambda **options: nn.BatchNorm1d(3, **options), *affine),
    st.one_of(arrays(more, 3), arrays(2, 3, 4), arrays(1, 3, 4)),
    arrays(3),
    arrays(3),
    name="BatchNorm1d",
    eps=st.sampled_from([1e-1, 1.0]),
    errors=[
        bad(np.ones((1, 3)), error=ShapeError, match="more than one number for each channel in tr"),
        bad(np.ones((0, 3)), error=ShapeError, match=r"got shape \(0, 3\); pass a larger batch"),
        bad(np.ones((2, 4)), error=ShapeError, match=r"expected shape \(N, 3\) or \(N, 3, L\), g"),
        bad(np.ones((2, 3), int), error=DTypeError, match="expected a floating dtype, got int64"),
    ],
)
case(
    function_of(lambda: nn.BatchNorm1d(3), *affine, evaluating=True),
    st.one_of(arrays(st.integers(0, 2), 3), arrays(2, 3, 0)),
    arrays(3),
    arrays(3),
    name="BatchNorm1d in eval mode",
)
case(
    function_of(lambda: nn.BatchNorm2d(2, eps=0.1), *affine),
    st.one_of(arrays(2, 2, 1, 2), arrays(1, 2, 2, 1)),
    arrays(2),
    arrays(2),
    name="BatchNorm2d",
    errors=[bad(np.ones((2, 2, 3)), error=ShapeError, match=r"expected shape \(N, 2, H, W\), got")],
)
case(
    function_of(lambda: nn.LayerNorm((2, 3), eps=0.1), *affine),
    arrays(st.integers(0, 3), 2, 3),
    arrays(2, 3),
    arrays(2, 3),
    name="LayerNorm",
    errors=[
        bad(np.ones((3, 2)), error=ShapeError, match=r"expected shape \(\.\.\., 2, 3\), got \(3,")
    ],
)
case(
    function_of(lambda: nn.Dropout(0.5, rng=0)),
    arrays(st.integers(0, 3), 4),
    name="Dropout",
    linear=True,
    errors=[bad(np.ones(2, int), error=DTypeError, match="a floating dtype, got int64")],
)
case(
    function_of(nn.GELU),
    arrays(st.integers(0, 3), 4),
    name="GELU",
    approximate=st.sampled_from(["none", "tanh"]),
)
case(function_of(nn.LeakyReLU), arrays(3, 4, gap=0.2), name="LeakyReLU", negative_slope=0.3)
case(
    lambda weight, indices: function_of(lambda: nn.Embedding(4, 2), "weight")(indices, weight),
    arrays(4, 2),
    integers_in(3, st.integers(0, 3), below=4),
    name="Embedding",
    linear=True,
    errors=[
        bad(np.ones((4, 2)), np.array([4]), error=DataError, match=r"0 \.\. 3, got 4 \.\. 4"),
        bad(np.ones((4, 2)), np.array([-1]), error=DataError, match=r"0 \.\. 3, got -1 \.\. -1"),
        bad(np.ones((4, 2)), np.array([1.0]), error=DTypeError, match="integers, got float64"),
    ],
)
case(
    function_of(
        lambda **options: nn.ConvTranspose2d(4, 2, (2, 3), stride=(2, 3), **options), *affine
    ),
    arrays(st.integers(0, 2), 4, 2, 3),
    arrays(4, 1, 2, 3),
    arrays(2),
    name="ConvTranspose2d",
    padding=st.sampled_from([0, (0, 1)]),
    output_padding=st.sampled_from([0, (1, 2)]),
    dilation=st.sampled_from([1, (2, 1)]),
    groups=2,
    errors=[
        bad(np.ones((1, 3, 2, 2)), error=ShapeError, match=r"expected shape \(N, 4, H, W\), got"),
        bad(np.ones((1, 4, 2, 2), int), error=DTypeError, match="x expected a floating dtype, got"),
        bad(
            np.ones((1, 4, 1, 1)),
            error=ShapeError,
            match=r"for a result of size \(0, 1\); use less padding",
            padding=1,
        ),
    ],
)
for n in (0, 2):
    case(lstm_step, arrays(n, 8), arrays(n, 4), arrays(8, 2))
    case(lstm_sequence, arrays(st.integers(1, 3), n, 8), arrays(n, 4), arrays(8, 2))
case(
    lambda x, *p: function_of(
        lambda: nn.LSTM(2, 1),
        *(f"{name}_l0" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")),
    )(x, *p)[0],
    arrays(2, st.integers(0, 2), 2),
    arrays(4, 2),
    arrays(4, 1),
    arrays(4),
    arrays(4),
    name="LSTM",
    errors=[
        bad(np.ones((2, 3)), error=ShapeError, match=r"\(T, N, 2\) with T >= 1, got \(2, 3\)"),
        bad(np.ones((2, 1, 2), int), error=DTypeError, match="x expected a floating dtype, got"),
        bad(np.ones((0, 2, 2)), error=ShapeError, match=r"with T >= 1, got \(0, 2, 2\)"),
    ],
)
