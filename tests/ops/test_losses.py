"""Losses against their formulas."""

import math

import numpy as np
import pytest
import scipy.special

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import DataError, DTypeError

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
