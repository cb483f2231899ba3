import pytest
from matplotlib.figure import Figure

from benchmarks import chart


def drawn(draw, *arguments):
    """Return the lengths of the bars, their labels, and all notes."""
    axes = Figure().subplots()
    draw(axes, *arguments)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    return (
        [bar.get_width() for bar in axes.patches],
        labels,
        [text.get_text() for text in axes.texts],
        axes,
    )


def test_a_case_has_a_bar_for_each_side(made_up):
    lengths, labels, notes, axes = drawn(chart._case, made_up())
    assert lengths == pytest.approx([2, 4, 1])
    assert labels == ["tinygrad-ckn", "slow", "fast"]
    assert [note.split()[1:] for note in notes] == [
        [],
        ["0.50", "(at", "most", "0.6:", "met)"],
        ["2.00", "(at", "most", "0.6:", "MISSED)"],
    ]
    assert axes.get_title(loc="left") == "a step"
    assert axes.get_xlabel().startswith("ms")
    # The first is at the top.
    assert axes.yaxis_inverted()
    colours = [bar.get_facecolor() for bar in axes.patches]
    assert colours[0] != colours[1] == colours[2]


def test_a_group_has_a_bar_for_each_case(made_up):
    second = made_up("5x5", group="by shape")
    second.sides.pop()
    lengths, labels, notes, _ = drawn(
        chart._group, "by shape", [made_up("3x3", group="by shape"), second]
    )
    assert lengths == pytest.approx([2, 1])
    assert labels == ["3x3", "5x5"]
    assert notes == ["fast", "tinygrad-ckn"]


def test_a_picture_is_written(made_up, tmp_path):
    chart.draw(tmp_path / "suite.png", [made_up(), made_up("3x3", group="by shape")], "a machine")
    assert (tmp_path / "suite.png").read_bytes().startswith(b"\x89PNG")
