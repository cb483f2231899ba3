"""`tinygrad-ckn data`: the known data sets, or what a file or folder is."""

from __future__ import annotations

from typing import Annotated

import typer

from tinygrad_ckn.cli.common import ReadingOptions, load_data
from tinygrad_ckn.cli.console import echo_wrapped
from tinygrad_ckn.cli.fields import Given, options_from_fields
from tinygrad_ckn.data.known import KNOWN, Known
from tinygrad_ckn.data_format import DataFormat


@options_from_fields
def data(
    path: Annotated[
        str | None,
        typer.Argument(metavar="[PATH]", help="A file or folder, as for train --data."),
    ] = None,
    *,
    reading: ReadingOptions,
) -> None:
    """List the data sets known by name, or say how a file or folder is read.

    Nothing is downloaded: get the files, compare `md5sum FILE`, and pass their folder.

    For example:

    tinygrad-ckn data

    tinygrad-ckn data scans.npz
    """
    if path is not None:
        _describe(path, reading)
        return
    for known in KNOWN:
        _list(known)


def _list(known: Known) -> None:
    """Print a known data set."""
    echo_wrapped(
        f"{known.name}: {known.title}, {known.n_train:,} training and {known.n_test:,} test images "
        f"of {known.shape}, {known.n_classes} classes"
    )
    typer.echo(f"  from  {known.url}")
    for file in known.files:
        typer.echo(f"  file  {file.name}")
        typer.echo(f"  md5   {file.md5}")
    folder = f" --data-dir DIR ({known.note})" if known.files else f" ({known.note})"
    echo_wrapped(f"  use   --data {known.name}{folder}")


def _describe(path: str, reading: Given) -> None:
    """Print what a file or folder is, and how it is read."""
    dataset = load_data(path, None, reading)
    echo_wrapped(f"{path}: read as data set {dataset.name}")
    echo_wrapped(f"  training images  {len(dataset.train):,}")
    for part in ("validation", "test"):
        if part in dataset.parts:
            echo_wrapped(f"  {part + ' images':<15}  {len(dataset.parts[part]):,}")
    shape = "x".join(map(str, (dataset.in_channels, *dataset.image_size)))
    echo_wrapped(f"  images           {shape}, {_pixels(dataset.data_format)}")
    shown = ", ".join(dataset.class_names[:12]) + (", ..." if dataset.n_classes > 12 else "")
    echo_wrapped(f"  classes          {dataset.n_classes}: {shown}")


def _pixels(data_format: DataFormat) -> str:
    """Return how the pixels are stored, and how they are scaled."""
    order = ", channels last" if data_format.channels_last else ""
    divided = "not changed" if data_format.scale == 1 else f"divided by {data_format.scale:g}"
    pixels = data_format.pixels
    return f"{data_format.stored}{order}, {divided}: {pixels.low:g} to {pixels.high:g}"
