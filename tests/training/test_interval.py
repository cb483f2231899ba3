"""How often the state of a training is saved."""

import pytest

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.training.interval import Interval


@pytest.mark.parametrize("text", ["", "5", "m", "-1m", "0e", "1.5e", "5 m", "nanm"])
def test_an_interval_is_minutes_or_epochs(text: str) -> None:
    with pytest.raises(ConfigError, match=r"argument checkpoint_every expected a time such as 10m"):
        Interval.parse(text)


def test_an_interval_of_epochs_counts_them_and_the_last() -> None:
    every = Interval.parse("3e")
    assert [epoch for epoch in range(1, 9) if every.after_epoch(epoch, 8)] == [3, 6, 8]
    assert not every.after_seconds(1e9)


def test_an_interval_of_minutes_is_of_each_epoch_and_of_time() -> None:
    every = Interval.parse("2.5m")
    assert all(every.after_epoch(epoch, 8) for epoch in range(1, 9))
    assert [every.after_seconds(seconds) for seconds in (149, 150)] == [False, True]
