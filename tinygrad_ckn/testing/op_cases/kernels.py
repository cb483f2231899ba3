"""Cases of the kappas, and of the map of a CKN layer.

The map is computed in three ways: unfolded, with scaled patches or products, and by
Winograd's filtering.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.models.kernels import (
    ArcCosine1,
    Exponential,
    InnerPolynomial,
    Matern,
    Polynomial,
    PowerSeries,
)
from tinygrad_ckn.testing.cases import bad, case
from tinygrad_ckn.testing.op_cases.inputs import maybe_none, n, subsampling
from tinygrad_ckn.testing.strategies import arrays

cosines = arrays(n, n, low=-0.9, high=0.9)
case(ops.kappa_exponential, cosines, arrays(1, low=0.5))
case(
    ops.kappa_polynomial,
    cosines,
    degree=st.integers(1, 4),
    errors=[bad(np.ones(2), 0, error=ConfigError, match="degree expected an integer >= 1, got 0")],
)
case(ops.kappa_arccos0, cosines)
case(ops.kappa_arccos1, cosines)
case(
    ops.kappa_matern,
    cosines,
    rate=st.floats(0.3, 3.0),
    order=st.integers(0, 2),
    errors=[
        bad(
            np.ones(2), 0.0, 1, error=ConfigError, match="rate expected a finite number > 0, got 0"
        ),
        bad(
            np.ones(2),
            1.0,
            3,
            error=ConfigError,
            match="order expected 0, 1 or 2, got 3; for nu = 1/2, 3/2 or 5/2",
        ),
    ],
)
case(
    ops.kappa_power_series,
    cosines,
    coefficients=st.sampled_from([(1.0,), (0.5, 0.5), (0.25, 0.0, 0.5, 0.25)]),
    errors=[
        bad(
            np.ones(2),
            given,
            error=ConfigError,
            match="coefficients expected a tuple of at least one finite number",
        )
        for given in ((), [1.0], (1.0, float("nan")))
    ],
)

kappas = st.sampled_from(
    [
        kernel.fused()
        for kernel in (
            Exponential.of_alpha(2.0),
            Polynomial(2),
            Polynomial(3),
            ArcCosine1(),
            InnerPolynomial(1.0, 3),
            PowerSeries((0.25, 0.0, 0.75)),
            Matern(2.5, 5**0.5 / 1.5),
            0.5 * Exponential.of_alpha(2.0) + 0.5 * ArcCosine1(),
            Polynomial(2) * Matern(1.5, 3**0.5 / 1.5),
        )
    ]
)
tiny: dict[str, Any] = {
    "low": -0.1,
    "high": 0.1,
}  # filters within the unit sphere, where arccos has its argument
case(
    ops.ckn_map,
    arrays(maybe_none, 2, 4, 3),
    arrays(3, 2, st.integers(1, 3), 2, **tiny),
    kappas,
    arrays(3, 3),
    padding=st.sampled_from(["same", "full", 1]),
    subsampling=subsampling,
    errors=[
        bad(
            np.ones((1, 2, 4, 4)),
            np.ones((3, 1, 2, 2)),
            Polynomial(2).fused(),
            error=ShapeError,
            match="z .* of 2 channels",
        ),
        bad(
            np.ones((1, 1, 4, 4)),
            np.ones((3, 1, 2, 2)),
            "cubic",
            error=ConfigError,
            match="kappa .* got 'cubic'",
        ),
        bad(
            np.ones((1, 1, 4, 4)),
            np.ones((3, 1, 2, 2)),
            Polynomial(2).fused(),
            np.ones((2, 2)),
            error=ShapeError,
            match=r"transform expected shape \(3, 3\).*got \(2, 2\)",
        ),
    ],
)
case(ops.ckn_map, arrays(2, 9, 3, 3), arrays(2, 9, n, 1, **tiny), kappas, subsampling=subsampling)
case(
    ops.ckn_map,
    arrays(n, 16, 5, 4),
    arrays(17, 16, 3, 3, low=-0.03, high=0.03),
    kappas,
    subsampling=subsampling,
)
