"""`tinygrad-ckn compare`."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tinygrad_ckn import plots
from tinygrad_ckn.cli.common import (
    Data,
    DataDir,
    DivisionOptions,
    FineTuningOptions,
    Out,
    ReadingOptions,
    Threads,
    echo_dataset,
    limited_to,
    load_data,
    source_of,
)
from tinygrad_ckn.cli.console import console, echo_wrapped, is_terminal
from tinygrad_ckn.cli.display import Display
from tinygrad_ckn.cli.fields import Given, OptionsOf, options_from_fields
from tinygrad_ckn.data import Dataset
from tinygrad_ckn.errors import ConfigError, MissingPackageError, TrainingWarning
from tinygrad_ckn.files import atomic_write
from tinygrad_ckn.models import PRESETS
from tinygrad_ckn.training import Result, loop
from tinygrad_ckn.training.folder import claim
from tinygrad_ckn.training.options import LEARNING, Options, default_mode, resolve

# Options of `train` that a comparison does not have.
WITHOUT = ("model", "mode", "csv", "tensorboard")
REFIT = "at the end of the last epoch, before the classifier was fitted again"


@options_from_fields
def compare(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL", help=f"Two or more of {', '.join(PRESETS)}.")
    ],
    *,
    data: Data = "digits",
    data_dir: DataDir = None,
    reading: ReadingOptions,
    division: DivisionOptions,
    options: Annotated[Given, OptionsOf(Options, LEARNING, without=WITHOUT)],
    descent: FineTuningOptions,
    threads: Threads = None,
    out: Out = None,
) -> None:
    """Train several networks on the same data with the same options, and compare them.

    Each network gets the folder of a run, OUT/MODEL, as from `train`, and is trained in
    its default mode: filters of unsup-* are learned without labels, and options of
    fine-tuning do not apply to them.

    OUT gets comparison.json (accuracy, seconds, parameters and epochs of each network, as
    soon as it is trained) and, when all are trained, comparison.png.

    After the last epoch of fine-tuning the classifier is fitted again, on all training
    images: the test accuracy is that of the new classifier, and may differ considerably
    from the accuracy of the last epoch.

    For example:

    tinygrad-ckn compare unsup-32-64 lenet-ckn lenet --epochs 20
    """
    if len(set(models)) != len(models) or len(models) < 2:
        raise ConfigError(
            f"compare: argument MODEL expected two or more different models, got {' '.join(models)}"
        )
    by_model = {
        name: {"model": name, **options, **tuning}
        for name, tuning in _descents(models, descent).items()
    }
    for of_model in by_model.values():
        # Refuse wrong options before the data are read.
        resolve(Path(data).stem, **of_model)
    dataset = load_data(data, data_dir, reading, division)
    if dataset.test is None:
        raise ConfigError(
            "compare: argument holdout expected a share > 0, because networks are compared on test "
            "images, got 0"
        )
    echo_dataset(dataset)
    with claim(out, f"{dataset.name}-compare") as claimed, limited_to(threads):
        results = _train_all(
            dataset, by_model, claimed.folder, source_of(data, data_dir, reading, division)
        )
    _show(results)
    files = "runs and comparison.json"
    try:
        plots.comparison(results, claimed.folder / "comparison.png")
        files = "runs, comparison.json and comparison.png"
    except MissingPackageError as error:
        warnings.warn(str(error), TrainingWarning, stacklevel=2)
    typer.echo(f"{files} in {claimed.folder}")


def _train_all(
    dataset: Dataset,
    by_model: dict[str, Given],
    folder: Path,
    source: dict[str, str | None],
) -> dict[str, dict[str, Any]]:
    """Train each model; return the content of comparison.json by model."""
    results: dict[str, dict[str, Any]] = {}
    for name, options in by_model.items():
        typer.echo(f"{name}:")
        with Display() as display:
            result = loop.train(
                dataset, **options, out=folder / name, source=source, report=display
            )
        results[name] = _record(result)
        content = {"data": {"name": dataset.name, **source}, "models": results}
        atomic_write(folder / "comparison.json", (json.dumps(content, indent=2) + "\n").encode())
    return results


def _descents(models: Sequence[str], descent: Given) -> dict[str, Given]:
    """Return the options of fine-tuning for each model, none for a model without it."""
    supervised = [name for name in models if default_mode(name) == "supervised"]
    for name in descent if not supervised else ():
        raise ConfigError(
            f"compare: argument {name} expected a model that is fine-tuned, got "
            f"{' '.join(models)}, which are trained without labels; leave it out or add another "
            "model"
        )
    return {name: descent if name in supervised else {} for name in models}


def _record(result: Result) -> dict[str, Any]:
    """Return the entry of comparison.json on a training run."""
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
    """Print a table, or in a pipe or file a line for each model."""
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
        echo_wrapped(
            f"last epoch: accuracy {REFIT}; the test accuracy is that of the new classifier"
        )
