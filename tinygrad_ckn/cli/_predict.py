"""`tinygrad-ckn evaluate` and `tinygrad-ckn predict`: what is done with a finished run."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from tinygrad_ckn.cli._common import (
    DATA_HELP,
    DataDir,
    Device,
    Threads,
    echo_accuracy,
    echo_summary,
    limited_to,
    load_data,
)
from tinygrad_ckn.data import load_images
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.models import CKN
from tinygrad_ckn.training import Run, atomic_write, evaluation

COLUMNS = ("file", "index", "class", "name", "probability")
Folder: TypeAlias = Annotated[Path, typer.Argument(metavar="RUN", help="The folder that `tinygrad-ckn train` made.")]
Row: TypeAlias = tuple[str, int, int, str, str]


def evaluate(
    run: Folder,
    *,
    data: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH", help=f"Other data to measure on; by default the run's own. {DATA_HELP}."),
    ] = None,
    data_dir: DataDir = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Measure a run's model on the test images of its own data set, or of another one.

    The last line of output is as that of `train`: test accuracy 0.9944 (358/360)
    """
    opened = Run.open(run)
    model = opened.load().to(device)
    if data is None:
        source = _described(opened, "data")
        data, data_dir = source, data_dir or opened.config["data"].get("data_dir")
    dataset = load_data(data, data_dir)
    with limited_to(threads):
        confusion = evaluation.evaluate(model, dataset.test)
    echo_summary(confusion, _class_names(opened, model))
    echo_accuracy(confusion)


def predict(
    run: Folder,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES...",
            help="Images: .npz (array images), .npy, .csv (pixels; a column named label is left out) or IDX files.",
        ),
    ],
    *,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Write a CSV file with a header instead of printing.")
    ] = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Print the class of each image in some files, with the model's probability for it.

    A line has five columns: file, index of the image in it from 0, class number, class name, softmax probability.
    They are separated by tabs, without a header, where the output is not a terminal.
    """
    opened = Run.open(run)
    model = opened.load().to(device)
    names = _class_names(opened, model)
    rows: list[Row] = []
    with limited_to(threads):
        for file in files:
            found = evaluation.probabilities(model, load_images(file))  # (n, k)
            for index, probability in enumerate(found):
                best = int(probability.argmax())
                rows.append((str(file), index, best, names[best], f"{probability[best]:.4f}"))
    if output is not None:
        atomic_write(output, _separated([COLUMNS, *rows], ",").encode())
        typer.echo(f"wrote the classes of {len(rows):,} images to {output}")
    elif sys.stdout.isatty():
        _print_table(rows)
    else:
        typer.echo(_separated(rows, "\t"), nl=False)


def _described(run: Run, key: str) -> Any:
    """Return what config.json says about the run's data."""
    try:
        found = run.config["data"][key]
    except (KeyError, TypeError):
        found = None
    if found is None:
        raise DataError(f"{run.folder}/config.json: expected data.{key}, got none; train again")
    return found


def _class_names(run: Run, model: CKN) -> list[str]:
    """Return the names of the model's classes."""
    names: list[str] = _described(run, "class_names")
    if len(names) != model.n_classes:
        raise DataError(
            f"{run.folder}/config.json: expected {model.n_classes} class names, as many as the model has classes, "
            f"got {len(names)}; is the model of another run?"
        )
    return names


def _separated(rows: Iterable[Sequence[object]], delimiter: str) -> str:
    """Return rows as lines, with quotes around cells that hold the delimiter."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _print_table(rows: list[Row]) -> None:
    """Print rows aligned under a header."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(*(Column(name, overflow="fold") for name in COLUMNS), box=None)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    Console().print(table)
