import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from tinygrad_ckn.errors import DataError
from tinygrad_ckn.training import metrics

RNG = np.random.default_rng(0)
LABELS, PREDICTED = RNG.integers(0, 5, 200), RNG.integers(0, 5, 200)


def test_as_scikit_learn_counts():
    confusion = metrics.confusion_matrix(LABELS, PREDICTED, 5)
    np.testing.assert_array_equal(confusion, sklearn_metrics.confusion_matrix(LABELS, PREDICTED))
    assert metrics.accuracy(confusion) == sklearn_metrics.accuracy_score(LABELS, PREDICTED)
    np.testing.assert_allclose(
        metrics.recall(confusion),
        sklearn_metrics.recall_score(LABELS, PREDICTED, average=None),
        rtol=1e-15,
    )
    np.testing.assert_allclose(
        metrics.precision(confusion),
        sklearn_metrics.precision_score(LABELS, PREDICTED, average=None),
        rtol=1e-15,
    )


def test_small_dtypes_do_not_overflow():
    labels = np.full(3, 200, dtype=np.uint8)
    assert metrics.confusion_matrix(labels, labels, 201)[200, 200] == 3


def test_empty_classes_are_nan_without_a_warning():
    confusion = np.array([[2, 0, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(metrics.recall(confusion), [1, 0, np.nan])
    np.testing.assert_array_equal(metrics.precision(confusion), [2 / 3, np.nan, np.nan])
    assert np.isnan(metrics.accuracy(np.zeros((2, 2), dtype=np.int64)))


def test_lengths_and_ranges_are_checked():
    with pytest.raises(DataError, match=r"the same shape \(n,\), got \(2,\) and \(3,\)"):
        metrics.confusion_matrix(np.array([0, 1]), np.array([0, 1, 1]), 2)
    with pytest.raises(
        DataError, match=r"argument labels expected classes 0 .. 1, got 2 at index 1"
    ):
        metrics.confusion_matrix(np.array([0, 2]), np.array([0, 1]), 2)
    with pytest.raises(
        DataError, match=r"argument predicted expected classes 0 .. 1, got -1 at index 0"
    ):
        metrics.confusion_matrix(np.array([0, 1]), np.array([-1, 1]), 2)


def test_summary_aligns_and_names():
    confusion = np.array([[90, 3, 7], [0, 2, 0], [0, 1, 0]])
    assert metrics.confusion_summary(confusion, ["cat", "horse", "ox"]) == [
        "cat     90 of 100 correct, mistaken for ox 7 times",
        "horse    2 of   2 correct",
        "ox       0 of   1 correct, mistaken for horse 1 time",
    ]
