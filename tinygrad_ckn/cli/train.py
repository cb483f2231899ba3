"""`tinygrad-ckn train`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from tinygrad_ckn import profiling
from tinygrad_ckn.cli.common import (
    DataDir,
    Device,
    Threads,
    echo_accuracy,
    echo_dataset,
    echo_summary,
    limited_to,
    load_data,
    source_of,
)
from tinygrad_ckn.cli.display import Display
from tinygrad_ckn.cli.options import (
    Alternating,
    Augment,
    BatchSize,
    Data,
    Epochs,
    Iterations,
    Loss,
    Lr,
    Mirror,
    Optimizer,
    Patches,
    Patience,
    Preprocess,
    ResolveEvery,
    Schedule,
    Seed,
    Validation,
    Warmup,
)
from tinygrad_ckn.cli.profile import show_profile
from tinygrad_ckn.cli.reading import ChannelsLast, Header, ImageShape, Scale
from tinygrad_ckn.models import PRESETS
from tinygrad_ckn.training import loop
from tinygrad_ckn.training.options import ITERATIONS, N_PATCHES, resolve


def train(
    *,
    data: Data = "digits",
    data_dir: DataDir = None,
    image_shape: ImageShape = None,
    channels_last: ChannelsLast = None,
    header: Header = None,
    scale: Scale = None,
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
    preprocess: Preprocess = None,
    mirror: Mirror = None,
    loss: Loss = "squared_hinge",
    patches: Patches = N_PATCHES,
    iterations: Iterations = ITERATIONS,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    optimizer: Optimizer = None,
    lr: Lr = None,
    warmup: Warmup = None,
    schedule: Schedule = None,
    alternating: Alternating = None,
    refit_classifier_every: ResolveEvery = None,
    validation: Validation = None,
    patience: Patience = None,
    augment: Augment = None,
    seed: Seed = 0,
    device: Device = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run, new or empty; by default runs/TIME-DATA-MODEL."),
    ] = None,
    threads: Threads = None,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Tell what each operation cost, and write trace.json for chrome://tracing.",
        ),
    ] = False,
) -> None:
    """Train a network, save it, and measure it on the test images.

    The run's folder gets config.json (all options and versions), metrics.jsonl (a line
    for each phase and epoch, as it happens), model.safetensors and filters.png (those
    of the first layer); with --profile, trace.json too. A folder that holds something
    is never written to, unless it is nothing but a training that had learned nothing
    yet. In a descent checkpoint.safetensors is the best epoch so far, and
    last.safetensors the last one; where a training fails or is broken off, both stay.

    The last line of output is the accuracy on the test images: test accuracy 0.9944
    (358/360)

    For example:

    tinygrad-ckn train

    tinygrad-ckn train --data fashion-mnist --out runs/fashion

    tinygrad-ckn train --data cifar10 --data-dir ~/cifar --model ckn5 --epochs 50
    --device cuda
    """
    options: dict[str, Any] = {
        "preprocessing": preprocess,
        "model": model,
        "mode": mode,
        "mirror_average": mirror,
        "loss": loss,
        "n_patches": patches,
        "iterations": iterations,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "optimizer": optimizer,
        "warmup": warmup,
        "schedule": schedule,
        "alternating": alternating,
        "refit_classifier_every": refit_classifier_every,
        "validation": validation,
        "patience": patience,
        "augment": augment,
        "seed": seed,
        "device": device,
    }
    # refuses wrong options before the data are read
    resolve(Path(data).stem, **options)
    dataset = load_data(
        data,
        data_dir,
        image_shape=image_shape,
        channels_last=channels_last,
        header=header,
        scale=scale,
    )
    echo_dataset(dataset)
    measuring = profiling.profile() if profile else nullcontext()
    with limited_to(threads), measuring as profiled, Display() as display:
        result = loop.train(
            dataset,
            **options,
            out=out,
            source=source_of(data, data_dir),
            report=display,
        )
    memory = (
        ""
        if result.peak_memory is None
        else f", at most {result.peak_memory / 2**20:,.0f} MiB of memory"
    )
    typer.echo(f"{sum(result.seconds.values()):.1f} s in all{memory}")
    if profiled is not None:
        profiled.save(result.run.folder / "trace.json")
        show_profile(profiled)
    echo_summary(result.confusion, list(dataset.class_names))
    typer.echo(f"run folder {result.run.folder}")
    echo_accuracy(result.confusion)
