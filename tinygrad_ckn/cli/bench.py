"""`tinygrad-ckn bench`: speed and memory beside other libraries, by the benchmarks of a checkout."""

from __future__ import annotations

import importlib
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

import tinygrad_ckn
from tinygrad_ckn.cli.common import Device
from tinygrad_ckn.cli.console import console, is_terminal
from tinygrad_ckn.errors import ConfigError

# of tables in a pipe or file
WIDTH = 150
# of a checkout
ROOT = Path(tinygrad_ckn.__file__).parents[1]


def _benchmarks(module: str) -> Any:
    """Import a module of the folder `benchmarks`, which stands beside the package in a checkout."""
    if not (ROOT / "benchmarks" / "suite.py").is_file():
        raise ConfigError(
            f"bench: expected the folder benchmarks beside the package, got none in {ROOT}; "
            "benchmarks are not part of the installed package: run `python -m benchmarks` in a "
            "checkout"
        )
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return importlib.import_module(f"benchmarks.{module}")


def bench(
    suites: Annotated[
        list[str] | None, typer.Argument(metavar="[SUITE]...", help="Which; by default all.")
    ] = None,
    *,
    list_suites: Annotated[
        bool, typer.Option("--list", help="Print the suites and leave.")
    ] = False,
    device: Device = "cpu",
    threads: Annotated[
        int, typer.Option(min=1, metavar="<int>", help="Threads of every side.")
    ] = 2,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="<int>", help="Turns of every side; each suite has its own default."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for results.json and SUITE.png; by default runs/TIME-bench."),
    ] = None,
) -> None:
    """Measure speed and memory side by side with PyTorch and others, as far as they are installed.

    Every side runs in a process of its own. Their outputs are compared first; a side
    that computes something else is not timed. Then they take turns, so that what else
    the machine does slows all alike, and what counts is the ratio of medians, beside
    what it is to be at most. PyTorch is measured as installed and with malloc tuned to
    keep memory; this library always in the untouched environment.

    With --device cuda steps are timed by events, and bytes and operations a second are
    shown beside what the card can do. docs/gpu.md says how to read these tables.

    Peers: pip install -e '.[bench]' in a checkout.
    """
    shown = console(width=None if is_terminal(sys.stdout) else WIDTH)
    run = _benchmarks("run")
    if list_suites:
        run.list_suites(shown)
        return
    settings = _benchmarks("suite").Settings(device=device, threads=threads, rounds=rounds)
    folder = Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-bench" if out is None else out
    if run.run(run.chosen(suites or [], device), settings, folder, shown):
        raise typer.Exit(1)
