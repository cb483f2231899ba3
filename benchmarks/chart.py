"""Results as a bar chart: a panel for each case with a bar for each side, or for a group with a bar for each case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Measured, Result
from benchmarks.report import grouped, scale_of

OURS, THEIRS = "#1f6fb4", "#b9b9b9"


def _bars(axes: Any, title: str, labels: Sequence[str], sides: Sequence[Measured], notes: Sequence[str]) -> None:
    """Draw medians with their quartiles, first at the top, each with its note at the end of the bar."""
    scale, unit = scale_of(max(side.time.median for side in sides))
    medians = [side.time.median * scale for side in sides]
    spread = [
        [(side.time.median - side.time.lower) * scale for side in sides],
        [(side.time.upper - side.time.median) * scale for side in sides],
    ]
    colours = [OURS if side.name == sides[0].name else THEIRS for side in sides]
    places = range(len(sides))
    axes.barh(places, medians, xerr=spread, color=colours, height=0.7, error_kw={"lw": 1, "capsize": 2})
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.3 * max(side.time.upper * scale for side in sides))
    for place, side, note in zip(places, sides, notes, strict=True):
        axes.annotate(note, (side.time.upper * scale, place), (6, 0), textcoords="offset points", va="center")
    axes.set_title(title, loc="left")
    axes.set_xlabel(f"{unit}, median and quartiles")
    axes.spines[["top", "right"]].set_visible(False)


def _panel(axes: Any, group: str, members: Sequence[Result]) -> None:
    if group:
        fastest = [min(result.sides, key=lambda side: side.time.median) for result in members]
        if all(len(result.sides) == 1 for result in members):
            notes = [
                f"{result.sides[0].time.median * 1e6 / result.case.units:,.1f} us / {result.case.unit}"
                if result.case.unit
                else ""
                for result in members
            ]
        else:
            notes = [
                f"best: {best.name}, {best.time.median / r.sides[0].time.median:.2f} of it"
                for best, r in zip(fastest, members, strict=True)
            ]
        _bars(axes, group, [r.case.name for r in members], [r.sides[0] for r in members], notes)
        return
    (result,) = members
    notes = ["" if side is result.sides[0] else f"ours / theirs {result.ratio(side):.2f}" for side in result.sides]
    _bars(axes, result.case.name, [side.name for side in result.sides], result.sides, notes)


def draw(path: Path, results: Sequence[Result], caption: str) -> None:
    """Write a PNG with a panel for each case or group.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = list(grouped(results))
    heights = [1.2 + 0.35 * (len(members) if group else len(members[0].sides)) for group, members in panels]
    figure = Figure(figsize=(9, sum(heights) + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for axes, (group, members) in zip(rows[:, 0], panels, strict=True):
        _panel(axes, group, members)
    figure.supxlabel(caption, fontsize="small")
    figure.savefig(path, dpi=120)
