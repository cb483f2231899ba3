import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from tinygrad_ckn.errors import ConfigError, DataError
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


def test_balanced_accuracy_is_that_of_scikit_learn():
    few = np.where(LABELS == 4, 3, LABELS)
    confusion = metrics.confusion_matrix(few, PREDICTED, 6)
    expected = sklearn_metrics.balanced_accuracy_score(
        few[PREDICTED != 4], PREDICTED[PREDICTED != 4]
    )
    of_present = metrics.confusion_matrix(few[PREDICTED != 4], PREDICTED[PREDICTED != 4], 6)
    assert metrics.balanced_accuracy(of_present) == pytest.approx(expected, rel=1e-12)
    assert metrics.balanced_accuracy(confusion) == pytest.approx(
        metrics.recall(confusion)[:4].mean(), rel=1e-12
    )
    assert math.isnan(metrics.balanced_accuracy(np.zeros((2, 2), dtype=np.int64)))


@given(st.integers(1, 400), st.data(), st.floats(0.5, 0.999))
def test_wilson_interval_is_that_of_scipy(total, data, confidence):
    from scipy.stats import binomtest

    correct = data.draw(st.integers(0, total))
    interval = metrics.wilson_interval(correct, total, confidence=confidence)
    expected = binomtest(correct, total).proportion_ci(confidence, method="wilson")
    np.testing.assert_allclose(interval, (expected.low, expected.high), atol=1e-12)
    assert 0 <= interval.low <= correct / total <= interval.high <= 1


def test_wilson_interval_refuses_what_are_not_counts():
    assert all(map(math.isnan, metrics.wilson_interval(0, 0)))
    for counts in ((3, 2), (-1, 2), (0.5, 2)):
        with pytest.raises(DataError, match="expected integers 0 <= correct <= total, got"):
            metrics.wilson_interval(*counts)
    with pytest.raises(ConfigError, match=r"confidence expected a number in \(0, 1\), got 95"):
        metrics.wilson_interval(1, 2, confidence=95)


def test_reliability_bins_cover_all_images_and_close_above():
    p = np.array([[0.2, 0.2, 0.2, 0.2, 0.2], [0.4, 0.6, 0, 0, 0], [1, 0, 0, 0, 0]])
    bins = metrics.reliability_bins(p, np.array([0, 0, 0]), n_bins=5)
    assert [(b.count, b.accuracy) for b in bins if b.count] == [(1, 1.0), (1, 0.0), (1, 1.0)]
    assert [b.count for b in bins] == [1, 0, 1, 0, 1]
    assert (bins[0].low, bins[-1].high) == (0, 1)
    assert math.isnan(bins[1].accuracy) and math.isnan(bins[1].confidence)


def test_calibration_error_is_zero_for_calibrated_and_the_gap_for_others():
    random = np.random.default_rng(3)
    p = random.dirichlet(np.ones(4), 20_000)
    labels = (random.uniform(size=(len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)
    assert metrics.expected_calibration_error(p, labels) < 0.02
    sure = np.eye(4)[p.argmax(axis=1)]
    gap = 1 - (p.argmax(axis=1) == labels).mean()
    assert metrics.expected_calibration_error(sure, labels) == pytest.approx(gap)
    assert math.isnan(metrics.expected_calibration_error(np.ones((0, 3)), np.arange(0)))


def test_calibration_refuses_scores_and_unknown_classes():
    with pytest.raises(DataError, match="expected numbers from 0 to 1, got others in row 1"):
        metrics.reliability_bins(np.array([[0.5, 0.5], [2.0, -1.0]]), np.array([0, 0]))
    with pytest.raises(DataError, match="expected numbers from 0 to 1, got others in row 0"):
        metrics.reliability_bins(np.full((1, 2), np.nan), np.array([0]))
    with pytest.raises(DataError, match=r"expected classes 0 .. 1, got 2 .. 2"):
        metrics.reliability_bins(np.full((1, 2), 0.5), np.array([2]))
    with pytest.raises(DataError, match=r"expected probabilities \(n, k\) and labels \(n,\), got"):
        metrics.reliability_bins(np.full((1, 2), 0.5), np.array([0, 1]))
