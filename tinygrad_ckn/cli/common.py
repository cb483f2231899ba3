"""Options that several commands share, and what they do with them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from tinygrad_ckn.cli.console import echo_wrapped
from tinygrad_ckn.data import Dataset, load
from tinygrad_ckn.errors import DataWarning
from tinygrad_ckn.parallel import get_num_threads, set_num_threads
from tinygrad_ckn.training.metrics import Confusion, accuracy, confusion_summary

DATA_NAMES = ("digits", "fashion-mnist", "mnist", "cifar10")
DATA_HELP = (
    "digits (embedded), fashion-mnist, mnist or cifar10; or the path of an .npz file (arrays images and labels), "
    "of a .csv file (a label and the pixels a row), or of a folder with IDX or CIFAR-10 binary files"
)

DataDir: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the files of fashion-mnist, mnist or cifar10; "
        "fashion-mnist is found without it where Debian's dataset-fashion-mnist is installed."
    ),
]
Device: TypeAlias = Annotated[
    str, typer.Option(metavar="cpu|cuda", help="Where to compute; cuda needs CuPy.")
]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="<int>",
        help="Threads to compute with; by default OMP_NUM_THREADS, else one for each core.",
    ),
]


def load_data(data: str, data_dir: Path | str | None, **reading: Any) -> Dataset:
    """Load a data set; without a test part of its own it is always divided in the same way, whatever the seed.

    Copies of training images among the test images are counted and told.
    """
    dataset = load(data, data_dir=data_dir, **reading)
    if dataset.n_copies:
        warnings.warn(
            f"{dataset.name}: {dataset.n_copies:,} of {len(dataset.test):,} test images are copies of training images, "
            "so that the test accuracy is too high; remove them",
            DataWarning,
            stacklevel=2,
        )
    return dataset


def source_of(data: str, data_dir: Path | None) -> dict[str, str | None]:
    """Return the arguments of `load_data` in a form that holds in any working directory."""
    return {
        "data": data if data in DATA_NAMES else str(Path(data).resolve()),
        "data_dir": None if data_dir is None else str(data_dir.resolve()),
    }


@contextmanager
def limited_to(threads: int | None) -> Iterator[None]:
    """Compute with at most so many threads within a block, those of the BLAS libraries and those of the library."""
    if threads is None:
        yield
        return
    from threadpoolctl import threadpool_limits

    before = get_num_threads()
    set_num_threads(threads)
    try:
        with threadpool_limits(limits=threads):
            yield
    finally:
        set_num_threads(before)


def echo_dataset(dataset: Dataset) -> None:
    """Print the first line of `train` and `compare`."""
    echo_wrapped(
        f"{dataset.name}: {len(dataset.train):,} training and {len(dataset.test):,} test images of "
        f"{'x'.join(map(str, (dataset.in_channels, *dataset.image_size)))}, {dataset.n_classes} classes"
    )


def echo_summary(confusion: Confusion, class_names: list[str]) -> None:
    """Print a line for each class."""
    for line in confusion_summary(confusion, class_names):
        echo_wrapped(line)


def echo_accuracy(confusion: Confusion) -> None:
    """Print the last line of `train` and `evaluate`."""
    typer.echo(f"test accuracy {accuracy(confusion):.4f} ({confusion.trace()}/{confusion.sum()})")
