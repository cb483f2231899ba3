"""Options that several commands share, and the lines that several commands print."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from tinygrad_ckn.cli.console import echo_wrapped
from tinygrad_ckn.cli.fields import Given, OptionsOf
from tinygrad_ckn.data import Dataset, load
from tinygrad_ckn.data.division import Division
from tinygrad_ckn.data.known import KNOWN
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import DataWarning
from tinygrad_ckn.models import FineTuning
from tinygrad_ckn.parallel import get_num_threads, set_num_threads
from tinygrad_ckn.training.metrics import (
    Confusion,
    accuracy,
    balanced_accuracy,
    confusion_summary,
)
from tinygrad_ckn.training.options import COMPUTATION

DATA = "Data"
OUTPUT = "Output"
DATA_NAMES = tuple(known.name for known in KNOWN)
DATA_HELP = (
    f"{', '.join(DATA_NAMES)} (see `tinygrad-ckn data`); or the path of an .npz file (arrays "
    "images and labels), of a .csv file (a label, then the pixels, in each row), or of a folder "
    "with IDX, CIFAR, STL-10 or SVHN files, or with a folder of pictures for each class"
)

Data: TypeAlias = Annotated[
    str,
    typer.Option(
        "--data", metavar="NAME|PATH", help=f"Data set: {DATA_HELP}.", rich_help_panel=DATA
    ),
]
DataDir: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the files of a data set given by name; fashion-mnist is found "
        "without it if Debian's dataset-fashion-mnist is installed.",
        rich_help_panel=DATA,
    ),
]
ReadingOptions: TypeAlias = Annotated[Given, OptionsOf(Reading, DATA)]
DivisionOptions: TypeAlias = Annotated[Given, OptionsOf(Division, DATA)]
FineTuningOptions: TypeAlias = Annotated[
    Given, OptionsOf(FineTuning, "Learning: fine-tuning (mode supervised)")
]
# A string, because Path("") is the current folder.
Out: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="<path>",
        help="New or empty folder for the results. Default: runs/TIME-DATA-MODEL, or "
        "runs/TIME-DATA-compare.",
        rich_help_panel=OUTPUT,
    ),
]
# Of commands that compute with a trained model or with primitives alone.
Device: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="cpu|cuda",
        help="Device to compute on; cuda needs CuPy.",
        rich_help_panel=COMPUTATION,
    ),
]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="<int>",
        help="Number of threads. Default: OMP_NUM_THREADS, otherwise one per core.",
        rich_help_panel=COMPUTATION,
    ),
]


def load_data(
    data: str, data_dir: Path | str | None, reading: Given, division: Given | None = None
) -> Dataset:
    """Load a data set, and warn if its parts have images or groups in common.

    A data set without a test part is always divided in the same way, whatever the seed.
    """
    dataset = load(data, data_dir=data_dir, **reading, **(division or {}))
    for remark in _remarks(dataset):
        warnings.warn(f"{dataset.name}: {remark}", DataWarning, stacklevel=2)
    return dataset


def _remarks(dataset: Dataset) -> Iterator[str]:
    """Yield a sentence on each kind of images that make a measurement doubtful."""
    for pair, count in dataset.copies.items():
        part, _, other = pair.partition(" in ")
        yield (
            f"{count:,} of {len(dataset.parts[part]):,} {part} images are copies of {other} "
            f"images, so that the {part} accuracy is too high; remove them"
        )
    for pair, count in dataset.shared_groups.items():
        part, _, other = pair.partition(" in ")
        yield (
            f"{count:,} of {len(dataset.parts[part]):,} {part} images are of groups that {other} "
            f"images are of, so that the {part} accuracy may be too high; divide the groups"
        )
    for part, split in dataset.parts.items():
        if dataset.train.groups is not None and split.groups is None:
            yield (
                f"the groups of the {len(split):,} {part} images are not known, so that images of "
                "one group may be in two parts; add their groups"
            )
    if dataset.n_conflicting:
        yield (
            f"{dataset.n_conflicting:,} images have an equal image with another label; correct the "
            "labels, or remove them"
        )


def source_of(
    data: str, data_dir: Path | None, reading: Given, division: Given | None = None
) -> dict[str, Any]:
    """Return the arguments of `load`, with absolute paths."""
    paths = {
        name: str(Path(value).resolve()) if name.endswith("_data") else value
        for name, value in (division or {}).items()
    }
    return {
        "reading": reading,
        **({"division": paths} if paths else {}),
        "data": data if data in DATA_NAMES else str(Path(data).resolve()),
        "data_dir": None if data_dir is None else str(data_dir.resolve()),
    }


@contextmanager
def limited_to(threads: int | None) -> Iterator[None]:
    """Limit the threads of the library and of BLAS within a block; None: leave them."""
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
    others = ("validation", "test")
    counts = [f"{len(dataset.train):,} training"]
    counts += [f"{len(dataset.parts[x]):,} {x}" for x in others if x in dataset.parts]
    *rest, last = counts
    listed = f"{', '.join(rest)} and {last}" if rest else last
    echo_wrapped(
        f"{dataset.name}: {listed} images of "
        f"{'x'.join(map(str, (dataset.in_channels, *dataset.image_size)))}, {dataset.n_classes} "
        "classes"
    )


def echo_summary(confusion: Confusion, class_names: list[str]) -> None:
    """Print a line for each class."""
    for line in confusion_summary(confusion, class_names):
        echo_wrapped(line)


def echo_accuracy(confusion: Confusion, class_weight: object = None) -> None:
    """Print the last lines of `train` and `evaluate`.

    The balanced accuracy comes first if classes were weighted, or if the largest class
    has more than four times as many images as the smallest.
    """
    counts = confusion.sum(axis=1)
    if class_weight is not None or counts.max() > 4 * counts[counts > 0].min(initial=counts.max()):
        typer.echo(f"balanced accuracy {balanced_accuracy(confusion):.4f}, the mean over classes")
    typer.echo(f"test accuracy {accuracy(confusion):.4f} ({confusion.trace()}/{confusion.sum()})")
