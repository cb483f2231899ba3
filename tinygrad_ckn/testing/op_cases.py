"""The cases of all operations in `tinygrad_ckn.ops`."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.backend import CPU
from tinygrad_ckn.cpu.correlate.dispatch import algorithms_for
from tinygrad_ckn.errors import (
    ConfigError,
    DataError,
    DTypeError,
    LinearAlgebraError,
    OpIndexError,
    ShapeError,
)
from tinygrad_ckn.models.kernels import (
    ArcCosine1,
    Exponential,
    InnerPolynomial,
    Matern,
    Polynomial,
    PowerSeries,
)
from tinygrad_ckn.primitive import REGISTRY
from tinygrad_ckn.testing.cases import CASES, bad, case
from tinygrad_ckn.testing.strategies import (
    arrays,
    conv_args,
    integers_in,
    near_duplicate_filters,
    spd_matrices,
)

xp = CPU.xp
n = st.integers(1, 4)
axes = st.sampled_from([None, 0, 1, -1, (0, 2), (1, -1)])
flags = st.booleans()
maybe_none = st.integers(0, 3)
cube, solid = arrays(maybe_none, n, n), arrays(n, n, n)
# broadcast against each other
one, two = arrays(2, 3), arrays(maybe_none, 1, 3)
mixed = bad(xp.ones(2), xp.ones(3), error=ShapeError, match=r"broadcast.*\(2,\).*\(3,\)")
complex_x = bad(
    xp.ones(2) * 1j,
    error=DTypeError,
    match="x expected a real dtype, got complex128; pass real and",
)

# Arithmetic
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

# Elementwise
for smooth in (ops.exp, ops.square, ops.sin, ops.cos, ops.tanh, ops.sigmoid, ops.softplus):
    case(smooth, cube, errors=[complex_x])
case(ops.log, arrays(maybe_none, n, low=0.3), errors=[complex_x])
case(ops.log1p, arrays(maybe_none, n, low=-0.5), errors=[complex_x])
case(ops.expm1, cube, errors=[complex_x])
case(ops.positive, cube, linear=True, errors=[complex_x])
between = arrays(n, n, gap=0.2).map(
    lambda x: xp.floor(x) + 0.2 + 0.25 * (x - xp.floor(x))
)  # off every step
for stepped in (ops.floor, ops.ceil, ops.round):
    case(stepped, between, errors=[complex_x])
case(ops.floor_divide, between, xp.array(1.0), errors=[mixed])
case(ops.remainder, between, xp.array(-1.0), errors=[mixed])
case(
    ops.remainder, arrays(3, low=5.2, high=5.8), arrays(3, low=2.1, high=2.4)
)  # 2 times and a rest
case(ops.sqrt, arrays(maybe_none, n, low=0.3), errors=[complex_x])
for kinked in (ops.abs, ops.sign, ops.relu):
    case(kinked, arrays(n, n, gap=0.2), errors=[complex_x])
case(
    ops.where, integers_in(n, 3, below=2).map(lambda c: c > 0), arrays(3), arrays(1, 3), linear=True
)
# from the kinks at -1 and 1
away = arrays(3, 4).map(lambda x: xp.where(abs(x) < 1, 0.8, 1.2) * x)
case(
    ops.clip,
    away,
    a_min=st.sampled_from([None, -1]),
    a_max=st.sampled_from([None, 1]),
    errors=[bad(xp.ones(2), 2, 1, error=ShapeError, match="a_min <= a_max, got 2 and 1")],
)

# Reductions
outside = bad(
    xp.ones((2, 3)), 2, error=ShapeError, match="argument axis expected distinct axes of 2, got 2"
)
nothing = bad(xp.ones((2, 0)), error=ShapeError, match="at least one element")
case(ops.sum, cube, axis=axes, keepdims=flags, linear=True, errors=[complex_x])
case(ops.mean, solid, axis=axes, keepdims=flags, linear=True, errors=[nothing, outside])
case(
    ops.var,
    arrays(2, 3, 2),
    axis=axes,
    ddof=st.integers(0, 1),
    keepdims=flags,
    errors=[nothing, bad(xp.ones(1), ddof=1, error=ShapeError, match="more than ddof=1 elements")],
)
case(ops.std, arrays(2, 3, 2, distinct=True), axis=st.sampled_from([None, (0, 1)]), keepdims=flags)
case(ops.max, arrays(n, n, n, distinct=True), axis=axes, keepdims=flags)
case(ops.min, arrays(n, n, n, distinct=True), axis=axes, keepdims=flags)
case(ops.logsumexp, solid, axis=axes, keepdims=flags, errors=[complex_x])
# where it is not asked for
case(lambda x: x + 0 * REGISTRY["_kink"](x, None), cube, name="_kink")
case(ops.norm, arrays(n, n, n, gap=0.2), axis=axes, keepdims=flags, errors=[complex_x])

# Shape
case(
    ops.reshape,
    arrays(2, 3, 2),
    (-1, 4),
    linear=True,
    errors=[bad(xp.ones(3), 2, error=ShapeError, match="reshape")],
)
case(ops.transpose, cube, axes=st.one_of(st.none(), st.permutations([0, 1, -1])), linear=True)
case(lambda x: ops.moveaxis(x, (0, 1), (-1, 0)), cube, name="moveaxis", linear=True)
case(ops.swapaxes, cube, axis1=st.integers(-3, 2), axis2=st.integers(-3, 2), linear=True)
case(
    lambda x: ops.broadcast_to(x, (2, len(x), 4, 3)),
    arrays(n, 1, 3),
    name="broadcast_to",
    linear=True,
)
case(
    lambda x: ops.sum_to(x, (x.shape[1], 1)),
    cube,
    name="sum_to",
    linear=True,
)
case(ops.flip, cube, axis=axes, linear=True)
case(
    ops.pad,
    arrays(n, n),
    pad_width=st.sampled_from([1, (0, 2), ((1, 0), (2, 3))]),
    linear=True,
    errors=[
        bad(
            xp.ones((2, 2)),
            ((1, 1),) * 3,
            error=ShapeError,
            match="expected 2 .before, after. pairs",
        )
    ],
)
case(lambda x: ops.astype(x, x.dtype), cube, name="astype", linear=True)
case(ops.to_device, cube, "cpu", linear=True)
case(
    lambda a, b: ops.concatenate([a, b], axis=-1),
    arrays(2, n),
    arrays(2, n),
    name="concatenate",
    linear=True,
)
case(lambda a, b: ops.stack([a, b], axis=1), arrays(2, 3), arrays(2, 3), name="stack", linear=True)
case(lambda x: ops.split(x, [1, 2], axis=1)[1:], arrays(n, 4), name="split", linear=True)
case(ops.expand_dims, cube, axis=st.sampled_from([0, -1, (0, 2)]), linear=True)
case(ops.squeeze, arrays(1, n, 1), axis=st.sampled_from([None, 0, (0, 2)]), linear=True)

# Indices
indices = st.sampled_from(
    [
        1,
        (slice(None), -1),
        (..., slice(None, None, -2)),
        (None, 0),
        ([0, 2, 0],),
        ([0, 2], slice(1, 3)),
        (xp.array([True, False, True]),),
        (xp.array([[0, 1], [2, 2]]), xp.array([1, 0])),
    ]
)
far = bad(xp.ones(3), 5, error=OpIndexError, match="index 5 is out of bounds")
case(ops.getitem, arrays(3, 4), indices, linear=True, errors=[far])
case(ops.index_add, arrays(3, 4), indices, arrays(1), linear=True)
case(
    lambda a, b: REGISTRY["scatter"](a, b, indices=(0, (slice(None), [1, 1])), shape=(3, 4)),
    arrays(4),
    arrays(3, 2),
    name="scatter",
    linear=True,
)
case(
    lambda x: ops.stack([*x, x[1]]), arrays(3, 2), name="getitem", linear=True
)  # rows, one of them twice

# Products
inner = bad(xp.ones((2, 3)), xp.ones((2, 3)), error=ShapeError, match="matmul")
for left, right in (
    ((2, 3), (3, n)),
    ((n, 2, 3), (3, 2)),
    ((2, 1, 2, 3), (n, 3, 2)),
    ((3,), (n, 3, 2)),
    ((n, 3), (3,)),
):
    case(ops.matmul, arrays(*left), arrays(*right), linear=True, errors=[inner])
case(ops.matmul, arrays(3), arrays(3), linear=True)
for subscripts, shapes in {
    "ij,jk->ik": ((2, 3), (3, 2)),
    "...ij,kj->...ki": ((2, 1, 2, 3), (2, 3)),
    "ii,ij->j": ((3, 3), (3, 2)),
    "ij,k,lk": ((2, 3), (4,), (2, 4)),
    "bij->ji": ((2, 2, 3),),
}.items():
    case(
        lambda *x, subscripts=subscripts: ops.einsum(subscripts, *x),
        *[arrays(*shape) for shape in shapes],
        name="einsum",
        linear=True,
    )

# Windows and correlation
window: dict[str, Any] = {
    "stride": st.sampled_from([1, (2, 1)]),
    "padding": st.sampled_from([0, (1, 0), "same", "full"]),
    "dilation": st.sampled_from([1, (1, 2)]),
}
large = bad(
    xp.ones((1, 1, 2, 2)),
    3,
    error=ShapeError,
    match=r"at least the kernel's extent \(3, 3\), got \(2, 2\)",
)
flat = bad(
    xp.ones((2, 2)), 1, error=ShapeError, match=r"expected shape \(N, C, H, W\), got \(2, 2\)"
)
whole = bad(
    xp.ones((1, 1, 2, 2), dtype=int),
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
            xp.ones((1, 1, 2, 2)), 0, error=ShapeError, match="kernel_size expected an integer >= 1"
        ),
    ],
    **window,
)


def _fold_args(options: dict[str, Any]) -> Any:
    columns = ops.unfold(xp.zeros((2, 2, 5, 4)), (2, 2), **options)
    return st.tuples(arrays(*columns.shape), st.just((5, 4)), st.just((2, 2)), st.just(options))


case(
    ops.fold,
    st.fixed_dictionaries(window).flatmap(_fold_args),
    linear=True,
    errors=[
        bad(xp.ones((1, 4, 3)), (3, 3), 2, error=ShapeError, match=r"expected shape \(N, C\*4, 4\)")
    ],
)
filters = bad(
    xp.ones((1, 2, 4, 4)),
    xp.ones((1, 3, 2, 2)),
    error=ShapeError,
    match="argument w .*C = 2, groups = 1",
)
unfit = bad(
    xp.ones((1, 1, 4, 4)),
    xp.ones((1, 1, 2, 2)),
    stride=2,
    algorithm="fft",
    error=ConfigError,
    match=r"algorithm 'fft' needs stride 1 and .*, got filters \(2, 2\), stride \(2, 2\).*; use algorithm='auto'",
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
    cotangent = xp.cos(xp.arange(y.size, dtype=float)).reshape(y.shape)
    if role == "input":
        return cotangent, w, {"input_size": x.shape[2:], **options}
    return x, cotangent, {"kernel_size": w.shape[2:], **options}


for drawn in (small, three):
    case(ops.correlate2d_input, drawn.map(lambda a: _adjoint_args(a, "input")), linear=True)
    case(ops.correlate2d_weight, drawn.map(lambda a: _adjoint_args(a, "weight")), linear=True)

# Pooling
pooling: dict[str, Any] = {
    "kernel_size": st.sampled_from([2, (3, 2)]),
    "stride": st.sampled_from([None, 1, (1, 2)]),
    "padding": st.sampled_from([0, 1]),
}
subsampling = st.sampled_from([1, 1.3, 2**0.5, 2, 3, (1, 2), (1.5, 1)])
half = bad(
    xp.ones((1, 1, 4, 4)), 2, padding=2, error=ShapeError, match="at most half of kernel_size"
)
case(ops.avg_pool2d, arrays(1, 2, 5, 4), linear=True, errors=[half, flat], **pooling)
case(ops.avg_unpool2d, arrays(2, 1, 2, 2), (5, 4), 2, linear=True)
case(ops.max_pool2d, arrays(1, 2, 5, 4, distinct=True), errors=[half, flat], **pooling)
case(
    ops.gaussian_pool2d,
    arrays(1, 2, st.integers(1, 7), 5),
    subsampling=subsampling,
    linear=True,
    errors=[
        bad(
            xp.ones((1, 1, 2, 2)),
            0.5,
            error=ShapeError,
            match="number >= 1 or two of them, got 0.5",
        )
    ],
)
case(ops.gaussian_unpool2d, arrays(1, 2, 3, 2), (6, 4), 2, linear=True)

# Matrices
skew = bad(
    xp.array([[1.0, 2.0], [-2.0, 1.0]]),
    error=LinearAlgebraError,
    match="symmetric.*pass .a . a.T. / 2",
)
tall = bad(
    xp.ones((2, 3)), error=ShapeError, match=r"square matrices \(..., n, n\), got shape \(2, 3\)"
)
negative = bad(
    -xp.eye(2), error=LinearAlgebraError, match="smallest eigenvalue -1 with eps=0; add eps > 1"
)
mild = st.sampled_from(["random", "equal", "pairs"])
spd = spd_matrices(st.integers(1, 2), n=n, least=0.3, spectra=mild)
conventions = st.sampled_from(["inside", "outside"])
case(
    ops.inverse_sqrt,
    spd,
    eps=st.sampled_from([0.0, 0.1]),
    convention=conventions,
    errors=[
        skew,
        tall,
        negative,
        bad(xp.eye(2), eps=-1, error=ConfigError, match="eps expected a number >= 0"),
    ],
)
case(
    lambda z, convention: ops.inverse_sqrt(
        ops.kappa_exponential(z @ z.T, 2.0), eps=1e-2, convention=convention
    ),
    near_duplicate_filters(4, 3, distance=0.1),
    convention=conventions,
    name="inverse_sqrt",
)
case(
    ops.sqrtm,
    spd,
    errors=[skew, tall, bad(-xp.eye(2), error=LinearAlgebraError, match="positive semi-definite")],
)
case(
    ops.lyapunov,
    spd_matrices(n=3, least=0.3, spectra=mild),
    arrays(n, 3, 3),
    errors=[bad(xp.eye(2), xp.ones(2), error=ShapeError, match="argument q")],
)
singular = bad(
    xp.ones((2, 2)), error=LinearAlgebraError, match="invertible matrices, got a singular one"
)
case(ops.inv, spd, errors=[tall, singular])
case(
    ops.solve,
    spd_matrices(n=3, least=0.3, spectra=mild),
    arrays(3),
    errors=[bad(xp.ones((2, 2)), xp.ones(2), error=LinearAlgebraError, match="singular")],
)
case(ops.solve, spd_matrices(2, n=3, least=0.3, spectra=mild), arrays(3, n))

# Kernels
cosines = arrays(n, n, low=-0.9, high=0.9)
case(ops.kappa_exponential, cosines, arrays(1, low=0.5))
case(
    ops.kappa_polynomial,
    cosines,
    degree=st.integers(1, 4),
    errors=[bad(xp.ones(2), 0, error=ConfigError, match="degree expected an integer >= 1, got 0")],
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
            xp.ones(2), 0.0, 1, error=ConfigError, match="rate expected a finite number > 0, got 0"
        ),
        bad(
            xp.ones(2),
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
            xp.ones(2),
            given,
            error=ConfigError,
            match="coefficients expected a tuple of at least one finite number",
        )
        for given in ((), [1.0], (1.0, float("nan")))
    ],
)

# The map of a CKN layer: unfolded, its patches scaled or its products, and by
# Winograd's filtering
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
            xp.ones((1, 2, 4, 4)),
            xp.ones((3, 1, 2, 2)),
            Polynomial(2).fused(),
            error=ShapeError,
            match="z .* of 2 channels",
        ),
        bad(
            xp.ones((1, 1, 4, 4)),
            xp.ones((3, 1, 2, 2)),
            "cubic",
            error=ConfigError,
            match="kappa .* got 'cubic'",
        ),
        bad(
            xp.ones((1, 1, 4, 4)),
            xp.ones((3, 1, 2, 2)),
            Polynomial(2).fused(),
            xp.ones((2, 2)),
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

# Losses
labels = integers_in(3, below=4)
wrong = [
    bad(
        xp.ones((2, 3)), xp.array([0, 3]), error=DataError, match="class numbers 0 .. 2, got 0 .. 3"
    ),
    bad(
        xp.ones((2, 3)),
        xp.array([0.0, 1.0]),
        error=DTypeError,
        match="labels expected integer class numbers, got float64",
    ),
    bad(xp.ones((2, 3)), xp.array([0]), error=ShapeError, match=r"\(2, 3\) and \(1,\)"),
]
case(ops.log_softmax, solid, axis=axes)
case(ops.softmax, solid, axis=axes)
case(ops.cross_entropy, arrays(3, 4), labels, errors=wrong)
case(ops.squared_hinge, away, labels, errors=wrong)
case(
    ops.mse,
    arrays(2, 3),
    arrays(2, 3),
    errors=[bad(xp.ones(2), xp.ones(3), error=ShapeError, match="reshape one")],
)

CHECKED = tuple(CASES)
