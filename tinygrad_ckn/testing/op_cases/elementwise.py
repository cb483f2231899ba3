"""Cases of arithmetic and of functions element by element."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.testing.cases import bad, case
from tinygrad_ckn.testing.op_cases.inputs import (
    away,
    complex_x,
    cube,
    maybe_none,
    mixed,
    n,
    one,
    two,
)
from tinygrad_ckn.testing.strategies import arrays, integers_in

case(ops.add, one, two, linear=True, errors=[mixed])
case(ops.subtract, one, two, linear=True, errors=[mixed])
case(ops.multiply, one, two, linear=True, errors=[mixed])
case(ops.divide, one, arrays(maybe_none, 1, 3, gap=0.5), errors=[mixed])
case(ops.power, arrays(2, 3, low=0.3), two, errors=[mixed])
case(ops.power, cube, name="power", b=st.sampled_from([0, 1, 2, 3]))
case(ops.negative, cube, linear=True, errors=[complex_x])
pair = arrays(2, n, 3, distinct=True)
case(lambda x: ops.maximum(x[0], x[1]), pair, name="maximum")
case(lambda x: ops.minimum(x[0], x[1]), pair, name="minimum")

for smooth in (ops.exp, ops.square, ops.sin, ops.cos, ops.tanh, ops.sigmoid, ops.softplus):
    case(smooth, cube, errors=[complex_x])
case(ops.log, arrays(maybe_none, n, low=0.3), errors=[complex_x])
case(ops.log1p, arrays(maybe_none, n, low=-0.5), errors=[complex_x])
case(ops.expm1, cube, errors=[complex_x])
case(ops.positive, cube, linear=True, errors=[complex_x])
case(ops.imag, cube, linear=True, errors=[complex_x])
between = arrays(n, n, gap=0.2).map(lambda x: np.floor(x) + 0.2 + 0.25 * (x - np.floor(x)))
for stepped in (ops.floor, ops.ceil, ops.round, ops.trunc):
    case(stepped, between, errors=[complex_x])
case(ops.floor_divide, between, np.array(1.0), errors=[mixed])
case(ops.remainder, between, np.array(-1.0), errors=[mixed])
case(ops.remainder, arrays(3, low=5.2, high=5.8), arrays(3, low=2.1, high=2.4))
case(ops.sqrt, arrays(maybe_none, n, low=0.3), errors=[complex_x])
for kinked in (ops.abs, ops.sign, ops.relu):
    case(kinked, arrays(n, n, gap=0.2), errors=[complex_x])
case(
    ops.where, integers_in(n, 3, below=2).map(lambda c: c > 0), arrays(3), arrays(1, 3), linear=True
)
case(
    ops.clip,
    away,
    a_min=st.sampled_from([None, -1]),
    a_max=st.sampled_from([None, 1]),
    errors=[bad(np.ones(2), 2, 1, error=ShapeError, match="a_min <= a_max, got 2 and 1")],
)
case(
    ops.clip,
    cube,
    errors=[bad(np.ones(2), 2, 1, error=ShapeError, match="a_min <= a_max, got 2 and 1")],
)
case(
    ops.clip,
    arrays(n, 3),
    arrays(3, low=-1.0, high=-0.5),
    arrays(1, 3, low=0.5, high=1.0),
    errors=[bad(np.ones(3), np.ones(2), error=ShapeError, match="broadcast")],
)

# Angles and hyperbolic functions
inside = arrays(maybe_none, n, low=-0.8, high=0.8)
for angle in (ops.tan, ops.asin, ops.acos, ops.atanh):
    case(angle, inside, errors=[complex_x])
for entire in (ops.atan, ops.sinh, ops.cosh, ops.asinh, ops.exp2):
    case(entire, cube, errors=[complex_x])
case(ops.acosh, arrays(maybe_none, n, low=1.3, high=3.0), errors=[complex_x])
case(ops.atan2, arrays(2, 3, gap=0.3), arrays(maybe_none, 1, 3, gap=0.3), errors=[mixed])
case(ops.hypot, arrays(2, 3, gap=0.3), arrays(maybe_none, 1, 3, gap=0.3), errors=[mixed])
for positive in (ops.log2, ops.log10, ops.reciprocal):
    case(positive, arrays(maybe_none, n, low=0.4), errors=[complex_x])
case(ops.logaddexp, one, two, errors=[mixed])
case(ops.copysign, arrays(2, 3, gap=0.2), arrays(maybe_none, 1, 3, gap=0.2), errors=[mixed])
case(ops.nextafter, one, two, errors=[mixed])

# Special functions
for smooth in (ops.erf, ops.erfc, ops.ndtr):
    case(smooth, cube, errors=[complex_x])
case(ops.erfinv, inside, errors=[complex_x])
case(ops.logit, arrays(maybe_none, n, low=0.2, high=0.8), errors=[complex_x])
for of_gamma in (ops.gammaln, ops.digamma):
    case(of_gamma, arrays(maybe_none, n, low=0.6, high=4.0), errors=[complex_x])
case(
    lambda x, n: ops.polygamma(n, x),
    arrays(maybe_none, n, low=0.6, high=4.0),
    n=st.integers(0, 2),
    name="polygamma",
)
case(ops.xlogy, arrays(2, 3), arrays(maybe_none, 1, 3, low=0.3), errors=[mixed])
case(ops.i0e, arrays(maybe_none, n, gap=0.3), errors=[complex_x])
case(
    lambda x, n: ops.ive(n, x),
    arrays(maybe_none, n, gap=0.3),
    n=st.integers(0, 3),
    name="ive",
)
