"""Results as a bar chart: one panel per case with a bar per side, or per group.

A group's panel has one bar per case.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Result
from benchmarks.report import compared, digits, grouped, scale_of
from tinygrad_ckn.files import atomic_write

OURS, THEIRS = "#1f6fb4", "#b9b9b9"


def _case(axes: Any, result: Result) -> None:
    """Draw the median of each side with its quartiles, ours at the top, and the comparison."""
    times = [side.time for side in result.sides]
    scale, unit = scale_of(max(time.median for time in times))
    colours = [OURS] + [OURS if result.case.unit else THEIRS] * (len(times) - 1)
    spread = [
        [(t.median - t.lower) * scale for t in times],
        [(t.upper - t.median) * scale for t in times],
    ]
    axes.barh(
        range(len(times)), [t.median * scale for t in times], xerr=spread, color=colours, height=0.7
    )
    notes = [
        f"{digits(t.median * scale)}   {compared(result, side)}"
        for t, side in zip(times, result.sides, strict=True)
    ]
    _label(axes, [side.name for side in result.sides], [t.upper * scale for t in times], notes)
    axes.set_title(result.case.name, loc="left")
    axes.set_xlabel(
        f"{unit}: median and quartiles; {'time per unit' if result.case.unit else 'ours / theirs'}"
    )


def _group(axes: Any, name: str, results: Sequence[Result]) -> None:
    """Draw for each case the ratio of the first side's median to the fastest one's."""
    fastest = [min(result.sides, key=lambda side: side.time.median) for result in results]
    ratios = [
        r.sides[0].time.median / best.time.median for r, best in zip(results, fastest, strict=True)
    ]
    axes.barh(range(len(results)), ratios, color=OURS, height=0.7)
    _label(axes, [result.case.name for result in results], ratios, [best.name for best in fastest])
    axes.set_title(
        f"{name}: {results[0].sides[0].name} over the fastest, which is named", loc="left"
    )
    axes.set_xlabel("ratio of medians")


def _label(axes: Any, labels: Sequence[str], ends: Sequence[float], notes: Sequence[str]) -> None:
    """Label the bars on the left, with a note at the end of each."""
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.5 * max(ends))
    for place, (end, note) in enumerate(zip(ends, notes, strict=True)):
        axes.annotate(
            note, (end, place), (6, 0), textcoords="offset points", va="center", fontsize="small"
        )
    axes.spines[["top", "right"]].set_visible(False)


def draw(path: Path, results: Sequence[Result], caption: str) -> None:
    """Write a PNG with one panel per case or group."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = list(grouped(results))
    heights = [
        1.2 + 0.35 * (len(members) if group else len(members[0].sides)) for group, members in panels
    ]
    figure = Figure(figsize=(11, sum(heights) + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for axes, (group, members) in zip(rows[:, 0], panels, strict=True):
        if group:
            _group(axes, group, members)
        else:
            _case(axes, members[0])
    figure.supxlabel(caption, fontsize="small")
    content = io.BytesIO()
    figure.savefig(content, dpi=120)
    atomic_write(path, content.getvalue())
