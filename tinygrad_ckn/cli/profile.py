"""What a profile looks like on a terminal: its phases, and the operations that took longest."""

from __future__ import annotations

from tinygrad_ckn.cli.console import console
from tinygrad_ckn.profiling import Profile

MOST_ROWS = 20


def show_profile(profiled: Profile) -> None:
    """Print the phases, and the operations that took most of the time, each with its share of it."""
    from rich import box
    from rich.table import Table

    whole = sum(profiled.phases.values())
    shown = console()
    phases = Table("phase", box=box.SIMPLE if shown.is_terminal else None)
    operations = Table("phase", "operation", "direction", box=phases.box)
    for table, names in (
        (phases, ("seconds", "share")),
        (operations, ("calls", "seconds", "share", "MiB")),
    ):
        for name in names:
            table.add_column(name, justify="right")
    for phase, seconds in sorted(profiled.phases.items(), key=lambda item: item[1], reverse=True):
        phases.add_row(phase, *_share(seconds, whole))
    rows = profiled.rows()
    for row in rows[:MOST_ROWS]:
        operations.add_row(
            *(row.phase, row.name, row.direction, f"{row.calls:,}"),
            *_share(row.seconds, whole),
            f"{row.bytes / 2**20:,.1f}",
        )
    smaller, named = (sum(row.seconds for row in some) for some in (rows[MOST_ROWS:], rows))
    if rows[MOST_ROWS:]:
        operations.add_row(
            "", f"{len(rows) - MOST_ROWS} smaller rows", "", "", *_share(smaller, whole), ""
        )
    # Loops around them, the recording of graphs, files. Rows of several threads may
    # come to more than the whole.
    operations.add_row("", "outside of them", "", "", *_share(max(0.0, whole - named), whole), "")
    shown.print(phases)
    shown.print(operations)


def _share(seconds: float, whole: float) -> tuple[str, str]:
    """Return seconds, and their share of the whole, as a table shows them."""
    return f"{seconds:.3f}", f"{seconds / whole:.1%}"
