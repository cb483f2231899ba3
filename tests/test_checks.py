import numpy as np
import pytest

from tinygrad_ckn import checks as _checks
from tinygrad_ckn.errors import ConfigError


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int64(2)])
def test_number_returns_a_float(value: object) -> None:
    result = _checks.number("F", "x", value, "a number > 0", lambda x: x > 0)
    assert type(result) is float
    assert result == 2


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), "2", None, [2]])
def test_number_refuses_the_rest(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^F: argument x expected a number > 0, got "):
        _checks.number("F", "x", value, "a number > 0", lambda x: x > 0)


def test_integer_returns_an_int() -> None:
    result = _checks.integer("F", "n", np.int64(3), least=3)
    assert type(result) is int
    assert result == 3


@pytest.mark.parametrize("value", [2, 3.0, "3", None])
def test_integer_refuses_the_rest(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^F: argument n expected an integer >= 3, got "):
        _checks.integer("F", "n", value, least=3)
