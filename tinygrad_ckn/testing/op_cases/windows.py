"""Cases of windows, correlation and their adjoints."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.cpu.correlate.dispatch import algorithms_for
from tinygrad_ckn.errors import ConfigError, DTypeError, ShapeError
from tinygrad_ckn.testing.cases import bad, case
from tinygrad_ckn.testing.op_cases.inputs import flat
from tinygrad_ckn.testing.strategies import arrays, conv_args

window: dict[str, Any] = {
    "stride": st.sampled_from([1, (2, 1)]),
    "padding": st.sampled_from([0, (1, 0), "same", "full"]),
    "dilation": st.sampled_from([1, (1, 2)]),
}
large = bad(
    np.ones((1, 1, 2, 2)),
    3,
    error=ShapeError,
    match=r"at least the kernel's extent \(3, 3\), got \(2, 2\)",
)
whole = bad(
    np.ones((1, 1, 2, 2), dtype=int),
    1,
    error=DTypeError,
    match="floating dtype, got int64; use .astype",
)
case(
    ops.unfold,
    arrays(2, 2, 5, 4),
    kernel_size=st.sampled_from([1, 2, (3, 2)]),
    linear=True,
    errors=[
        large,
        flat,
        whole,
        bad(
            np.ones((1, 1, 2, 2)), 0, error=ShapeError, match="kernel_size expected an integer >= 1"
        ),
    ],
    **window,
)


def _fold_args(options: dict[str, Any]) -> Any:
    columns = ops.unfold(np.zeros((2, 2, 5, 4)), (2, 2), **options)
    return st.tuples(arrays(*columns.shape), st.just((5, 4)), st.just((2, 2)), st.just(options))


case(
    ops.fold,
    st.fixed_dictionaries(window).flatmap(_fold_args),
    linear=True,
    errors=[
        bad(np.ones((1, 4, 3)), (3, 3), 2, error=ShapeError, match=r"expected shape \(N, C\*4, 4\)")
    ],
)
filters = bad(
    np.ones((1, 2, 4, 4)),
    np.ones((1, 3, 2, 2)),
    error=ShapeError,
    match="argument w .*C = 2, groups = 1",
)
unfit = bad(
    np.ones((1, 1, 4, 4)),
    np.ones((1, 1, 2, 2)),
    stride=2,
    algorithm="fft",
    error=ConfigError,
    match=r"algorithm 'fft' needs stride 1 and .*, got filters \(2, 2\), "
    r"stride \(2, 2\).*; use algorithm='auto'",
)


def _with_algorithm(x_w_options: Any) -> Any:
    x, w, options = x_w_options
    names = st.sampled_from(["auto", *algorithms_for(x.shape, w.shape, x.dtype, **options)])
    return names.map(lambda name: (x, w, {**options, "algorithm": name}))


small = conv_args().flatmap(_with_algorithm)
three = st.tuples(arrays(2, 2, 6, 5), arrays(3, 2, 3, 3), st.just({"padding": 1})).flatmap(
    _with_algorithm
)
case(ops.correlate2d, small, linear=True, errors=[filters, unfit])
case(ops.correlate2d, three, linear=True)
case(
    ops.correlate2d,
    arrays(5, 4),
    arrays(2, 3),
    padding=st.sampled_from(["valid", "same", "full"]),
    linear=True,
)
case(ops.correlate2d, arrays(2, 2, 4, 3), arrays(4, 1, 2, 2), arrays(4), groups=2, linear=True)


def _adjoint_args(x_w_options: Any, role: str) -> Any:
    x, w, options = x_w_options
    y = ops.correlate2d(x, w, **options)
    cotangent = np.cos(np.arange(y.size, dtype=float)).reshape(y.shape)
    if role == "input":
        return cotangent, w, {"input_size": x.shape[2:], **options}
    return x, cotangent, {"kernel_size": w.shape[2:], **options}


for drawn in (small, three):
    case(ops.correlate2d_input, drawn.map(lambda a: _adjoint_args(a, "input")), linear=True)
    case(ops.correlate2d_weight, drawn.map(lambda a: _adjoint_args(a, "weight")), linear=True)
