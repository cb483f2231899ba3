"""Losses against their formulas."""

import math

import numpy as np
import pytest
import scipy.special

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import ConfigError, DataError, DTypeError, GradientError

x23 = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])


def test_losses_agree_with_their_formulas():
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


def test_one_hot_returns_the_type_of_its_argument_and_checks_labels():
    assert type(ops.one_hot(Tensor([1, 0]), 2)) is Tensor
    assert type(ops.one_hot(np.array([1, 0]), 2)) is np.ndarray
    for labels, error in (
        (np.array([2]), DataError),
        (np.array([-1]), DataError),
        (np.array([0.5]), DTypeError),
    ):
        with pytest.raises(error, match="one_hot"):
            ops.one_hot(labels, 2)


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8"])
def test_labels_outside_the_classes_are_rejected(dtype):
    for loss in (ops.cross_entropy, ops.squared_hinge):
        with pytest.raises(DataError, match=r"expected class numbers 0 \.\. 1, got 0 \.\. 2"):
            loss(np.zeros((2, 2)), np.array([0, 2], dtype))
        if dtype != "uint8":
            with pytest.raises(DataError, match=r"expected class numbers 0 \.\. 1, got -1 \.\. 0"):
                loss(np.zeros((2, 2)), np.array([0, -1], dtype))


losses = pytest.mark.parametrize("loss", [ops.cross_entropy, ops.squared_hinge])


@losses
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
def test_a_weight_of_two_is_an_example_twice_and_one_of_zero_none(loss, dtype):
    labels = np.array([2, 0])
    scores = Tensor(np.concatenate([x23, 1e3 * x23[:1]]), requires_grad=True)
    counts = np.array([1, 1, 0] if dtype == "bool" else [2, 1, 0])
    weighted = loss(scores, np.array([2, 0, 1]), counts.astype(dtype))
    repeated = Tensor(x23, requires_grad=True)
    rows = np.repeat([0, 1], counts[:2])
    plain = loss(repeated[rows], labels[rows])
    assert math.isclose(weighted.item(), plain.item(), rel_tol=1e-6)
    weighted.backward()
    plain.backward()
    np.testing.assert_allclose(scores.grad.numpy()[:2], repeated.grad.numpy(), rtol=1e-6)
    assert not scores.grad.numpy()[2].any()


@losses
def test_equal_weights_are_no_weights_in_the_dtype_of_the_scores(loss):
    labels = np.array([2, 0])
    weighted = loss(x23.astype("float32"), labels, np.full(2, 1e-30))
    assert weighted.dtype == "float32"
    np.testing.assert_allclose(weighted, loss(x23.astype("float32"), labels), rtol=1e-6)


@losses
def test_a_gradient_in_weights_is_refused_by_name(loss):
    with pytest.raises(GradientError, match="weights"):
        loss(x23, np.array([2, 0]), Tensor([1.0, 2.0], requires_grad=True)).backward()


def test_smoothing_is_a_share_of_the_mean_over_all_classes():
    labels = np.array([2, 0])
    every = np.mean([ops.cross_entropy(x23, np.full(2, label)) for label in range(3)])
    expected = 0.9 * ops.cross_entropy(x23, labels) + 0.1 * every
    assert math.isclose(ops.cross_entropy(x23, labels, label_smoothing=0.1), expected)
    for wrong in (1.0, -0.1, math.nan):
        with pytest.raises(
            ConfigError, match=r"label_smoothing expected a number in \[0, 1\), got"
        ):
            ops.cross_entropy(x23, labels, label_smoothing=wrong)
