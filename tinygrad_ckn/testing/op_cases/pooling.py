"""Cases of pooling."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.backend import Array, xp_of
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.primitive import REGISTRY
from tinygrad_ckn.testing.cases import bad, case
from tinygrad_ckn.testing.op_cases.inputs import flat, subsampling
from tinygrad_ckn.testing.strategies import arrays

pooling: dict[str, Any] = {
    "kernel_size": st.sampled_from([2, (3, 2)]),
    "stride": st.sampled_from([None, 1, (1, 2)]),
    "padding": st.sampled_from([0, 1]),
}
half = bad(
    np.ones((1, 1, 4, 4)), 2, padding=2, error=ShapeError, match="at most half of kernel_size"
)
case(ops.avg_pool2d, arrays(1, 2, 5, 4), linear=True, errors=[half, flat], **pooling)
case(ops.avg_unpool2d, arrays(2, 1, 2, 2), (5, 4), 2, linear=True)
case(ops.max_pool2d, arrays(1, 2, 5, 4, distinct=True), errors=[half, flat], **pooling)


def _at_maxima(name: str, values: Array) -> Tensor:
    """Return values put to, or taken from, the maxima of a given image on their device."""
    image = np.arange(40.0).reshape(1, 2, 5, 4) * 7 % 40
    x = xp_of(unwrap(values)).asarray(image, dtype=values.dtype)
    moved: Tensor = REGISTRY[name](values, x, ops.max_pool2d(x, 2, 1), 2, 1, 0)
    return moved


for at_maxima, size in (("scatter_to_maxima", (4, 3)), ("gather_at_maxima", (5, 4))):
    case(partial(_at_maxima, at_maxima), arrays(1, 2, *size), name=at_maxima, linear=True)
case(
    ops.gaussian_pool2d,
    arrays(1, 2, st.integers(1, 7), 5),
    subsampling=subsampling,
    linear=True,
    errors=[
        bad(
            np.ones((1, 1, 2, 2)),
            0.5,
            error=ShapeError,
            match="number >= 1 or two of them, got 0.5",
        )
    ],
)
case(ops.gaussian_unpool2d, arrays(1, 2, 3, 2), (6, 4), 2, linear=True)
