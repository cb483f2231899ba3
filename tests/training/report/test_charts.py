import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.training.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, chart

numbers = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=9))
def test_points_and_ticks_lie_inside(points: list[tuple[float, float]]):
    drawn = chart("t", ("x", "y"), [("line", points)], description="")
    for x, y in drawn.lines[0].points:
        assert LEFT <= x <= WIDTH - RIGHT
        assert TOP <= y <= HEIGHT - BOTTOM
    for scale in (drawn.x, drawn.y):
        assert 1 <= len(scale.ticks) <= 7
        assert all(math.isfinite(at) for at, _ in scale.ticks)
        assert len({text for _, text in scale.ticks}) >= 1


def test_larger_values_are_higher_and_further_right():
    drawn = chart("t", ("x", "y"), [("a", [(0, 0), (1, 1)])], description="")
    (left, low), (right, high) = drawn.lines[0].points
    assert left < right and low > high


def test_powers_of_ten_on_a_logarithmic_axis():
    drawn = chart("t", ("x", "y"), [("a", [(1e-6, 0), (1e-3, 1)])], description="", log_x=True)
    assert [text for _, text in drawn.x.ticks] == ["1e-06", "1e-05", "0.0001", "0.001"]
    gaps = [b - a for (a, _), (b, _) in zip(drawn.x.ticks, drawn.x.ticks[1:], strict=False)]
    assert gaps == pytest.approx([gaps[0]] * 3, abs=0.2)


def test_epochs_are_whole_numbers():
    drawn = chart("t", ("x", "y"), [("a", [(1, 0), (3, 1)])], description="", whole_x=True)
    assert [text for _, text in drawn.x.ticks] == ["1", "2", "3"]


def test_marks_are_inside_the_scale():
    drawn = chart(
        "t", ("x", "y"), [("a", [(1, 0.3)])], description="", kept=(0, "k"), star=(1, 0.978, "s")
    )
    assert drawn.kept is not None and drawn.star is not None
    assert drawn.kept[0] == LEFT
    assert TOP < drawn.star[1] < drawn.lines[0].points[0][1]
