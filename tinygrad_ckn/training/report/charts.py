"""Charts as numbers in a viewBox of 400 x 260, which the template draws as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 400, 260
# Margins for ticks and the names of the axes.
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 12, 46
# Largest numbers of ticks of an axis.
_TICKS = 6
# Points up to which a line has dots.
_MAX_DOTS = 40

Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """An axis: its range, its place in the picture, its ticks.

    Parameters
    ----------
    low, high
        Values at the ends, low < high; for a logarithmic scale > 0.
    start, stop
        Coordinates of the ends.
    log
        Whether it is logarithmic.
    whole
        Whether only integers have ticks.
    """

    low: float
    high: float
    start: float
    stop: float
    log: bool = False
    whole: bool = False

    def at(self, value: float) -> float:
        """Return the coordinate of a value, rounded for short files."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        share = (value - low) / (high - low)
        return round(self.start + share * (self.stop - self.start), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Coordinate and text of each tick."""
        values = _powers(self.low, self.high) if self.log else _round_values(self)
        return [(self.at(value), f"{value:.4g}") for value in values]


@dataclass(frozen=True)
class Line:
    """A line through points, with its entry in the legend.

    Attributes
    ----------
    label
        Its name.
    points
        Coordinates.
    number
        Chooses the colour and dashes.
    radii
        Of the dots at the points; [] for many points.
    """

    label: str
    points: list[Point]
    number: int
    radii: list[float]

    @property
    def text(self) -> str:
        """The points of an SVG polyline."""
        return " ".join(f"{x:g},{y:g}" for x, y in self.points)


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes
    ----------
    title, description
        What is shown, and its values in words, for those who do not see it.
    x_label, y_label
        Names of the axes.
    x, y
        The scales.
    lines
        Lines with legends.
    kept
        Coordinate and name of a vertical rule, if there is one.
    star
        A marked point with its name, if there is one.
    diagonal
        Whether the diagonal is drawn.
    """

    title: str
    description: str
    x_label: str
    y_label: str
    x: Scale
    y: Scale
    lines: list[Line] = field(default_factory=list)
    kept: tuple[float, str] | None = None
    star: tuple[float, float, str] | None = None
    diagonal: bool = False


def chart(
    title: str,
    labels: tuple[str, str],
    series: Sequence[tuple[str, Sequence[Point]]],
    *,
    description: str,
    kept: tuple[float, str] | None = None,
    star: tuple[float, float, str] | None = None,
    log_x: bool = False,
    whole_x: bool = False,
    unit: bool = False,
    weights: Sequence[float] | None = None,
) -> Chart:
    """Return the chart of some series of points.

    Parameters
    ----------
    title, description
        As for `Chart`.
    labels
        Names of the axes.
    series
        Name and points (x, y) of each line, one point or more in all.
    kept
        Value of x and name of a vertical rule.
    star
        Point (x, y) and name of a marked point.
    log_x, whole_x
        Kind of the axis of x.
    unit
        Whether both axes are from 0 to 1, with the diagonal.
    weights
        Areas of the dots of each series, up to a factor; None: all are equal.

    Examples
    --------
    >>> drawn = chart("Loss", ("epoch", "loss"), [("training", [(1, 0.5), (2, 0.1)])],
    ...               description="", whole_x=True)
    >>> drawn.lines[0].text
    '64,28.8 376,197.2'
    >>> [text for _, text in drawn.x.ticks]
    ['1', '2']
    """
    points = [point for _, of_line in series for point in of_line] + ([star[:2]] if star else [])
    xs = [x for x, _ in points] + ([kept[0]] if kept else [])
    ys = [y for _, y in points]
    limits = ((0.0, 1.0), (0.0, 1.0)) if unit else (_range(xs, 0.0, log_x), _range(ys, 0.1))
    x = Scale(*limits[0], LEFT, WIDTH - RIGHT, log=log_x, whole=whole_x)
    y = Scale(*limits[1], HEIGHT - BOTTOM, TOP)
    return Chart(
        title,
        description,
        *labels,
        x,
        y,
        [
            Line(name, [(x.at(a), y.at(b)) for a, b in of_line], number, _radii(of_line, weights))
            for number, (name, of_line) in enumerate(series)
        ],
        None if kept is None else (x.at(kept[0]), kept[1]),
        None if star is None else (x.at(star[0]), y.at(star[1]), star[2]),
        unit,
    )


def _radii(points: Sequence[Point], weights: Sequence[float] | None) -> list[float]:
    """Return the radius of the dot at each point."""
    if weights is None:
        return [3.0] * len(points) if len(points) <= _MAX_DOTS else []
    largest = max(weights, default=1.0) or 1.0
    return [round(2 + 6 * math.sqrt(weight / largest), 1) for weight in weights]


def _range(values: Sequence[float], margin: float, log: bool = False) -> Point:
    """Return low < high around values, with a share of the range as a margin."""
    low, high = min(values), max(values)
    if log:
        return (low, high) if low < high else (low / 10, high * 10)
    span = (high - low) or abs(high) or 1.0
    if low == high:
        return low - span / 2, high + span / 2
    return low - margin * span, high + margin * span


def _round_values(scale: Scale) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten within a range."""
    span = scale.high - scale.low
    power = 10.0 ** math.floor(math.log10(span / _TICKS))
    step = next(factor * power for factor in (1, 2, 5, 10, 20) if span / (factor * power) <= _TICKS)
    step = max(1.0, step) if scale.whole else step
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _powers(low: float, high: float) -> list[float]:
    """Return powers of ten within a range, at most six or so."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    step = max(1, math.ceil((last - first + 1) / _TICKS))
    return [10.0**exponent for exponent in range(first, last + 1, step)] or [low]
