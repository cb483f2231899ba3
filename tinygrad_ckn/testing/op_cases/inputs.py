"""Inputs and wrong calls that the cases of several operations share."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tinygrad_ckn.errors import DTypeError, ShapeError
from tinygrad_ckn.testing.cases import bad
from tinygrad_ckn.testing.strategies import arrays

n = st.integers(1, 4)
axes = st.sampled_from([None, 0, 1, -1, (0, 2), (1, -1)])
flags = st.booleans()
maybe_none = st.integers(0, 3)
cube = arrays(maybe_none, n, n)
solid = arrays(n, n, n)
# Two shapes that broadcast.
one = arrays(2, 3)
two = arrays(maybe_none, 1, 3)
mixed = bad(np.ones(2), np.ones(3), error=ShapeError, match=r"broadcast.*\(2,\).*\(3,\)")
complex_x = bad(
    np.ones(2) * 1j,
    error=DTypeError,
    match="x expected a real dtype, got complex128; pass real and",
)
# Away from the kinks of clip and of the hinge, at -1 and 1.
away = arrays(3, 4).map(lambda x: np.where(abs(x) < 1, 0.8, 1.2) * x)
# Strides of Gaussian pooling.
subsampling = st.sampled_from([1, 1.3, 2**0.5, 2, 3, (1, 2), (1.5, 1)])
# Images without batch and channels.
flat = bad(
    np.ones((2, 2)), 1, error=ShapeError, match=r"expected shape \(N, C, H, W\), got \(2, 2\)"
)
