"""Every operation on 0-d and empty arrays, and on axes of size 1.

Where the forward works, the derivatives must work too. An operation without required
options needs no entry here: it is called with its defaults.
"""

import itertools

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import CKNError
from tinygrad_ckn.models import kernels
from tinygrad_ckn.primitive import REGISTRY

SHAPES = [
    (),
    (0,),
    (1,),
    (2,),
    (1, 1),
    (0, 1),
    (1, 0),
    (0, 2),
    (2, 0),
    (2, 1),
    (1, 2),
    (2, 2),
    (0, 0),
    (1, 0, 2),
    (2, 1, 1),
]
IMAGES = [
    (n, c, h, w) for n, c, h, w in itertools.product((0, 1, 2), (0, 1, 2), (0, 1, 3), (0, 1, 3))
]
AXES = [None, 0, -1, 1, (0,), (), (0, 1), (-1,)]


def calls_of_one():  # noqa: PLR0912  # a table
    """Yield name, function of one array, and shapes."""
    for name in ("sum", "mean", "var", "max", "min", "logsumexp", "norm"):
        for axis, keepdims in itertools.product(AXES, (False, True)):
            yield (
                name,
                lambda x, n=name, a=axis, k=keepdims: getattr(ops, n)(x, axis=a, keepdims=k),
                SHAPES,
            )
    for axis in AXES:
        yield "softmax", lambda x, a=axis: ops.softmax(x, axis=a), SHAPES
        yield "log_softmax", lambda x, a=axis: ops.log_softmax(x, axis=a), SHAPES
        yield "flip", lambda x, a=axis: ops.flip(x, a), SHAPES
        yield "squeeze", lambda x, a=axis: ops.squeeze(x, a), SHAPES
        if axis is not None:
            yield "expand_dims", lambda x, a=axis: ops.expand_dims(x, a), SHAPES
    for shape in (-1, (), (0,), (1,), (1, -1), (0, 1), (1, 1, 1)):
        yield "reshape", lambda x, s=shape: ops.reshape(x, s), SHAPES
        yield "sum_to", lambda x, s=shape: ops.sum_to(x, s) if s != -1 else x * 1, SHAPES
    for shape in ((), (0,), (1,), (0, 1), (0, 2), (2, 0), (3, 2, 2), (0, 1, 2), (1, 1, 0, 2)):
        yield "broadcast_to", lambda x, s=shape: ops.broadcast_to(x, s), SHAPES
    yield "transpose", ops.transpose, SHAPES
    yield "swapaxes", lambda x: ops.swapaxes(x, 0, -1), SHAPES
    yield "moveaxis", lambda x: ops.moveaxis(x, 0, -1), SHAPES
    for width in (0, 1, (0, 1)):
        yield "pad", lambda x, w=width: ops.pad(x, w), SHAPES
    yield "astype", lambda x: ops.astype(x, "float32"), SHAPES
    yield "to_device", lambda x: ops.to_device(x, "cpu"), SHAPES
    yield "clip", lambda x: ops.clip(x, -1, 1), SHAPES
    for index in (
        0,
        -1,
        slice(0),
        slice(None),
        None,
        ...,
        [],
        [0],
        [0, 0],
        np.zeros(0, int),
        (..., 0),
        (),
        (None, ...),
    ):
        yield "getitem", lambda x, i=index: x[i], SHAPES
    yield "getitem by mask", lambda x: x[np.zeros(x.shape, bool)], SHAPES
    yield "getitem by full mask", lambda x: x[np.ones(x.shape, bool)], SHAPES
    for sections in (1, 2, [], [0], [1], [0, 0]):
        yield "split", lambda x, s=sections: sum(p.sum() for p in ops.split(x, s)), SHAPES
    for n in (0, 1, 2):
        yield "concatenate", lambda x, n=n: ops.concatenate([x] * n + [x], axis=0), SHAPES
        yield "concatenate", lambda x, n=n: ops.concatenate([x] * n + [x], axis=None), SHAPES
        yield "stack", lambda x, n=n: ops.stack([x] * n + [x], axis=-1), SHAPES
    yield "iteration", lambda x: sum((row.sum() for row in x), start=x.sum()), SHAPES
    for b in (0, 1, 2, 0.5):
        yield "power", lambda x, b=b: x**b, SHAPES
    yield "mse", lambda x: ops.mse(x, 2 * x), SHAPES
    for scale in (1, 2, 1.5):
        yield "gaussian_pool2d", lambda x, s=scale: ops.gaussian_pool2d(x, s), IMAGES
        size = {1: 3, 2: 2, 1.5: 2}[scale]
        pooled = [(*shape[:2], size, size) for shape in IMAGES]
        yield "gaussian_unpool2d", lambda x, s=scale: ops.gaussian_unpool2d(x, (3, 3), s), pooled
    yield (
        "avg_unpool2d",
        lambda x: ops.avg_unpool2d(x, (3, 3), 3),
        [(*shape[:2], 1, 1) for shape in IMAGES],
    )
    for k, p in itertools.product((1, 2, (1, 3)), (0, (0, 1))):
        yield "max_pool2d", lambda x, k=k, p=p: ops.max_pool2d(x, k, padding=p), IMAGES
        yield "avg_pool2d", lambda x, k=k, p=p: ops.avg_pool2d(x, k, padding=p), IMAGES
        for stride in (1, 2):
            yield (
                "unfold",
                lambda x, k=k, p=p, s=stride: ops.unfold(x, k, padding=p, stride=s),
                IMAGES,
            )
    columns = [
        (n, c, length) for n, c, length in itertools.product((0, 1, 2), (0, 1, 2), (0, 1, 9, 4))
    ]
    for k in (1, 2):
        yield "fold", lambda x, k=k: ops.fold(x, (3, 3), k), columns
    matrices = [(0, 0), (1, 1), (2, 2), (0, 2, 2), (2, 0, 0), (1, 1, 1), (0, 1, 1), (2, 1, 2, 2)]
    for name in ("inv", "sqrtm", "inverse_sqrt"):
        yield name, lambda x, n=name: getattr(ops, n)(_definite(x)), matrices
    for k in KAPPAS:
        yield "kappa", k, SHAPES
    labels = np.zeros(2, int)
    yield "cross_entropy", lambda x: ops.cross_entropy(x, labels[: len(x)]), SHAPES
    yield "squared_hinge", lambda x: ops.squared_hinge(x, labels[: len(x)]), SHAPES
    for subscripts in (
        "i->",
        "i->i",
        "ij->",
        "ij->ji",
        "ii->i",
        "ii",
        "...i->...",
        "...",
        "->",
        "i,i->",
        "ij,kj->ik",
    ):
        yield "einsum", lambda x, s=subscripts: ops.einsum(s, *[x] * (1 + s.count(","))), SHAPES


KAPPAS = [
    kernel.kappa
    for kernel in (
        kernels.Exponential(0.5),
        kernels.Polynomial(2),
        kernels.PowerSeries((1, 2)),
        kernels.ArcCosine0(),
        kernels.ArcCosine1(),
        kernels.Matern(1.5),
    )
]


def _definite(x):
    return x @ x.swapaxes(-1, -2) + np.eye(x.shape[-1])


def _plus(a, b, sign):
    """Return the size of an image from those of cotangent and kernel (sign 1).

    With sign -1, return that of the kernel from image and cotangent.
    """
    return tuple(n + sign * (m - 1) for n, m in zip(a.shape[2:], b.shape[2:], strict=True)) or (
        1,
        1,
    )


def _weights_of(state):
    """Return weights of an LSTM's hidden units, from the shape of its state."""
    units = state.shape[1] // 2
    return np.full((4 * units, units), 0.3)


def calls_of_two():
    """Yield name, function of two arrays, and pairs of shapes."""
    pairs = PAIRS
    yield "where", lambda a, b: ops.where(np.array(True), a, b), pairs
    yield "where by empty", lambda a, b: ops.where(np.zeros((0, 1), bool), a, b), pairs
    yield "einsum", lambda a, b: ops.einsum("...i,...i->...", a, b), pairs
    yield "einsum", lambda a, b: ops.einsum("...,...", a, b), pairs
    for s in (
        "bi,bi->b",
        "ij,jk->ik",
        "ij,jk",
        "ij,ij->",
        "ij,ij->ij",
        "i,j->ij",
        "ij,j->i",
        "ij,k->",
        "i,->i",
        "bij,bj->bi",
    ):
        yield f"einsum {s}", lambda a, b, s=s: ops.einsum(s, a, b), pairs
    yield "concatenate", lambda a, b: ops.concatenate([a, b]), pairs
    yield "stack", lambda a, b: ops.stack([a, b]), pairs
    for index in (0, slice(0), slice(None), [], [0, 0], ...):
        yield "index_add", lambda a, b, i=index: ops.index_add(a, i, b), pairs
    yield "scatter", lambda a, b: REGISTRY["scatter"](a, b, indices=([], 0), shape=(1, 2)), pairs
    yield "solve", lambda a, b: ops.solve(_definite(a), b), pairs
    yield "lyapunov", lambda a, b: ops.lyapunov(_definite(a), b), pairs
    few = [s for s in IMAGES if s[2] == s[3] or 1 in s[2:]]
    filters = [(o, c, k, k) for o, c, k in itertools.product((0, 1, 2), (0, 1, 2), (0, 1, 2))]
    images = list(itertools.product(few, filters))
    for padding in (0, "same", "full"):
        yield "correlate2d", lambda a, b, p=padding: ops.correlate2d(a, b, padding=p), images
    yield (
        "correlate2d_input",
        lambda a, b: ops.correlate2d_input(a, b, input_size=_plus(a, b, 1)),
        images,
    )
    yield (
        "correlate2d_weight",
        lambda a, b: ops.correlate2d_weight(a, b, kernel_size=_plus(a, b, -1)),
        list(itertools.product(few, few)),
    )
    kappa = kernels.Exponential(0.5).fused()
    states = [((rows, 4 * n), (rows, 2 * n)) for rows in (0, 1, 2) for n in (0, 1, 2)]
    yield "lstm_step", lambda a, b: REGISTRY["lstm_step"](a, b, _weights_of(b)), states
    sequences = [
        ((t, rows, 4 * n), (rows, 2 * n)) for t in (0, 1, 2) for rows, n in [(0, 1), (1, 2)]
    ]
    run = REGISTRY["lstm_sequence"]
    yield "lstm_sequence", lambda a, b: run(a, b, _weights_of(b)), sequences
    yield "ckn_map", lambda a, b: ops.ckn_map(a, b, kappa), images
    yield "ckn_map pooled", lambda a, b: ops.ckn_map(a, b, kappa, subsampling=2), images


def check(function, shapes):
    """Return whether the forward works.

    If it does, raise unless the derivatives of order 1 and 2 have the right shapes.
    """
    random = np.random.default_rng(0)
    arrays = [random.uniform(0.2, 0.9, shape) for shape in shapes]
    points = [Tensor(array, requires_grad=True) for array in arrays]
    with np.errstate(all="ignore"):
        try:
            y = function(*points)
        except CKNError:
            return False
        if not isinstance(y, Tensor) or not y.requires_grad:
            return True
        up = Tensor(random.normal(size=y.shape).astype(y.dtype), requires_grad=True)
        first = grad((y * up).sum(), points, create_graph=True)
        plain = grad((function(*points) * up.detach()).sum(), points)
        total = 0.0
        for g, h, p in zip(first, plain, points, strict=True):
            assert (g is None) == (h is None)
            if g is None:
                continue
            assert g.shape == h.shape == p.shape
            assert np.allclose(g.data, h.data, equal_nan=True)
            total = total + (g * g).sum()
        if isinstance(total, Tensor) and total.requires_grad:
            for s, p in zip(grad(total, [*points, up]), [*points, up], strict=True):
                assert s is None or s.shape == p.shape
    # An empty result depends on nothing.
    if y.size == 0:
        assert all(g is None or not g.data.any() for g in first)
    return True


PAIRS = list(itertools.product(SHAPES, SHAPES))


def required_options(primitive):
    return set(primitive.options) - set(primitive.defaults)


def unlisted(listed, n_operands):
    """Yield the other primitives of one or two operands that need no options."""
    for name, primitive in REGISTRY.items():
        if name in listed or primitive.variadic or required_options(primitive):
            continue
        if primitive.differentiable and len(primitive.operands) == n_operands:
            yield name, primitive, SHAPES if n_operands == 1 else PAIRS


ones = list(calls_of_one())
twos = list(calls_of_two())
listed = {name.split()[0] for name, *_ in [*ones, *twos]}
ones += unlisted(listed, 1)
twos += unlisted(listed, 2)


def test_only_primitives_with_required_options_are_left_out():
    names = {name.split()[0] for name, *_ in [*ones, *twos]}
    for name, primitive in REGISTRY.items():
        if primitive.differentiable and name not in names:
            assert required_options(primitive), name


@pytest.mark.parametrize(
    ("name", "function", "shapes"), ones, ids=[f"{name}-{i}" for i, (name, *_) in enumerate(ones)]
)
def test_operations_of_one_array(name, function, shapes):
    for shape in shapes:
        check(function, [shape])


@pytest.mark.parametrize(
    ("name", "function", "pairs"), twos, ids=[f"{name}-{i}" for i, (name, *_) in enumerate(twos)]
)
def test_operations_of_two_arrays(name, function, pairs):
    assert sum(check(function, pair) for pair in pairs) > 0


@pytest.mark.parametrize(("shape", "axis"), [((), None), ((3, 1), 1), ((1, 1), None), ((0, 1), -1)])
def test_the_standard_deviation_of_one_element_is_0_everywhere(shape, axis):
    x = Tensor(np.ones(shape), requires_grad=True)
    y = ops.std(x, axis=axis)
    y.sum().backward()
    np.testing.assert_array_equal(y.numpy(), np.std(np.ones(shape), axis=axis))
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros(shape))
    assert ops.std(2.0) == 0
