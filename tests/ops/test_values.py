"""Values of operations against NumPy, SciPy and formulas written out; their gradients are in test_cases.py."""

import math

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import ConfigError, DataError, DTypeError, LinearAlgebraError, ShapeError
from tinygrad_ckn.testing.strategies import arrays, conv_args

x23 = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])
cube = np.arange(24.0).reshape(2, 3, 4) % 7 - 3


@pytest.mark.parametrize("name", ["exp", "square", "abs", "sign", "sin", "cos", "tanh", "negative"])
def test_functions_of_numpy(name):
    assert np.array_equal(getattr(ops, name)(x23), getattr(np, name)(x23))


def test_functions_of_scipy():
    assert np.allclose(ops.sigmoid(50 * x23), scipy.special.expit(50 * x23))
    assert np.allclose(ops.softplus(400 * x23), np.logaddexp(0, 400 * x23))
    assert np.array_equal(ops.relu(x23), np.where(x23 > 0, x23, 0))
    assert np.allclose(ops.log_softmax(x23, axis=0), scipy.special.log_softmax(x23, axis=0))
    assert np.allclose(ops.softmax(1e3 * x23), scipy.special.softmax(1e3 * x23, axis=-1))


@given(st.sampled_from([None, 0, 1, 2, -1, (0, 2), (1, -1), ()]), st.booleans())
def test_reductions_take_axes_as_numpy(axis, keepdims):
    for name in ("sum", "mean", "var", "max", "min"):
        expected = getattr(np, name)(cube, axis=axis, keepdims=keepdims)
        assert np.allclose(getattr(ops, name)(cube, axis=axis, keepdims=keepdims), expected), name
    for ours, expected in (
        (ops.logsumexp, scipy.special.logsumexp(cube, axis=axis, keepdims=keepdims)),
        (ops.norm, np.sqrt(np.square(cube).sum(axis=axis, keepdims=keepdims))),
    ):
        assert np.allclose(ours(cube, axis=axis, keepdims=keepdims), expected)


def test_logsumexp_at_infinities():
    x = Tensor([[-np.inf, -np.inf], [0.0, -np.inf]], requires_grad=True)
    y = ops.logsumexp(x, axis=1)
    assert y.tolist() == [-np.inf, 0.0]
    y.backward(np.ones(2))
    assert x.grad.tolist() == [[0.0, 0.0], [1.0, 0.0]]
    assert ops.logsumexp(np.array([np.inf, 1.0])) == np.inf


def test_gradients_at_kinks_follow_the_documented_choice():
    zero = Tensor([0.0], requires_grad=True)
    for function, expected in (
        (ops.abs, 0),
        (ops.relu, 0),
        (ops.norm, 0),
        (lambda x: ops.maximum(x, 0.0), 0.5),
    ):
        assert grad(function(zero).sum(), zero)[0].item() == expected
    ties = Tensor([2.0, 2.0, 1.0], requires_grad=True)
    assert grad(ops.max(ties), ties)[0].tolist() == [0.5, 0.5, 0.0]
    edge = Tensor([0.0, 1.0, 2.0], requires_grad=True)
    assert grad(ops.clip(edge, 0, 1).sum(), edge)[0].tolist() == [1, 1, 0]


def test_power_at_zero():
    x = Tensor([0.0, 2.0], requires_grad=True)
    assert grad((x**0).sum(), x)[0].tolist() == [0, 0]
    assert grad((x**1).sum(), x)[0].tolist() == [1, 1]
    (g,) = grad((x**2).sum(), x, create_graph=True)
    assert grad(g.sum(), x)[0].tolist() == [2, 2]
    b = Tensor([2.0, 3.0], requires_grad=True)
    assert np.allclose(grad(ops.power(x, b).sum(), b)[0].numpy(), [0, 8 * math.log(2)])
    assert (Tensor([2.0], dtype="float32", requires_grad=True) ** 3).dtype == "float32"


@pytest.mark.parametrize(
    "subscripts",
    [
        "ij,jk",
        "ij,jk->ki",
        "ii",
        "ii->i",
        "ij->",
        "i,j",
        "...ij,...jk",
        "ij...,j->...i",
        "ijk,ikl,lj->",
        "iij->ji",
    ],
)
def test_einsum_agrees_with_numpy(subscripts):
    letters = subscripts.split("->")[0].split(",")
    operands = []
    for term in letters:
        sizes = {"i": 3, "j": 3, "k": 2, "l": 4}
        shape = [sizes[c] for c in term.replace("...", "")]
        operands.append(
            np.cos(np.arange(math.prod(shape) * (2 if "." in term else 1), dtype=float))
        )
        place = term.replace("...", ".").find(".")
        if place >= 0:
            shape.insert(place, 2)
        operands[-1] = operands[-1].reshape(shape)
    assert np.allclose(ops.einsum(subscripts, *operands), np.einsum(subscripts, *operands))


@pytest.mark.parametrize(
    ("subscripts", "shapes", "match"),
    [
        ("ij,jk", [(2, 3)], "one letter per axis"),
        ("ijk", [(2, 3)], "one letter per axis"),
        ("ij->ik", [(2, 3)], "distinct letters of the inputs, got 'ik'"),
        ("ij->ii", [(2, 3)], "distinct letters"),
        ("ii", [(2, 3)], r"repeated letter 'i' expected axes of one size, got \[2, 3\]"),
        ("ij,jk", [(2, 3), (2, 3)], "einsum"),
    ],
)
def test_einsum_that_does_not_fit(subscripts, shapes, match):
    with pytest.raises(ShapeError, match=match):
        ops.einsum(subscripts, *[np.ones(shape) for shape in shapes])


def test_moving_elements_as_numpy():
    assert np.array_equal(ops.moveaxis(cube, 0, -1), np.moveaxis(cube, 0, -1))
    assert np.array_equal(ops.flip(cube, (0, 2)), np.flip(cube, (0, 2)))
    assert np.array_equal(
        ops.pad(cube, ((0, 1), (2, 0), (1, 1))), np.pad(cube, ((0, 1), (2, 0), (1, 1)))
    )
    assert np.array_equal(ops.stack([x23, x23], axis=-1), np.stack([x23, x23], axis=-1))
    assert np.array_equal(ops.expand_dims(x23, (0, -1)), np.expand_dims(x23, (0, -1)))
    assert np.array_equal(ops.concatenate([x23, x23], axis=1), np.concatenate([x23, x23], axis=1))
    for ours, theirs in zip(ops.split(cube, 2, axis=2), np.split(cube, 2, axis=2), strict=True):
        assert np.array_equal(ours, theirs)
    assert [p.shape for p in ops.split(np.ones((0, 2)), 3)] == [(0, 2)] * 3
    assert ops.argmax(cube, axis=1).tolist() == np.argmax(cube, axis=1).tolist()
    assert ops.argmin(cube) == np.argmin(cube)


def test_what_cannot_be_moved_gets_its_sentence():
    with pytest.raises(ShapeError, match="divides the length 3 of axis 1, got 2"):
        ops.split(x23, 2, axis=1)
    with pytest.raises(ShapeError, match="axes of size 1, got 0"):
        ops.squeeze(x23, 0)
    with pytest.raises(ShapeError, match=r"broadcasts to x's \(2, 3\), got \(3, 3\)"):
        ops.sum_to(x23, (3, 3))


def test_an_index_that_is_a_tensor_has_the_gradients_of_an_array():
    x = Tensor(np.arange(8.0).reshape(4, 2), requires_grad=True)
    numbers = np.array([0, 2, 0])
    for index in (Tensor(numbers), (Tensor(numbers), 1), (Tensor(numbers), Tensor(numbers) * 0)):
        plain = tuple(
            i.numpy() if isinstance(i, Tensor) else i
            for i in (index if isinstance(index, tuple) else [index])
        )
        found = [
            grad((ops.index_add(x * x, i, x[i] ** 2) ** 2).sum(), x, create_graph=create)[0].numpy()
            for i in (index, plain)
            for create in (False, True)
        ]
        assert all(np.array_equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("axes", [[0, 2], np.array([0, 2]), [1], np.array([1])], ids=str)
@pytest.mark.parametrize(
    "name", ["sum", "mean", "var", "max", "min", "norm", "logsumexp", "softmax", "log_softmax"]
)
def test_axes_in_a_list_or_an_array_have_the_gradients_of_a_tuple(name, axes):
    x = Tensor(np.random.default_rng(0).normal(size=(2, 3, 4)), requires_grad=True)
    function = getattr(ops, name)
    for create in (False, True):
        slopes = [
            grad((function(x, axis=a) ** 2).sum(), x, create_graph=create)[0]
            for a in (axes, tuple(axes))
        ]
        assert np.array_equal(slopes[0].numpy(), slopes[1].numpy())


def test_index_add_counts_repeated_positions():
    y = ops.index_add(np.zeros(3), np.array([0, 0, 2]), np.array([1.0, 2.0, 4.0]))
    assert y.tolist() == [3, 0, 4]
    x = np.zeros((2, 2))
    ops.index_add(x, (0, slice(None)), 1.0)
    assert not x.any()


def test_indices_may_be_tensors():
    x = Tensor(x23, requires_grad=True)
    assert x[Tensor([1, 0])].tolist() == x23[[1, 0]].tolist()
    assert x[x > 0].tolist() == x23[x23 > 0].tolist()
    assert x[0, Tensor([1])].tolist() == [-2.0]


@given(conv_args(max_size=5))
def test_unfold_has_the_patches_that_correlate2d_sees(args):
    x, w, options = args
    groups = options.pop("groups")
    if groups == 1:
        columns = ops.unfold(x, w.shape[2:], **options)
        y = ops.correlate2d(x, w, **options)
        assert np.allclose(
            w.reshape(len(w), -1) @ columns, y.reshape(*y.shape[:2], columns.shape[2])
        )


def test_unfold_is_laid_out_channel_by_channel():
    x = np.arange(18.0).reshape(1, 2, 3, 3)
    columns = ops.unfold(x, 2)
    assert columns.shape == (1, 8, 4)
    assert columns[0, :, 0].tolist() == [0, 1, 3, 4, 9, 10, 12, 13]
    assert np.array_equal(
        ops.fold(columns, 3, 2)[0, 0], x[0, 0] * [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    )


@pytest.mark.parametrize("u", [-1.0, 1.0, 1 + 1e-12, -1 - 1e-12])
def test_arc_cosine_kernels_at_their_singular_ends(u):
    x = Tensor([u], requires_grad=True)
    ends = {True: (1.0, 1.0), False: (0.0, 0.0)}[u > 0]
    for function, value in zip((ops.kappa_arccos0, ops.kappa_arccos1), ends, strict=True):
        y = function(x)
        assert math.isclose(y.item(), value, abs_tol=1e-12)
        (g,) = grad(y.sum(), x, create_graph=True)
        (gg,) = grad(g.sum(), x) if g.requires_grad else (g,)
        assert gg is None or np.isfinite(gg.numpy()).all()
        expected = ops.kappa_arccos0(np.array([u]))[0] if function is ops.kappa_arccos1 else 0.0
        assert g.item() == expected


def test_arc_cosine_kernels_by_their_integral():
    def monte_carlo(order, u):
        w = np.random.default_rng(0).standard_normal((400_000, 2))
        a, b = w[:, 0], u * w[:, 0] + math.sqrt(1 - u * u) * w[:, 1]
        return 2 * np.mean((a > 0) * (b > 0) * (a * b) ** order)

    for u in (-0.6, 0.0, 0.7):
        assert math.isclose(ops.kappa_arccos0(np.array(u)), monte_carlo(0, u), abs_tol=0.01)
        assert math.isclose(ops.kappa_arccos1(np.array(u)), monte_carlo(1, u), abs_tol=0.01)


def test_losses_by_their_formulas():
    scores, labels = x23, np.array([2, 0])
    logs = scipy.special.log_softmax(scores, axis=1)
    assert math.isclose(ops.cross_entropy(scores, labels), -(logs[0, 2] + logs[1, 0]) / 2)
    hinge = 0.0
    for i, label in enumerate(labels):
        for k in range(3):
            t = 1 if k == label else -1
            hinge += max(0, 1 - t * scores[i, k]) ** 2 / 2
    assert math.isclose(ops.squared_hinge(scores, labels), hinge / 2)
    assert ops.mse(x23, np.zeros((2, 3))) == np.mean(x23**2)
    assert np.isfinite(ops.cross_entropy(1e4 * x23, labels))


def test_degree_is_checked():
    with pytest.raises(ConfigError, match=r"an integer >= 1, got 1\.5"):
        ops.kappa_polynomial(x23, 1.5)


@given(arrays(3, 1))
def test_comparisons_give_booleans_without_history(x):
    y = Tensor(x, requires_grad=True) > 0
    assert y.dtype == bool
    assert not y.requires_grad


def test_mixed_second_derivatives_of_power_agree_at_exponent_zero():
    a, b = Tensor(2.0, requires_grad=True), Tensor(0.0, requires_grad=True)
    ga, gb = grad(a**b, [a, b], create_graph=True)
    assert grad(ga, b, retain_graph=True)[0].item() == grad(gb, a)[0].item() == 0.5


def test_sigmoid_is_accurate_far_from_zero():
    for dtype, x in (("float64", -40.0), ("float32", -17.0)):
        t = Tensor(x, dtype=dtype, requires_grad=True)
        assert math.isclose(ops.sigmoid(t).item(), scipy.special.expit(x), rel_tol=1e-6)
        assert math.isclose(
            grad(ops.sigmoid(-t), t)[0].item(), -scipy.special.expit(x), rel_tol=1e-6
        )
    assert math.isclose(
        grad(ops.softplus(t), t)[0].item(), scipy.special.expit(-17.0), rel_tol=1e-6
    )


def test_nan_is_not_swallowed():
    x = np.array([np.nan, 1.0])
    for function in (ops.logsumexp, ops.softmax, ops.log_softmax):
        assert np.isnan(function(x)).all()


def test_the_gradient_of_relu_at_nan_is_not_zero():
    x = Tensor([np.nan, -1.0, 0.0, 1.0], requires_grad=True)
    assert grad(ops.relu(x).sum(), x)[0].tolist() == [1.0, 0.0, 0.0, 1.0]


def test_integers_count_as_floats_in_real_functions():
    whole = np.array([[1, 2]], dtype="uint8")
    for function in (
        ops.logsumexp,
        ops.log_softmax,
        ops.softmax,
        ops.norm,
        ops.sigmoid,
        ops.softplus,
    ):
        assert np.allclose(function(whole), function(whole.astype(float))), function
    assert np.isclose(ops.norm(np.array([100, 100], dtype="int8")), math.sqrt(20_000))
    labels = np.array([1])
    for loss in (ops.cross_entropy, ops.squared_hinge):
        assert np.isclose(loss(whole, labels), loss(whole.astype(float), labels))
    assert np.allclose(ops.kappa_exponential(np.array([1, 0]), 1), [1, math.exp(-1)])
    with pytest.raises(DTypeError, match="mse: expected a floating argument, got uint8 and uint8"):
        ops.mse(whole, whole)


def test_means_over_many_float16_elements_have_gradients():
    x = Tensor(np.ones(70_000, dtype="float16"), requires_grad=True)
    assert (grad(x.mean(), x)[0].numpy() > 0).all()


def test_numpy_integers_are_axes_and_sizes():
    axis = np.int64(0)
    x = Tensor(x23, requires_grad=True)
    for function in (ops.sum, ops.mean, ops.var, ops.max, ops.norm, ops.logsumexp):
        assert grad(function(x, axis=axis).sum(), x)[0].shape == (2, 3)
    assert len(ops.split(x23, np.int64(2))) == 2
    assert ops.pad(x23, np.int64(1)).shape == (4, 5)
    assert ops.kappa_polynomial(x23, np.int64(2)).shape == (2, 3)
    assert ops.squeeze(x23[:1], axis).shape == (3,)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda: ops.expand_dims(x23, 5),
            "expand_dims: argument axis expected distinct axes of 3, got 5",
        ),
        (lambda: ops.expand_dims(x23, (0, 0)), "distinct axes"),
        (lambda: ops.squeeze(x23[:1], 2), "squeeze: argument axis"),
        (lambda: ops.sum(x23, axis="a"), "sum"),
        (lambda: ops.mean(x23, axis=1.5), "mean: argument axis"),
        (lambda: ops.split(x23, 0), "sections"),
        (lambda: ops.split(x23, -2), "sections"),
        (
            lambda: ops.avg_pool2d(np.ones((1, 1, 4, 4)), 2, 1, "same"),
            "padding expected an integer",
        ),
        (lambda: ops.gaussian_pool2d(np.ones((1, 1, 0, 3)), 2), "at least one channel and pixel"),
        (lambda: ops.einsum("...i,...i->", cube, cube), r"to have the inputs' '\.\.\.'"),
        (lambda: ops.einsum("......->", cube), "one letter per axis"),
        (lambda: ops.pad(x23, (1, 2, 3)), "pairs"),
    ],
)
def test_arguments_out_of_range_get_their_sentence(call, match):
    with pytest.raises((ShapeError, DTypeError), match=match):
        call()


def test_padding_widths_are_those_of_numpy():
    for width in (1, (1,), (1, 2), ((1, 2),), ((0, 1), (2, 0))):
        assert np.array_equal(ops.pad(x23, width), np.pad(x23, width)), width


def test_einsum_broadcasts_sizes_of_one_and_takes_gradients_back():
    a, b = Tensor(x23[:, :1], requires_grad=True), Tensor(x23, requires_grad=True)
    ga, gb = grad(ops.einsum("ij,ij->", a, b), [a, b])
    assert np.allclose(ga.numpy()[:, 0], x23.sum(axis=1))
    assert np.allclose(gb.numpy(), np.broadcast_to(x23[:, :1], (2, 3)))


def test_concatenate_without_an_axis_flattens():
    x = Tensor(x23, requires_grad=True)
    y = ops.concatenate([x, np.ones(2)], axis=None)
    assert np.array_equal(y.numpy(), np.concatenate([x23, np.ones(2)], axis=None))
    assert grad(y.sum(), x)[0].shape == (2, 3)


def test_numbers_alone_are_operands():
    assert ops.sum(3.0) == 3.0
    assert ops.kappa_exponential(0.5, 1.0) == math.exp(-0.5)
    assert ops.reshape(3.0, (1,)).shape == (1,)


def test_one_hot_keeps_kinds_and_checks_labels():
    assert type(ops.one_hot(Tensor([1, 0]), 2)) is Tensor
    assert type(ops.one_hot(np.array([1, 0]), 2)) is np.ndarray
    for labels, error in (
        (np.array([2]), DataError),
        (np.array([-1]), DataError),
        (np.array([0.5]), DTypeError),
    ):
        with pytest.raises(error, match="one_hot"):
            ops.one_hot(labels, 2)


def test_bounds_of_clip_are_numbers():
    x = Tensor([1.0, 5.0], requires_grad=True)
    with pytest.raises(
        DTypeError, match="clip: argument a_max expected a plain option, got a Tensor"
    ):
        ops.clip(x, 0.0, Tensor(2.0))
    with pytest.raises(DTypeError, match="clip: expected numbers as bounds"):
        ops.clip(x, np.array([1.0, 2.0]), 3)


def test_tolerances_are_those_of_each_matrix_of_a_batch():
    large = 1e6 * np.eye(2)
    with pytest.raises(LinearAlgebraError, match="semi-definite"):
        ops.sqrtm(np.stack([large, np.diag([1.0, -1e-3])]))
    with pytest.raises(LinearAlgebraError, match="symmetric"):
        ops.sqrtm(np.stack([large, np.array([[1.0, 2.0], [-2.0, 1.0]])]))


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8"])
def test_labels_below_and_above_the_classes_are_refused(dtype):
    for loss in (ops.cross_entropy, ops.squared_hinge):
        with pytest.raises(DataError, match=r"expected class numbers 0 \.\. 1, got 0 \.\. 2"):
            loss(np.zeros((2, 2)), np.array([0, 2], dtype))
        if dtype != "uint8":
            with pytest.raises(DataError, match=r"expected class numbers 0 \.\. 1, got -1 \.\. 0"):
                loss(np.zeros((2, 2)), np.array([0, -1], dtype))
