"""`tinygrad-ckn train`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from tinygrad_ckn import profiling
from tinygrad_ckn.cli._common import (
    DATA_HELP,
    DataDir,
    Device,
    Threads,
    echo_accuracy,
    echo_summary,
    limited_to,
    load_data,
    source_of,
)
from tinygrad_ckn.cli._display import Display
from tinygrad_ckn.cli._profile import show_profile
from tinygrad_ckn.data import AUGMENTATIONS
from tinygrad_ckn.models import PRESETS, Descent
from tinygrad_ckn.models.classifier import LOSSES
from tinygrad_ckn.models.preprocessing import PREPROCESSORS
from tinygrad_ckn.training import loop
from tinygrad_ckn.training.options import ITERATIONS, N_PATCHES, resolve

DESCENT = "Supervised training"


def train(
    *,
    data: Annotated[str, typer.Option(metavar="NAME|PATH", help=f"What to learn: {DATA_HELP}.")] = "digits",
    data_dir: DataDir = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="PRESET",
            help=f"One of {', '.join(PRESETS)}; by default unsup-32-64 for digits, unsup-64-256 otherwise.",
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="unsupervised|supervised",
            help="unsupervised: filters by k-means on patches, then a linear classifier; supervised: then everything "
            "by stochastic gradient descent. By default unsupervised for unsup-*, supervised for the others.",
        ),
    ] = None,
    preprocess: Annotated[
        str | None,
        typer.Option(
            metavar="|".join((*PREPROCESSORS, "none")),
            help="What images go through first; by default local_whitening for cifar10, none otherwise.",
        ),
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="features|scores|none",
            help="What is the mean over each image and its mirror image, left to right; by default the features for "
            "cifar10. scores takes half the time to fit.",
        ),
    ] = None,
    loss: Annotated[str, typer.Option(metavar="|".join(LOSSES), help="Of the classifier.")] = "squared_hinge",
    patches: Annotated[int, typer.Option(help="Patches for k-means in each layer, at most.")] = N_PATCHES,
    iterations: Annotated[int, typer.Option(help="Of k-means, at most.")] = ITERATIONS,
    epochs: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=DESCENT, help=f"At most so many times through the images; default {Descent.epochs}."
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=DESCENT,
            help=f"Images a step; default {Descent.batch_size}.",
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=DESCENT,
            metavar="sgd|adam",
            help=f"Default {Descent.optimizer}.",
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=DESCENT,
            help=f"Learning rate after the warm-up; default {Descent.lr:g}.",
        ),
    ] = None,
    warmup: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=DESCENT, help=f"Epochs in which the rate rises from 0; default {Descent.warmup:g}."
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=DESCENT,
            metavar="cosine|step|constant",
            help=f"Of the rate from there on; default {Descent.schedule}.",
        ),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=DESCENT,
            metavar="joint|alternating",
            help="alternating: the classifier is solved before each epoch of the filters.",
        ),
    ] = None,
    resolve_every: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=DESCENT, help="Epochs after which the classifier is solved anew; by default never."
        ),
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=DESCENT,
            help=f"Share of the training images held out to keep the best epoch; default {Descent.validation:g}.",
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=DESCENT, help="Epochs without a better one after which it ends; by default it goes on."
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=DESCENT,
            metavar="|".join(AUGMENTATIONS),
            help="Shift each image by up to 4 pixels, mirror every other one.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random: the same seed gives the same model.")] = 0,
    device: Device = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run, new or empty; by default runs/TIME-DATA-MODEL."),
    ] = None,
    threads: Threads = None,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Tell what each operation cost, and write trace.json for chrome://tracing."),
    ] = False,
) -> None:
    """Train a network, save it, and measure it on the test images.

    The run's folder gets config.json (all options and versions), metrics.jsonl (a line for each phase and epoch, as
    it happens) and model.safetensors; with --profile, trace.json too. A folder that holds something is never written
    to, unless it is nothing but a training that was broken off before it had a model. One that fails leaves nothing.

    The last line of output is the accuracy on the test images: test accuracy 0.9944 (358/360)

    For example:

    tinygrad-ckn train

    tinygrad-ckn train --data fashion-mnist --out runs/fashion

    tinygrad-ckn train --data cifar10 --data-dir ~/cifar --model ckn5 --epochs 50 --device cuda
    """
    options: dict[str, Any] = {
        "preprocessing": preprocess,
        "model": model,
        "mode": mode,
        "mirrored": mirror,
        "loss": loss,
        "n_patches": patches,
        "iterations": iterations,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "optimizer": optimizer,
        "warmup": warmup,
        "schedule": schedule,
        "scheme": scheme,
        "resolve_every": resolve_every,
        "validation": validation,
        "patience": patience,
        "augment": augment,
        "seed": seed,
        "device": device,
    }
    resolve(Path(data).stem, **options)  # refuses wrong options before the data are read
    dataset = load_data(data, data_dir)
    typer.echo(
        f"{dataset.name}: {len(dataset.train):,} training and {len(dataset.test):,} test images of "
        f"{'x'.join(map(str, (dataset.in_channels, *dataset.image_size)))}, {dataset.n_classes} classes"
    )
    measuring = profiling.profile() if profile else nullcontext()
    with limited_to(threads), measuring as profiled, Display() as display:
        result = loop.train(
            dataset,
            **options,
            out=out,
            source=source_of(data, data_dir),
            report=display,
        )
    memory = "" if result.peak_memory is None else f", at most {result.peak_memory / 2**20:,.0f} MiB of memory"
    typer.echo(f"{sum(result.seconds.values()):.1f} s in all{memory}")
    if profiled is not None:
        profiled.save(result.run.folder / "trace.json")
        show_profile(profiled)
    echo_summary(result.confusion, list(dataset.class_names))
    typer.echo(f"run folder {result.run.folder}")
    echo_accuracy(result.confusion)
