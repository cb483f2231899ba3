"""`tinygrad-ckn evaluate` and `tinygrad-ckn predict`: use of a trained model."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
import typer
from numpy.typing import NDArray

from tinygrad_ckn.cli.common import (
    DATA,
    DATA_HELP,
    OUTPUT,
    DataDir,
    Device,
    ReadingOptions,
    Threads,
    echo_accuracy,
    echo_summary,
    limited_to,
)
from tinygrad_ckn.cli.console import console, is_terminal
from tinygrad_ckn.cli.fields import Given, options_from_fields
from tinygrad_ckn.data import load_images
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.files import atomic_write, is_special
from tinygrad_ckn.models import Network
from tinygrad_ckn.training import evaluation
from tinygrad_ckn.training.evaluation_images import evaluation_images, open_model

COLUMNS = ("file", "index", "class", "name")
Folder: TypeAlias = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="Folder of a run of `tinygrad-ckn train`, or the .safetensors file of a model.",
    ),
]
Row: TypeAlias = tuple[str, ...]


@options_from_fields
def evaluate(
    run: Folder,
    *,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help=f"Other data to measure on: {DATA_HELP}. Default: the data of the run.",
            rich_help_panel=DATA,
        ),
    ] = None,
    data_dir: DataDir = None,
    reading: ReadingOptions,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Measure the model of a run on the test images of its data set, or on other data.

    On its own data, the model is measured on the images that the training held out,
    wherever they now are in the file; if one of them is missing, nothing is measured. On
    other data, it is measured on the test images, or on all images of an .npz or .csv
    file without a test part, but never on images that it was trained on. The first line
    of output says how many and which.

    Images are read as the training images were, and refused if that is impossible.

    The last line of output is the same as that of `train`: test accuracy 0.9944 (358/360)
    """
    opened, model = open_model(run)
    chosen = evaluation_images(opened, model, data, data_dir, **reading)
    typer.echo(chosen.description)
    with limited_to(threads):
        confusion = evaluation.evaluate(model.to(device), chosen.split, source=chosen.description)
    echo_summary(confusion, list(_class_names(model)))
    trained_with = {} if opened is None else opened.config.get("options", {})
    echo_accuracy(confusion, trained_with.get("class_weight"))


@options_from_fields
def predict(
    run: Folder,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES",
            help="Images: .npz (array images), .npy, .csv (pixels; a column named label is left "
            "out) or IDX files.",
        ),
    ],
    *,
    reading: ReadingOptions,
    device: Device = "cpu",
    threads: Threads = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Write a CSV file with a header instead of printing.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Print the class of each image in some files, with the model's probability for it.

    Each line has five columns: file, index of the image in the file, counted from 0,
    label, class name, probability. They are separated by tabs, without a header, unless
    the output is a terminal. Models of earlier versions that were fitted with
    squared_hinge and a given l2 have scores instead of probabilities.

    Images are read as the training images were, and refused if that is impossible.
    """
    if output is not None:
        _check_output(output)
    _, model = open_model(run)
    columns = (*COLUMNS, "score" if model.temperature is None else "probability")
    with limited_to(threads):
        rows = _rows(model.to(device), files, reading)
    if output is not None:
        table = _separated([columns, *rows], ",")
        atomic_write(output, table.encode(errors="surrogateescape"))
        typer.echo(f"wrote the classes of {len(rows):,} images to {output}")
    elif is_terminal(sys.stdout):
        _print_table(rows, columns)
    else:
        typer.echo(_separated(rows, "\t"), nl=False)


def _rows(model: Network, files: Iterable[Path], reading: Given) -> list[Row]:
    """Return file, index, label, class name and probability of each image."""
    names = _class_names(model)
    rows: list[Row] = []
    for file in files:
        images = load_images(file, data_format=model.data_format, **reading)
        for index, values in enumerate(_values(model, images, str(file))):
            best = int(values.argmax())
            probability = f"{values[best]:.4f}"
            label = str(model.classes[best])
            rows.append((str(file), str(index), label, names[best], probability))
    return rows


def _check_output(path: Path) -> None:
    """Raise a ConfigError if the file exists and was not written by `predict`."""
    if path.is_dir():
        raise ConfigError(f"{path}: expected a file to write to, got a folder; give a file in it")
    if path.is_file() and not is_special(path) and path.stat().st_size:
        with path.open("rb") as stream:
            if stream.readline(200).startswith(",".join(COLUMNS).encode()):
                return
        raise ConfigError(
            f"{path}: expected a new file, or one that predict wrote, got another file, which "
            "would be overwritten; choose another with argument output"
        )


def _values(model: Network, images: NDArray[np.float32], source: str) -> NDArray[Any]:
    """Return the probabilities, or without a temperature the scores, (n, k)."""
    values = evaluation.scores if model.temperature is None else evaluation.probabilities
    return values(model, images, source=source)


def _class_names(model: Network) -> tuple[str, ...]:
    """Return the names of the model's classes."""
    names = () if model.data_format is None else model.data_format.class_names
    return names or tuple(str(label) for label in model.classes)


def _separated(rows: Iterable[Sequence[object]], delimiter: str) -> str:
    """Return rows as lines; cells that contain the delimiter are quoted."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _print_table(rows: list[Row], columns: Sequence[str]) -> None:
    """Print rows aligned under a header."""
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(*(Column(name, overflow="fold") for name in columns), box=None)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console().print(table)
