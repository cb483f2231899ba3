"""`tinygrad-ckn evaluate` and `tinygrad-ckn predict`: what is done with a finished run."""

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

from tinygrad_ckn.cli._common import (
    DATA_HELP,
    DATA_NAMES,
    DataDir,
    Device,
    Threads,
    echo_accuracy,
    echo_summary,
    limited_to,
    load_data,
    source_of,
)
from tinygrad_ckn.cli._console import console, is_terminal
from tinygrad_ckn.data import load_images, load_test
from tinygrad_ckn.errors import DataError, ShapeError
from tinygrad_ckn.models import Network
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
    """Measure a run's model on the test images of its own data set, or on another one.

    Of another data set these are the test images too; of an .npz or .csv file without a test part, all images. The
    first line of output says how many and which: all 360 images of mine.npz

    The images must be scaled as the training images were: files hold whole numbers 0 to 255, which are divided by 255,
    or floats, which are taken as they are.

    The last line of output is as that of `train`: test accuracy 0.9944 (358/360)
    """
    opened = Run.open(run)
    model = opened.load().to(device)
    if data is None or source_of(data, None)["data"] == _recorded(opened, "data"):
        data = str(_described(opened, "data"))
        split, whole = load_data(data, data_dir or _recorded(opened, "data_dir")).test, False
    else:
        split, whole = load_test(data, data_dir=data_dir)
    which = f"all {len(split):,} images" if whole else f"the {len(split):,} test images"
    typer.echo(f"{which} of {data if data in DATA_NAMES else Path(data).name}")
    _check_images(opened, model, split.images, data)
    with limited_to(threads):
        confusion = evaluation.evaluate(model, split)
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

    The images must be scaled as the training images were: whole numbers 0 to 255 are divided by 255, floats are taken
    as they are.
    """
    opened = Run.open(run)
    model = opened.load().to(device)
    names = _class_names(opened, model)
    rows: list[Row] = []
    with limited_to(threads):
        for file in files:
            images = load_images(file)
            _check_images(opened, model, images, file)
            found = evaluation.probabilities(model, images)  # (n, k)
            for index, probability in enumerate(found):
                best = int(probability.argmax())
                rows.append((str(file), index, best, names[best], f"{probability[best]:.4f}"))
    if output is not None:
        atomic_write(output, _separated([COLUMNS, *rows], ",").encode(errors="surrogateescape"))
        typer.echo(f"wrote the classes of {len(rows):,} images to {output}")
    elif is_terminal(sys.stdout):
        _print_table(rows)
    else:
        typer.echo(_separated(rows, "\t"), nl=False)


def _check_images(run: Run, model: Network, images: NDArray[np.float32], source: Path | str) -> None:
    """Raise a ShapeError unless the images are of the model's size; warn where they seem to be scaled otherwise."""
    expected = (model.in_channels, *model.image_size)
    if images.shape[1:] != expected:
        raise ShapeError(
            f"{source}: expected images {'x'.join(map(str, expected))} as those the model was trained on, "
            f"got {'x'.join(map(str, images.shape[1:]))}; bring them to that size"
        )
    largest, trained = float(images.max()), _recorded(run, "largest_pixel")
    if isinstance(trained, int | float) and largest > 2 * trained > 0:
        typer.echo(
            f"warning: {source}: the largest pixel is {largest:g}, that of the training images was {trained:g}; "
            "scale the images as those were",
            err=True,
        )


def _recorded(run: Run, key: str) -> Any:
    """Return what config.json says about the run's data, None where it says nothing."""
    data = run.config.get("data")
    return data.get(key) if isinstance(data, dict) else None


def _described(run: Run, key: str) -> Any:
    """Return what config.json says about the run's data."""
    found = _recorded(run, key)
    if found is None:
        raise DataError(f"{run.folder}/config.json: expected data.{key}, got none; train again")
    return found


def _class_names(run: Run, model: Network) -> list[str]:
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
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(*(Column(name, overflow="fold") for name in COLUMNS), box=None)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console().print(table)
