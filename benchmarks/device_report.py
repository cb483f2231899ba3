"""Results on a GPU as tables: rates reached, compared with the card's roofline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.costs import Cost, total_bytes, total_flops
from benchmarks.gpu_specs import Card
from benchmarks.measure import Measured, Result
from benchmarks.report import compared, digits, scale_of, show_left_out


@dataclass(frozen=True)
class Rates:
    """Bytes and operations per second of our side, and their shares of the card's peak.

    `minimum` is the card's minimum time for the launches of the case one after another.
    """

    bandwidth: float
    bandwidth_share: float
    flops: float
    flops_share: float
    minimum: float

    @classmethod
    def of(cls, seconds: float, costs: Sequence[Cost], card: Card) -> Rates:
        """Return the rates of launches that took the given time together."""
        bandwidth = total_bytes(costs) / seconds
        flops = total_flops(costs) / seconds
        return cls(
            bandwidth, bandwidth / card.bandwidth, flops, flops / card.float32, card.total(costs)
        )


def roofline(card: Card) -> str:
    """Describe the peak rates of a card."""
    tf32 = "" if card.tf32 is None else f", {card.tf32 / 1e12:.1f} in TF32"
    return (
        f"{card.bandwidth / 1e9:,.0f} GB/s, {card.float32 / 1e12:.1f} TFLOP/s in float32{tf32} "
        f"({card.source})"
    )


def device_table(result: Result, card: Card) -> Table:
    """Return a table with one row per side; rates are those of ours, whose costs are known.

    "host launch" is the share of the time that Python needs to launch a step: near 100
    %, the benchmark measures Python.
    """
    scale, unit = scale_of(result.sides[0].time.median)
    table = Table(
        title=f"{result.case.name}: {len(result.sides[0].seconds)} times each", title_justify="left"
    )
    table.add_column("side", no_wrap=True)
    for heading in (
        f"median {unit}",
        "quartiles",
        "ours / theirs",
        "GB/s",
        "TFLOP/s",
        f"roofline {unit}",
        "reached",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("host launch", justify="right")
    table.add_column("error", justify="right")
    for side in result.sides:
        table.add_row(*_row(result, side, card, scale))
    return table


def _row(result: Result, side: Measured, card: Card, scale: float) -> list[str]:
    time = side.time
    cells = ["", "", "", ""]
    if side is result.sides[0] and result.case.costs:
        rates = Rates.of(time.median, result.case.costs, card)
        cells = [
            f"{digits(rates.bandwidth / 1e9)} ({rates.bandwidth_share:.0%})",
            f"{digits(rates.flops / 1e12)} ({rates.flops_share:.0%})",
            digits(rates.minimum * scale),
            f"{rates.minimum / time.median:.0%}",
        ]
    return [
        side.name,
        digits(time.median * scale),
        f"{digits(time.lower * scale)} - {digits(time.upper * scale)}",
        compared(result, side),
        *cells,
        "" if side.host is None else f"{side.host / time.median:.0%}",
        f"{max(side.errors.values(), default=0):.0e}",
    ]


def show(console: Console, results: Sequence[Result], card: Card) -> None:
    """Print tables, and the reasons why sides were left out."""
    for result in results:
        console.print(device_table(result, card))
        show_left_out(console, [result])
