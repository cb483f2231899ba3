"""`tinygrad-ckn compare`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tinygrad_ckn import plots
from tinygrad_ckn.cli.common import (
    DataDir,
    Device,
    Threads,
    echo_dataset,
    limited_to,
    load_data,
    source_of,
)
from tinygrad_ckn.cli.console import console, echo_wrapped, is_terminal
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
from tinygrad_ckn.cli.reading import ChannelsLast, Header, ImageShape, Scale
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models import PRESETS
from tinygrad_ckn.training import Result, atomic_write, loop
from tinygrad_ckn.training.folder import claim
from tinygrad_ckn.training.options import ITERATIONS, N_PATCHES, default_mode, resolve

REFIT = "at the end of the last epoch, before the classifier was fitted again"


def compare(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL", help=f"Two or more of {', '.join(PRESETS)}.")
    ],
    *,
    data: Data = "digits",
    data_dir: DataDir = None,
    image_shape: ImageShape = None,
    channels_last: ChannelsLast = None,
    header: Header = None,
    scale: Scale = None,
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
        typer.Option(help="Folder of the runs, new or empty; by default runs/TIME-DATA-compare."),
    ] = None,
    threads: Threads = None,
) -> None:
    """Train several networks on the same data with the same options, and show them side by side.

    Each gets a run's folder OUT/MODEL, as from `train`, in its default mode: unsup-*
    are trained without labels for their filters, and options of supervised training do
    not apply to them.

    OUT gets comparison.json (accuracy, seconds, parameters and epochs of each, as soon
    as it is trained) and, when all are trained, comparison.png.

    After the last epoch of a descent the classifier is fitted again, on all training
    images: the test accuracy is that of the new classifier, and may lie far from the
    accuracy of the last epoch.

    For example:

    tinygrad-ckn compare unsup-32-64 lenet-ckn lenet --epochs 20
    """
    if len(set(models)) != len(models) or len(models) < 2:
        raise ConfigError(
            f"compare: argument MODEL expected two or more different ones, got {' '.join(models)}"
        )
    shared = {
        "preprocessing": preprocess,
        "mirror_average": mirror,
        "loss": loss,
        "n_patches": patches,
        "iterations": iterations,
        "seed": seed,
        "device": device,
    }
    descent = {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "lr": lr,
        "warmup": warmup,
        "schedule": schedule,
        "alternating": alternating,
        "refit_classifier_every": refit_classifier_every,
        "validation": validation,
        "patience": patience,
        "augment": augment,
    }
    options = {
        name: {"model": name, **shared, **of_model}
        for name, of_model in _descents(models, descent).items()
    }
    for of_model in options.values():
        # refuses wrong options before the data are read
        resolve(Path(data).stem, **of_model)
    dataset = load_data(
        data,
        data_dir,
        image_shape=image_shape,
        channels_last=channels_last,
        header=header,
        scale=scale,
    )
    echo_dataset(dataset)
    results: dict[str, dict[str, Any]] = {}
    source = source_of(data, data_dir)
    with claim(out, f"{dataset.name}-compare") as claimed, limited_to(threads):
        folder = claimed.folder
        for name, of_model in options.items():
            typer.echo(f"{name}:")
            with Display() as display:
                result = loop.train(
                    dataset, **of_model, out=folder / name, source=source, report=display
                )
            results[name] = _record(result)
            content = {"data": {"name": dataset.name, **source}, "models": results}
            atomic_write(
                folder / "comparison.json", (json.dumps(content, indent=2) + "\n").encode()
            )
    plots.comparison(results, folder / "comparison.png")
    _show(results)
    typer.echo(f"runs, comparison.json and comparison.png in {folder}")


def _descents(models: Sequence[str], descent: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the options of descent for each model that descends."""
    descending = [name for name in models if default_mode(name) == "supervised"]
    for name, value in descent.items():
        if value is not None and not descending:
            raise ConfigError(
                f"compare: argument {name} expected a model that is trained by descent, got {' '.join(models)}, which "
                "are trained without labels; leave it out or add another model"
            )
    return {name: descent if name in descending else {} for name in models}


def _record(result: Result) -> dict[str, Any]:
    """Return what comparison.json says about a training."""
    epochs = [record for record in result.run.records() if record["phase"] == "epoch"]
    return {
        "accuracy": result.accuracy,
        "correct": result.correct,
        "total": result.total,
        "seconds": round(sum(result.seconds.values()), 3),
        "parameters": sum(parameter.size for parameter in result.model.parameters()),
        "epochs": epochs,
    }


def _show(results: dict[str, dict[str, Any]]) -> None:
    """Print a table, or, in a pipe or file, a line for each model."""
    ends = {name: plots.last_epoch(result["epochs"]) for name, result in results.items()}
    rows = {
        name: (
            f"{r['accuracy']:.4f} ({r['correct']}/{r['total']})",
            f"{r['seconds']:.1f}",
            f"{r['parameters']:,}",
        )
        for name, r in results.items()
    }
    if not is_terminal(sys.stdout):
        for name, (accuracy, seconds, parameters) in rows.items():
            end = "" if ends[name] is None else f", {ends[name]:.4f} {REFIT}"
            typer.echo(
                f"{name}: test accuracy {accuracy}, {seconds} s, {parameters} parameters{end}"
            )
        return
    from rich.table import Table

    table = Table("model", box=None)
    descended = any(end is not None for end in ends.values())
    for title in (*(["last epoch"] if descended else []), "test accuracy", "seconds", "parameters"):
        table.add_column(title, justify="right")
    for name, row in rows.items():
        end = "-" if ends[name] is None else f"{ends[name]:.4f}"
        table.add_row(name, *([end] if descended else []), *row)
    console().print(table)
    if descended:
        echo_wrapped(f"last epoch: accuracy {REFIT}, which the test accuracy is of")
