"""Objectives and hits of the steps of an epoch."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.models.learning.step_log import StepLog


def log(n: int = 5, batch_size: int = 2, parameters: tuple[Tensor, ...] = ()) -> StepLog:
    return StepLog(parameters, np.zeros((n, 1, 2, 2)), batch_size)


def test_means_count_each_image_once() -> None:
    epoch = log()
    assert epoch.sizes == [2, 2, 1]
    for step, (objective, hits) in enumerate([(1.0, 2), (2.0, 1), (6.0, 0)]):
        assert epoch.record(step, np.array(objective), np.array(hits)) == objective
    assert epoch.loss == pytest.approx((2 * 1 + 2 * 2 + 6) / 5)
    assert epoch.accuracy == pytest.approx(3 / 5)


def test_the_first_batch_with_a_loss_that_is_not_finite_is_named() -> None:
    epoch = log()
    epoch.record(0, np.array(1.0), np.array(1))
    with pytest.raises(GradientError, match=r"^first in the loss of batch 2$"):
        epoch.record(1, np.array(np.nan), np.array(1))


def test_between_reads_nothing_is_returned() -> None:
    epoch = log(n=5, batch_size=1, parameters=(Tensor(np.ones(2)),))
    epoch.read_every = 3
    values = [epoch.record(step, np.array(float(step)), np.array(1)) for step in range(5)]
    assert values == [None, None, 2.0, None, 4.0]


def test_a_read_finds_parameters_that_are_not_finite() -> None:
    parameter = Tensor(np.ones(2))
    epoch = log(n=4, batch_size=1, parameters=(parameter,))
    epoch.read_every = 2
    parameter.data = np.array([1.0, np.inf])
    assert epoch.record(0, np.array(1.0), np.array(1)) is None
    with pytest.raises(GradientError, match=r"^first in a parameter, by batch 2$"):
        epoch.record(1, np.array(1.0), np.array(1))
