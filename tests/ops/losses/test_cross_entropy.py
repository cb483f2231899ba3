"""Cross-entropy, and what it shares with the squared hinge: weights of examples."""

import math

import numpy as np
import pytest
import scipy.special

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import ConfigError, GradientError

x23 = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])


def test_cross_entropy_agrees_with_its_formula():
    scores, labels = x23, np.array([2, 0])
    logs = scipy.special.log_softmax(scores, axis=1)
    assert math.isclose(ops.cross_entropy(scores, labels), -(logs[0, 2] + logs[1, 0]) / 2)
    assert np.isfinite(ops.cross_entropy(1e4 * x23, labels))


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


@pytest.mark.parametrize("weight", [None, np.array([0.5, 2.0, 1.0])])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_one_hot_probabilities_are_labels(weight, label_smoothing):
    labels = np.array([2, 0])
    options = {"weight": weight, "label_smoothing": label_smoothing, "reduction": "none"}
    single = ops.cross_entropy(x23, labels, **options)
    rows = ops.one_hot(labels, 3)
    np.testing.assert_allclose(ops.cross_entropy(x23, rows, **options), single, rtol=1e-14)


def test_weights_of_classes_in_the_loss_and_in_the_mean():
    labels, w = np.array([2, 0]), np.array([0.5, 2.0, 3.0])
    logs = scipy.special.log_softmax(x23, axis=1)
    single = 0.9 * -w[labels] * logs[[0, 1], labels] - 0.1 / 3 * (w * logs).sum(axis=1)
    options = {"weight": w, "label_smoothing": 0.1}
    np.testing.assert_allclose(
        ops.cross_entropy(x23, labels, **options, reduction="none"), single, rtol=1e-13
    )
    mean = ops.cross_entropy(x23, labels, **options)
    assert math.isclose(mean, single.sum() / w[labels].sum())
    of_rows = ops.cross_entropy(x23, ops.one_hot(labels, 3), **options)
    assert math.isclose(of_rows, single.sum() / 2)
    of_examples = np.array([1.0, 3.0])
    together = ops.cross_entropy(x23, labels, of_examples, **options)
    shares = of_examples * w[labels]
    assert math.isclose(together, (of_examples * single).sum() / shares.sum())


def test_the_general_form_agrees_with_the_pass_for_class_numbers():
    labels, weights = np.array([2, 0]), np.array([1.0, 3.0])
    for given in (None, weights):
        general = ops.cross_entropy(x23, labels, given, weight=np.ones(3), label_smoothing=0.1)
        assert math.isclose(general, ops.cross_entropy(x23, labels, given, label_smoothing=0.1))


def test_no_example_is_no_loss_unless_a_mean_is_asked_for():
    none = np.zeros((0, 3)), np.zeros(0, int)
    assert ops.cross_entropy(*none, reduction="sum") == 0
    assert ops.cross_entropy(*none, reduction="none").shape == (0,)
