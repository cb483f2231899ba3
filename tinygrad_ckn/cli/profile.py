"""Tables of a profile: its phases, and the operations that took longest."""

from __future__ import annotations

from tinygrad_ckn.cli.console import console
from tinygrad_ckn.profiling import Profile

MAX_ROWS = 20


def show_profile(profiled: Profile) -> None:
    """Print the phases and the slowest operations, each with its share of the time."""
    from rich import box
    from rich.table import Table

    total = sum(profiled.phases.values())
    output = console()
    phases = Table("phase", box=box.SIMPLE if output.is_terminal else None)
    operations = Table("phase", "operation", "direction", box=phases.box)
    for table, names in (
        (phases, ("seconds", "share")),
        (operations, ("calls", "seconds", "share", "MiB")),
    ):
        for name in names:
            table.add_column(name, justify="right")
    for phase, seconds in sorted(profiled.phases.items(), key=lambda item: item[1], reverse=True):
        phases.add_row(phase, *_share(seconds, total))
    rows = profiled.rows()
    for row in rows[:MAX_ROWS]:
        operations.add_row(
            *(row.phase, row.name, row.direction, f"{row.calls:,}"),
            *_share(row.seconds, total),
            f"{row.bytes / 2**20:,.1f}",
        )
    others = rows[MAX_ROWS:]
    if others:
        seconds = sum(row.seconds for row in others)
        operations.add_row("", f"{len(others)} smaller rows", "", "", *_share(seconds, total), "")
    # Loops around operations, recording of graphs, files. Operations of several threads
    # may take more than the total.
    outside = max(0.0, total - sum(row.seconds for row in rows))
    operations.add_row("", "outside of them", "", "", *_share(outside, total), "")
    output.print(phases)
    output.print(operations)


def _share(seconds: float, total: float) -> tuple[str, str]:
    """Return seconds, and their share of the total, as text."""
    return f"{seconds:.3f}", f"{seconds / total:.1%}"
