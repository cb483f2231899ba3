import numpy as np
import pytest

from tinygrad_ckn import Tensor, checks
from tinygrad_ckn.errors import ConfigError, DataError, DTypeError


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int64(2)])
def test_number_returns_a_float(value: object) -> None:
    result = checks.number("F", "x", value, "a number > 0", lambda x: x > 0)
    assert type(result) is float
    assert result == 2


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), "2", None, [2]])
def test_number_refuses_the_rest(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^F: argument x expected a number > 0, got "):
        checks.number("F", "x", value, "a number > 0", lambda x: x > 0)


@pytest.mark.parametrize("value", [3, np.int64(3), 2**70])
def test_integers_accepts_integers(value: object) -> None:
    assert checks.integers("F", 3, n=value, m=5) is None
    assert checks.integers("F", 3, or_none=True, n=None) is None


@pytest.mark.parametrize("value", [2, 3.0, "3", None, True, np.array(3)])
def test_integers_refuses_the_rest(value: object) -> None:
    with pytest.raises(
        ConfigError, match=r"^F: argument n expected an integer >= 3, got .*; mend$"
    ):
        checks.integers("F", 3, hint="mend", m=4, n=value)


@pytest.mark.parametrize("value", [0, -1.0, float("inf"), float("nan"), "2", None, np.ones(2)])
def test_positive_refuses_the_rest(value: object) -> None:
    checks.positive("F", x=0.5, y=np.float32(2), z=3)
    with pytest.raises(ConfigError, match=r"^F: argument x expected a finite number > 0, got "):
        checks.positive("F", x=value)


@pytest.mark.parametrize("value", ["c", 1, True, None, ["a"], np.array(["a", "b"])])
def test_one_of_refuses_the_rest(value: object) -> None:
    checks.one_of("F", ("a", "b"), x="a", y="b")
    with pytest.raises(ConfigError, match=r"^F: argument x expected 'a' or 'b', got "):
        checks.one_of("F", ("a", "b"), x=value)


def test_divisible_names_what_is_not() -> None:
    checks.divisible("F", "groups", 2, a=4, b=0)
    with pytest.raises(
        ConfigError, match=r"^F: argument groups expected a divisor of a 4 and b 5, got 2$"
    ):
        checks.divisible("F", "groups", 2, a=4, b=5)


def test_array_refuses_what_has_no_dtype() -> None:
    checks.array("F", x=np.ones(2), t=Tensor(1.0))
    with pytest.raises(DTypeError, match=r"^F: argument x expected an array or a Tensor, got list"):
        checks.array("F", x=[1.0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_finite_refuses_nan_and_infinity(value: float) -> None:
    checks.finite("F", x=np.ones((0, 2)), y=np.arange(3))
    match = r"^F: argument x expected finite numbers, got NaN or infinity; mend$"
    with pytest.raises(DataError, match=match):
        checks.finite("F", x=np.array([1.0, value]), hint="mend")
    with pytest.raises(ConfigError):
        checks.finite("F", x=np.array([1.0, value]), error=ConfigError)
