"""`tinygrad-ckn bench`: speed and memory next to other libraries, from a checkout."""

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

# Columns of tables in a pipe or file.
WIDTH = 150
# Folder of the checkout.
ROOT = Path(tinygrad_ckn.__file__).parents[1]


def _benchmarks(module: str) -> Any:
    """Import a module of the folder `benchmarks`, next to the package in a checkout."""
    if not (ROOT / "benchmarks" / "suite.py").is_file():
        raise ConfigError(
            f"bench: expected the folder benchmarks next to the package, got none in {ROOT}; "
            "benchmarks are not part of the installed package: run `python -m benchmarks` in a "
            "checkout"
        )
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return importlib.import_module(f"benchmarks.{module}")


def bench(
    suites: Annotated[
        list[str] | None,
        typer.Argument(metavar="SUITE", help="Names of suites. Default: all."),
    ] = None,
    *,
    list_suites: Annotated[bool, typer.Option("--list", help="Print the suites and exit.")] = False,
    device: Device = "cpu",
    threads: Annotated[
        int, typer.Option(min=1, metavar="<int>", help="Threads of each library.")
    ] = 2,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="<int>", help="Rounds of each library. Default: set by each suite."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for results.json and SUITE.png. Default: runs/TIME-bench."),
    ] = None,
) -> None:
    """Compare speed and memory with PyTorch and other libraries, if they are installed.

    Each library runs in its own process. Their outputs are compared first; a library
    with another result is not timed. Then they take turns, so that other load on the
    machine slows all of them equally; the result is the ratio of medians, next to its
    maximum. PyTorch is measured as installed and with malloc tuned to keep memory, this
    library always in an unchanged environment.

    With --device cuda steps are timed by events, and bytes and operations per second are
    shown next to the limits of the GPU. docs/gpu.md explains these tables.

    The other libraries: pip install -e '.[bench]' in a checkout.
    """
    output = console(width=None if is_terminal(sys.stdout) else WIDTH)
    run = _benchmarks("run")
    if list_suites:
        run.list_suites(output)
        return
    settings = _benchmarks("suite").Settings(device=device, threads=threads, rounds=rounds)
    folder = Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-bench" if out is None else out
    if run.run(run.chosen(suites or [], device), settings, folder, output):
        raise typer.Exit(1)
