"""What a profile looks like on a terminal: its phases, and the operations that took longest."""

from __future__ import annotations

from tinygrad_ckn.cli._console import console
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
    for table, names in ((phases, ("seconds", "share")), (operations, ("calls", "seconds", "share", "MiB"))):
        for name in names:
            table.add_column(name, justify="right")
    for phase, seconds in sorted(profiled.phases.items(), key=lambda item: item[1], reverse=True):
        phases.add_row(phase, f"{seconds:.3f}", f"{seconds / whole:.1%}")
    rows = profiled.rows()
    for row in rows[:MOST_ROWS]:
        operations.add_row(
            *(row.phase, row.name, row.direction, f"{row.calls:,}"),
            *(f"{row.seconds:.3f}", f"{row.seconds / whole:.1%}", f"{row.bytes / 2**20:,.1f}"),
        )
    rest = max(0.0, whole - sum(row.seconds for row in rows[:MOST_ROWS]))
    operations.add_row("", "all else", "", "", f"{rest:.3f}", f"{rest / whole:.1%}", "")
    shown.print(phases)
    shown.print(operations)
