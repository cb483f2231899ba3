"""`tinygrad-ckn features`: features of images, written to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from tinygrad_ckn.backend import asarray, to_numpy
from tinygrad_ckn.cli.common import OUTPUT, Device, ReadingOptions, Threads, limited_to
from tinygrad_ckn.cli.fields import options_from_fields
from tinygrad_ckn.cli.inputs import Input, open_inputs
from tinygrad_ckn.cli.predict import Folder, Images
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.batched import map_batches
from tinygrad_ckn.training.evaluation_images import open_model


@options_from_fields
def features(
    run: Folder,
    files: Images,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="F.npy",
            help="New file, for `numpy.load`; mmap_mode='r' there reads it in parts.",
            rich_help_panel=OUTPUT,
        ),
    ],
    reading: ReadingOptions,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Write what the last layer of a network computes for images, a row for each.

    The file holds an array (number of images, number of features), in the order given.
    It appears when it is complete. Pictures are read in blocks, so that they and the
    features may be larger than memory.

    Images are read as the training images were, and refused if that is impossible.

    For example:

    tinygrad-ckn features runs/digits scans/ -o scans.npy
    """
    _check_output(output)
    _, model = open_model(run)
    model = model.to(device)
    with limited_to(threads):
        inputs = list(open_inputs(files, model.data_format, reading))
        # The place of each block among all images, with where it comes from.
        places: list[slice] = []
        origins: dict[int, tuple[Input, slice]] = {}
        start = 0
        for images in inputs:
            for block in images.blocks():
                origins[start + block.start] = images, block
                places.append(slice(start + block.start, start + block.stop))
            start += len(images)

        def compute(place: slice) -> NDArray[Any]:
            images, block = origins[place.start]
            return to_numpy(model.encode(asarray(images.read(block), device=device)))

        shape = start, model.classifier.in_features
        map_batches(compute, places, shape, model.dtype, xp=np, out=output)
    typer.echo(f"wrote features {shape}, {model.dtype}, to {output}")


def _check_output(path: Path) -> None:
    """Raise a ConfigError unless the path is that of a new .npy file."""
    if path.suffix != ".npy":
        raise ConfigError(f"{path}: expected a file name that ends in .npy; change argument output")
    if path.exists():
        raise ConfigError(
            f"{path}: expected a new file, got one that exists; choose another with argument "
            "output, or remove it"
        )
