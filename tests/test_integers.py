import numpy as np
import pytest

from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.integers import axes_of, axis_tuple, is_whole


def test_integers_of_python_and_numpy_are_whole():
    assert is_whole(3, 3)
    assert is_whole(np.int64(3), 0)
    assert not any(is_whole(value, 0) for value in (-1, 3.0, True, "3", None))


def test_axes_are_counted_from_zero():
    assert axes_of("f", None, 2) == (0, 1)
    assert axes_of("f", -1, 3) == (2,)
    assert axes_of("f", np.array([0, -1]), 3) == (0, 2)


@pytest.mark.parametrize("axis", [2, -3, 0.5, (0, 0), (0, -2), "x"])
def test_wrong_axes_are_named(axis):
    with pytest.raises(ShapeError, match="f: argument axis expected distinct axes of 2, got"):
        axes_of("f", axis, 2)


def test_a_scalar_has_the_axis_of_a_reduction():
    assert axes_of("f", -1, 0, scalars=True) == ()
    with pytest.raises(ShapeError, match="distinct axes of 0"):
        axes_of("f", -1, 0)


@pytest.mark.parametrize("axis", [[0, 1], np.array([0, 1]), (0, 1)])
def test_several_axes_become_a_tuple(axis):
    assert axis_tuple(axis) == (0, 1)
    assert axis_tuple(1) == 1
    assert axis_tuple(None) is None
