"""Conventions that several operations share: axes, dtypes, kinks, plain numbers."""

import math

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import DTypeError, ShapeError

x23 = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])


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


@pytest.mark.parametrize("axes", [[0, 2], np.array([0, 2]), [1], np.array([1])], ids=str)
@pytest.mark.parametrize(
    "name", ["sum", "mean", "var", "max", "min", "norm", "logsumexp", "softmax", "log_softmax"]
)
def test_axes_in_a_list_or_array_give_the_gradients_of_a_tuple(name, axes):
    x = Tensor(np.random.default_rng(0).normal(size=(2, 3, 4)), requires_grad=True)
    function = getattr(ops, name)
    for create in (False, True):
        slopes = [
            grad((function(x, axis=a) ** 2).sum(), x, create_graph=create)[0]
            for a in (axes, tuple(axes))
        ]
        assert np.array_equal(slopes[0].numpy(), slopes[1].numpy())


def test_integers_become_floating_in_real_functions():
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


def test_numpy_integers_are_valid_axes_and_sizes():
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
        (lambda: ops.sum(x23, axis="a"), "sum"),
        (lambda: ops.mean(x23, axis=1.5), "mean: argument axis"),
        (
            lambda: ops.avg_pool2d(np.ones((1, 1, 4, 4)), 2, 1, "same"),
            "padding expected an integer",
        ),
        (lambda: ops.gaussian_pool2d(np.ones((1, 1, 0, 3)), 2), "at least one channel and pixel"),
    ],
)
def test_arguments_out_of_range_are_named_in_the_error(call, match):
    with pytest.raises((ShapeError, DTypeError), match=match):
        call()


def test_plain_numbers_are_valid_operands():
    assert ops.sum(3.0) == 3.0
    assert ops.kappa_exponential(0.5, 1.0) == math.exp(-0.5)
    assert ops.reshape(3.0, (1,)).shape == (1,)
