"""A course's kernel challenge: classify images with a convolutional kernel network, without a deep-learning library.

python examples/kernel_challenge.py --train Xtr.csv --labels Ytr.csv --test Xte.csv
--out Yte.csv

docs/challenge.md goes through it step by step.
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

NETWORKS = [name for name, found in PRESETS.items() if found.model == "CKN"]
DEFAULT, QUICK = "unsup-256-1024", "unsup-64-256"
# of the training images, for validation
HELD_OUT = 0.2

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def read(
    train: Path, labels: Path, test: Path, image_shape: tuple[int, int, int], channels_last: bool
) -> tuple[Split, NDArray[np.float32]]:
    """Return labelled training images and the test images, in [0, 1] by the range of the training images.

    Local whitening takes means away and the classifier scales its features, so the
    scale of pixels hardly matters; but training and test images need the same one. The
    range of the training images is all that is known beforehand.
    """
    images, others = (
        load_pixels(path, image_shape=image_shape, channels_last=channels_last)
        for path in (train, test)
    )
    of_images = load_labels(labels)
    if len(images) != len(of_images):
        raise DataError(
            f"{labels}: expected {len(images)} labels, one for each image of {train}, got {len(of_images)}"
        )
    classes = np.unique(of_images)
    if len(classes) == 1:
        raise DataError(
            f"{labels}: expected labels of at least two classes to tell apart, got only class {classes[0]}"
        )
    low, high = images.min(), images.max()
    if low == high:
        raise DataError(f"{train}: expected images that differ, got {low} in every pixel")
    typer.echo(
        f"{len(images):,} training and {len(others):,} test images, {len(classes)} classes; "
        f"pixels {low:.3g} to {high:.3g} and {others.min():.3g} to {others.max():.3g}"
    )
    return Split((images - low) / (high - low), of_images), (others - low) / (high - low)


def fitted(split: Split, n_classes: int, preset: str, patches: int, seed: int) -> CKN:
    """Return a network: images whitened, filters learned without labels, the classifier on means over mirror images."""
    _, channels, height, width = split.images.shape
    random = default_rng(seed)
    model = CKN.preset(
        preset,
        in_channels=channels,
        image_size=(height, width),
        n_classes=n_classes,
        preprocessing="local_whitening",
        mirror_average="features",
        rng=random,
    )
    return model.fit(
        split.images, split.labels, loss="squared_hinge", n_patches=patches, rng=random, report=tell
    )


def tell(progress: Progress) -> None:
    """Print a line for each layer and for the classifier, once they are learned."""
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
    """Read the files, validate on a part of the training images, fit on all, write the predictions."""
    if options["preset"] not in NETWORKS:
        raise ConfigError(
            f"--preset: expected one of {', '.join(NETWORKS)}, got {options['preset']!r}"
        )
    if out.is_dir() or not out.parent.is_dir():
        raise DataError(f"{out}: expected a file to write, in a folder that exists; check --out")
    if out.resolve() in {path.resolve() for path in (train, labels, test)}:
        raise DataError(
            f"{out}: expected another file to write than those that are read; check --out"
        )
    everything, others = read(train, labels, test, image_shape, channels_last)
    n_classes = len(np.unique(everything.labels))

    rest, held_out = split_off(everything, HELD_OUT, default_rng(options["seed"]))
    typer.echo(
        f"fitting {options['preset']} on {len(rest):,} images, to measure on {len(held_out):,} others"
    )
    accuracy = fitted(rest, n_classes, **options).accuracy(held_out.images, held_out.labels)
    typer.echo(
        f"validation accuracy {accuracy:.4f} ({round(accuracy * len(held_out))}/{len(held_out)})"
    )

    typer.echo(f"fitting on all {len(everything):,} images")
    save_labels(out, fitted(everything, n_classes, **options).predict(others))
    typer.echo(f"{len(others):,} predictions in {out}")


@app.command()
def main(
    *,
    train: Annotated[
        Path, typer.Option(help="CSV file of training images, the planes of one a row.")
    ],
    labels: Annotated[
        Path, typer.Option(help="CSV file of their labels, under the header Id,Prediction.")
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
    patches: Annotated[
        int, typer.Option(help="Patches that filters are learned from in each layer, at most.")
    ] = 100_000,
    seed: Annotated[
        int, typer.Option(help="Of everything random: the same seed gives the same predictions.")
    ] = 0,
    image_shape: Annotated[
        tuple[int, int, int],
        typer.Option(metavar="C H W", help="Channels, height and width of an image."),
    ] = (3, 32, 32),
    channels_last: Annotated[
        bool,
        typer.Option("--channels-last", help="Pixels are in the order (H, W, C), not in planes."),
    ] = False,
) -> None:
    """Learn from labelled images, say how well on a part held out, and write predictions for the others."""
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
            patches=patches,
            seed=seed,
        )
    except (CKNError, MemoryError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app()
