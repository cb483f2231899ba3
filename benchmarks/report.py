"""Results as tables for the terminal and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measured, Result
from tinygrad_ckn.files import atomic_write

MEGA = 1e6


def scale_of(seconds: float) -> tuple[float, str]:
    """Return a suitable unit for a time: its number per second and its name.

    Examples
    --------
    >>> scale_of(0.25), scale_of(3.0)
    ((1000.0, 'ms'), (1.0, 's'))
    """
    return (1.0, "s") if seconds >= 1 else (1e3, "ms") if seconds >= 1e-3 else (1e6, "us")


def digits(value: float) -> str:
    """Format a number with three digits, or all digits before the point if there are more.

    Examples
    --------
    >>> digits(1.234), digits(12.34), digits(1234.5)
    ('1.23', '12.3', '1,234')
    """
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def verdict(ratio: float | None, target: float | None) -> str:
    """Format a ratio with its target."""
    if ratio is None:
        return ""
    text = f"{ratio:.{2 if ratio >= 0.1 else 3}f}"
    return (
        text
        if target is None
        else f"{text} (at most {target:g}: {'met' if ratio <= target else 'MISSED'})"
    )


def _row(result: Result, side: Measured, scale: float) -> list[str]:
    case = result.case
    time = side.time
    ours = side is result.sides[0]
    memory = ["" if size is None else f"{size / MEGA:,.0f}" for size in (side.peak, side.growth)]
    return [
        side.name,
        digits(time.median * scale),
        digits(time.minimum * scale),
        f"{digits(time.lower * scale)} - {digits(time.upper * scale)}",
        compared(result, side),
        *memory,
        ""
        if ours or case.unit
        else verdict(result.memory_ratio(side), case.memory_targets.get(side.name)),
        f"{max(side.errors.values(), default=0):.0e}",
    ]


def compared(result: Result, side: Measured) -> str:
    """Format the ratio to a peer, or the time per unit if the case has a unit."""
    if result.case.unit:
        return f"{digits(side.time.median * 1e6 / result.units(side))} us / {result.case.unit}"
    if side is result.sides[0]:
        return ""
    return verdict(result.ratio(side), result.case.targets.get(side.name))


def _threads(result: Result) -> str:
    return "one thread" if result.threads == 1 else f"{result.threads} threads"


def case_table(result: Result) -> Table:
    """Return a table with one row per side: times, ratios, memory, error."""
    scale, unit = scale_of(result.sides[0].time.median)
    title = f"{result.case.name}: {len(result.sides[0].seconds)} steps each, {_threads(result)}"
    table = Table(title=title, title_justify="left")
    table.add_column("side", no_wrap=True)
    for heading in (f"median {unit}", "minimum", "quartiles"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("time per unit" if result.case.unit else "ours / theirs", no_wrap=True)
    for heading in ("peak MB", "growth MB"):
        table.add_column(heading, justify="right")
    table.add_column("ours / theirs")
    table.add_column("error", justify="right", no_wrap=True)
    for side in result.sides:
        table.add_row(*_row(result, side, scale))
    return table


def group_table(results: Sequence[Result]) -> Table:
    """Return a table with one row per case of a group: the median of each side."""
    names = list(dict.fromkeys(side.name for result in results for side in result.sides))
    scale, unit = scale_of(max(result.sides[0].time.median for result in results))
    table = Table(
        title=f"{results[0].case.group}, median {unit}, {_threads(results[0])}",
        title_justify="left",
    )
    table.add_column("case")
    for name in names:
        table.add_column(name, justify="right")
    peers = list(dict.fromkeys(name for result in results for name in result.case.targets))
    for name in peers:
        table.add_column(f"ours / {name}", justify="right")
    for result in results:
        medians = {side.name: digits(side.time.median * scale) for side in result.sides}
        sides = {side.name: side for side in result.sides}
        ratios = [compared(result, sides[name]) if name in sides else "-" for name in peers]
        table.add_row(result.case.name, *(medians.get(name, "-") for name in names), *ratios)
    if peers:
        targets = results[0].case.mean_targets
        means = [verdict(mean_ratio(results, name), targets.get(name)) or "-" for name in peers]
        table.add_row("geometric mean", *("" for _ in names), *means)
    return table


def mean_ratio(results: Sequence[Result], peer: str) -> float | None:
    """Return the geometric mean of our median times over those of a peer; None without it."""
    ratios = [
        ratio
        for result in results
        for side in result.sides
        if side.name == peer and (ratio := result.ratio(side))
    ]
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None


def grouped(results: Sequence[Result]) -> Iterator[tuple[str, list[Result]]]:
    """Yield results by group; those without a group one by one."""
    for (group, _), members in groupby(
        results, lambda r: (r.case.group, "" if r.case.group else r.case.name)
    ):
        yield group, list(members)


def show(console: Console, results: Sequence[Result]) -> None:
    """Print tables, and the reasons why sides were left out."""
    for group, members in grouped(results):
        console.print(group_table(members) if group else case_table(members[0]))
        for side in () if group else members[0].sides:
            malloc = (
                " ".join(f"{name}={value}" for name, value in side.malloc.items())
                or "as the system has it"
            )
            line = f"{side.name}: malloc {malloc}; {'; '.join(side.libraries) or 'no BLAS'}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        show_left_out(console, members)


def show_left_out(console: Console, results: Sequence[Result]) -> None:
    """Print the sides that could not take part, with reasons."""
    for name, reason in dict(
        item for result in results for item in result.left_out.items()
    ).items():
        console.print(f"left out: {name}: {reason}", markup=False, highlight=False, soft_wrap=True)


def as_json(
    machine: Mapping[str, str], results: Mapping[str, Sequence[Result]], failures: Mapping[str, str]
) -> dict[str, Any]:
    """Return all measurements for JSON: times, bytes, ratios, targets, costs, environments."""
    return {
        "machine": dict(machine),
        "failures": dict(failures),
        "suites": {
            name: [_case_json(result) for result in members] for name, members in results.items()
        },
    }


def _case_json(result: Result) -> dict[str, Any]:
    case = result.case
    sides = [
        {
            **asdict(side),
            "summary": asdict(side.time),
            "ratio": result.ratio(side),
            "target": case.targets.get(side.name),
            "mean_target": case.mean_targets.get(side.name),
            "memory_ratio": result.memory_ratio(side),
            "memory_target": case.memory_targets.get(side.name),
        }
        for side in result.sides
    ]
    return {
        "name": case.name,
        "group": case.group,
        "threads": result.threads,
        "unit": case.unit,
        "tolerances": dict(case.tolerances),
        "sides": sides,
        "left_out": result.left_out,
        "costs": [asdict(cost) for cost in case.costs],
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON."""
    atomic_write(path, (json.dumps(content, indent=1) + "\n").encode())
