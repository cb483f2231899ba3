"""Cases of pooling."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.backend import Array, xp_of
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.max_pool import gather_at_maxima, scatter_to_maxima
from tinygrad_ckn.primitive import Primitive
from tinygrad_ckn.testing.cases import bad, case
from tinygrad_ckn.testing.op_cases.inputs import flat, subsampling
from tinygrad_ckn.testing.strategies import arrays

IMAGES = np.random.default_rng(0).permutation(40).reshape(1, 2, 5, 4) / 8
TOPS = np.asarray(ops.max_pool2d(IMAGES, (3, 2), 1, 1))


def at_maxima(primitive: Primitive[Any]) -> Callable[[Array], Tensor]:
    """Return a primitive as a function of its values, at the maxima of fixed images."""

    @functools.wraps(primitive)
    def call(values: Array) -> Tensor:
        xp = xp_of(unwrap(values))
        x, tops = (xp.asarray(fixed, dtype=values.dtype) for fixed in (IMAGES, TOPS))
        found: Tensor = primitive(values, x, tops, (3, 2), 1, 1)
        return found

    return call


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
case(at_maxima(scatter_to_maxima), arrays(*TOPS.shape), linear=True)
case(at_maxima(gather_at_maxima), arrays(*IMAGES.shape), linear=True)
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
