import numpy as np
import pytest

from tinygrad_ckn.training.metrics import ReliabilityBin
from tinygrad_ckn.training.report.measured import MAX_MATRIX, measured


def test_numbers_of_a_small_matrix():
    bins = [ReliabilityBin(0.5, 1.0, 8, 0.975, 0.875)]
    numbers = measured(
        {"confusion": [[3, 1, 0], [0, 4, 0], [0, 0, 0]]}, {"reliability": bins}, ["a", "b", "c"]
    )
    assert numbers is not None
    assert (numbers.correct, numbers.total, numbers.balanced) == (7, 8, 0.875)
    assert numbers.interval.low < 0.875 < numbers.interval.high
    assert numbers.calibration_error == pytest.approx(0.1)
    assert [row.recall for row in numbers.classes] == [0.75, 1.0, None]
    assert [row.precision for row in numbers.classes] == [1.0, 0.8, None]
    assert numbers.matrix[0] == [(3, 0.75), (1, 0.25), (0, 0.0)]


def test_many_classes_are_told_by_their_confusions():
    confusion = np.eye(MAX_MATRIX + 1, dtype=int)
    confusion[3, 5] = 7
    confusion[2, 0] = 9
    numbers = measured({"confusion": confusion.tolist()}, None, [])
    assert numbers is not None
    assert numbers.matrix == []
    assert numbers.pairs == [("2", "0", 9), ("3", "5", 7)]
    assert numbers.calibration_error is None


def test_nothing_is_said_without_test_images():
    assert measured({}, None, []) is None
    assert measured({"confusion": [[0, 0], [0, 0]]}, None, []) is None
