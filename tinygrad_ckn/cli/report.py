"""`tinygrad-ckn report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinygrad_ckn.cli.common import OUTPUT
from tinygrad_ckn.cli.console import echo_wrapped
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.files import is_special
from tinygrad_ckn.training import Run
from tinygrad_ckn.training.report.page import MADE_BY, REPORT, write_report


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Folders of runs of `tinygrad-ckn train`.")
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.html",
            help="The page. Default: report.html in the folder of the run; of several runs, in "
            "the current folder.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Write one HTML page on one or more runs, finished or not.

    It shows accuracy with its interval, classes, confusions, calibration, the curves of
    fine-tuning, filters, the most confident mistakes, layers, time and memory, options
    and versions. Several runs are also put side by side in one table. The page is one
    file, which works without a network and without scripts.

    For example:

    tinygrad-ckn report runs/ckn runs/cnn -o both.html
    """
    opened = [Run.open(run) for run in runs]
    path = output or (runs[0] / REPORT if len(runs) == 1 else Path(REPORT))
    _check(path)
    write_report(opened, path)
    echo_wrapped(f"wrote the report of {len(runs)} run{'s' * (len(runs) > 1)} to {path}")


def _check(path: Path) -> None:
    """Raise a ConfigError if the file exists and is not a report."""
    if path.is_dir():
        raise ConfigError(f"{path}: expected a file to write to, got a folder; give a file in it")
    if path.is_file() and not is_special(path) and path.stat().st_size:
        with path.open("rb") as stream:
            if MADE_BY.encode() in stream.read(2000):
                return
        raise ConfigError(
            f"{path}: expected a new file, or a report, got another file, which would be "
            "overwritten; choose another with argument output"
        )
