import pytest

from tinygrad_ckn.data.division import Division
from tinygrad_ckn.errors import ConfigError


def test_a_fifth_is_held_out_by_default():
    assert (Division().fraction, Division(holdout=0).fraction) == (0.2, 0.0)


@pytest.mark.parametrize("holdout", [-0.1, 1, float("nan"), "a"])
def test_a_share_out_of_range_is_refused(holdout: float):
    with pytest.raises(ConfigError, match="argument holdout expected a number in"):
        Division(holdout=holdout)
