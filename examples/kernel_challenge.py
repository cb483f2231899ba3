r"""The kernel challenge of a course: classify images without a deep-learning library.

    python examples/kernel_challenge.py --train Xtr.csv --labels Ytr.csv \
        --test Xte.csv --out Yte.csv

docs/challenge.md explains it step by step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from tinygrad_ckn.backend import default_rng
from tinygrad_ckn.data import Split, load_labels, load_pixels, save_labels, split_off
from tinygrad_ckn.errors import CKNError, ConfigError, DataError
from tinygrad_ckn.models import CKN, PRESETS, Progress

NETWORKS = [name for name, preset in PRESETS.items() if preset.model == "CKN"]
DEFAULT = "unsup-256-1024"
QUICK = "unsup-64-256"
# share of the training images that the accuracy is measured on
VALIDATION = 0.2

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def read(
    train: Path, labels: Path, test: Path, image_shape: tuple[int, int, int], channels_last: bool
) -> tuple[Split, NDArray[np.float32]]:
    """Return the labelled training images and the test images, both scaled alike.

    The range of the training images becomes [0, 1]. The scale itself hardly matters,
    since local whitening removes means and the classifier scales its features; but
    training and test images must share it.
    """
    train_images, test_images = (
        load_pixels(path, image_shape=image_shape, channels_last=channels_last)
        for path in (train, test)
    )
    train_labels = load_labels(labels)
    if len(train_images) != len(train_labels):
        raise DataError(
            f"{labels}: expected {len(train_images)} labels, one per image of {train}, "
            f"got {len(train_labels)}"
        )
    classes = np.unique(train_labels)
    if len(classes) == 1:
        raise DataError(
            f"{labels}: expected labels of at least two classes, got only class {classes[0]}"
        )
    low = train_images.min()
    high = train_images.max()
    if low == high:
        raise DataError(f"{train}: expected images that differ, got {low} in every pixel")
    typer.echo(
        f"{len(train_images):,} training and {len(test_images):,} test images, "
        f"{len(classes)} classes; pixels {low:.3g} to {high:.3g} and "
        f"{test_images.min():.3g} to {test_images.max():.3g}"
    )
    scaled = Split((train_images - low) / (high - low), train_labels)
    return scaled, (test_images - low) / (high - low)


def fit(split: Split, n_classes: int, preset: str, n_patches: int, seed: int) -> CKN:
    """Return a fitted network: whitened images, filters by k-means, a linear classifier.

    The classifier sees features averaged over each image and its mirror image.
    """
    _, channels, height, width = split.images.shape
    rng = default_rng(seed)
    model = CKN.preset(
        preset,
        in_channels=channels,
        image_size=(height, width),
        n_classes=n_classes,
        preprocessing="local_whitening",
        mirror_average="features",
        rng=rng,
    )
    return model.fit(
        split.images,
        split.labels,
        loss="squared_hinge",
        n_patches=n_patches,
        rng=rng,
        report=print_progress,
    )


def print_progress(progress: Progress) -> None:
    """Print one line per fitted layer and one for the classifier."""
    if progress.phase == "filters":
        typer.echo(f"  filters of layer {progress.done} of {progress.total}")
    elif progress.phase == "classifier" and progress.done:
        typer.echo(f"  classifier, l2 {progress.values['l2']:g}")


def solve(
    train: Path,
    labels: Path,
    test: Path,
    out: Path,
    image_shape: tuple[int, int, int],
    channels_last: bool,
    **options: Any,
) -> None:
    """Measure the accuracy on a validation set, fit on all images, write predictions."""
    if options["preset"] not in NETWORKS:
        raise ConfigError(
            f"--preset: expected one of {', '.join(NETWORKS)}, got {options['preset']!r}"
        )
    if out.is_dir() or not out.parent.is_dir():
        raise DataError(f"{out}: expected a file to write, in a folder that exists; check --out")
    if out.resolve() in {path.resolve() for path in (train, labels, test)}:
        raise DataError(
            f"{out}: expected an output file different from the input files; check --out"
        )
    labelled, test_images = read(train, labels, test, image_shape, channels_last)
    n_classes = len(np.unique(labelled.labels))

    training, validation = split_off(labelled, VALIDATION, default_rng(options["seed"]))
    typer.echo(
        f"fitting {options['preset']} on {len(training):,} images, "
        f"measuring on {len(validation):,} others"
    )
    model = fit(training, n_classes, **options)
    accuracy = model.accuracy(validation.images, validation.labels)
    n_correct = round(accuracy * len(validation))
    typer.echo(f"validation accuracy {accuracy:.4f} ({n_correct}/{len(validation)})")

    typer.echo(f"fitting on all {len(labelled):,} images")
    save_labels(out, fit(labelled, n_classes, **options).predict(test_images))
    typer.echo(f"{len(test_images):,} predictions in {out}")


@app.command()
def main(
    *,
    train: Annotated[Path, typer.Option(help="CSV file of training images, one per row.")],
    labels: Annotated[
        Path, typer.Option(help="CSV file of their labels, with the header Id,Prediction.")
    ],
    test: Annotated[Path, typer.Option(help="CSV file of the images to predict.")],
    out: Annotated[Path, typer.Option(help="CSV file to write: Id,Prediction.")],
    preset: Annotated[
        str | None,
        typer.Option(metavar="PRESET", help=f"One of {', '.join(NETWORKS)}; {DEFAULT} by default."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help=f"A smaller network, as --preset {QUICK}.")
    ] = False,
    n_patches: Annotated[
        int, typer.Option(help="Maximum number of patches that each layer's filters are fitted to.")
    ] = 100_000,
    seed: Annotated[
        int, typer.Option(help="Random seed; the same seed gives the same predictions.")
    ] = 0,
    image_shape: Annotated[
        tuple[int, int, int],
        typer.Option(metavar="C H W", help="Channels, height and width of an image."),
    ] = (3, 32, 32),
    channels_last: Annotated[
        bool,
        typer.Option("--channels-last", help="Pixels are in the order (H, W, C)."),
    ] = False,
) -> None:
    """Fit a network to labelled images, print its validation accuracy, predict the rest."""
    if quick and preset is not None:
        raise typer.BadParameter("expected --quick or --preset, got both")
    name = QUICK if quick else preset or DEFAULT
    try:
        solve(
            train,
            labels,
            test,
            out,
            image_shape,
            channels_last,
            preset=name,
            n_patches=n_patches,
            seed=seed,
        )
    except (CKNError, MemoryError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app()
