"""`tinygrad-ckn evaluate` and `tinygrad-ckn predict`: use of a trained model."""

from __future__ import annotations

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
from tinygrad_ckn.cli.fields import options_from_fields
from tinygrad_ckn.cli.inputs import open_inputs
from tinygrad_ckn.cli.predictions import Form, Row, check_numbers, separated
from tinygrad_ckn.data.picture_folder import holds_pictures
from tinygrad_ckn.files import atomic_write
from tinygrad_ckn.models import Network
from tinygrad_ckn.training import evaluation
from tinygrad_ckn.training.evaluation_images import evaluation_images, open_model

Folder: TypeAlias = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="Folder of a run of `tinygrad-ckn train`, or the .safetensors file of a model.",
    ),
]
Images: TypeAlias = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILES",
        help="Images: pictures (.png, .jpg, ...), folders of pictures (in natural order, folders "
        "inside included), .npz (array images), .npy, .csv (pixels; a column named label is left "
        "out) or IDX files.",
    ),
]


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
    names = () if model.data_format is None else model.data_format.class_names
    echo_summary(confusion, list(names) or [str(label) for label in model.classes])
    trained_with = {} if opened is None else opened.config.get("options", {})
    echo_accuracy(confusion, trained_with.get("class_weight"))


@options_from_fields
def predict(
    run: Folder,
    files: Images,
    *,
    reading: ReadingOptions,
    device: Device = "cpu",
    threads: Threads = None,
    top: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="Print the K most probable classes of each image, a row for each.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    all: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Print a column for each class, with its probability.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="kaggle|kaggle-prediction",
            help="Print a submission to Kaggle: kaggle has the columns ImageId,Label, "
            "kaggle-prediction the columns Id,Prediction. Both number the images from 1 in the "
            "order given.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.csv",
            help="Write a CSV file with a header instead of printing.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Print the class of each image in some files, with the model's probability for it.

    For pictures and folders of pictures, the output is CSV with a header and the columns
    path, class, name, probability. If FILES has other files, it has five columns: file,
    index of the image in the file, counted from 0, class, name, probability; without
    --top, --all and --format they are separated by tabs, without a header. A terminal
    gets a table. Models of earlier versions that were fitted with squared_hinge and a
    given l2 have scores instead of probabilities.

    Images are read as the training images were, and refused if that is impossible.

    For example:

    tinygrad-ckn predict runs/digits photo.png scans/ --top 3
    """
    _, model = open_model(run)
    are_pictures = _are_pictures(files)
    form = Form.of(model, are_pictures, top, all, format)
    if output is not None:
        form.check_output(output)
    rows: list[Row] = []
    n_images = 0
    with limited_to(threads):
        for images in open_inputs(files, model.to(device).data_format, reading):
            if form.kaggle is not None and are_pictures:
                check_numbers([Path(path) for path, _ in images.keys])
            for block in images.blocks():
                values = _values(model, images.read(block), images.source)
                rows += form.rows(images.keys[block], values, n_images + block.start)
            n_images += len(images)
    if output is not None:
        table = separated([form.header, *rows], ",")
        atomic_write(output, table.encode(errors="surrogateescape"))
        typer.echo(f"wrote the classes of {n_images:,} images to {output}")
    elif is_terminal(sys.stdout) and form.kaggle is None:
        _print_table(rows, form.header)
    elif are_pictures or top is not None or all or format is not None:
        typer.echo(separated([form.header, *rows], ","), nl=False)
    else:
        typer.echo(separated(rows, "\t"), nl=False)


def _values(model: Network, images: NDArray[np.float32], source: str) -> NDArray[Any]:
    """Return the probabilities, or without a temperature the scores, (n, k)."""
    values = evaluation.scores if model.temperature is None else evaluation.probabilities
    return values(model, images, source=source)


def _are_pictures(files: Iterable[Path]) -> bool:
    """Return whether all files are pictures, or folders of them."""
    return all(holds_pictures(file) for file in files)


def _print_table(rows: list[Row], columns: Sequence[str]) -> None:
    """Print rows aligned under a header."""
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(*(Column(name, overflow="fold") for name in columns), box=None)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console().print(table)
