"""`tinygrad-ckn train`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from tinygrad_ckn import profiling, training
from tinygrad_ckn.cli.common import (
    OUTPUT,
    Data,
    DataDir,
    DivisionOptions,
    FineTuningOptions,
    Out,
    ReadingOptions,
    Threads,
    echo_accuracy,
    echo_dataset,
    echo_summary,
    limited_to,
    load_data,
    source_of,
)
from tinygrad_ckn.cli.display import Display
from tinygrad_ckn.cli.fields import Given, OptionsOf, options_from_fields
from tinygrad_ckn.cli.profile import show_profile
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.training import Result, Run, loop
from tinygrad_ckn.training.options import LEARNING, MODEL, Options, resolve
from tinygrad_ckn.training.report.page import REPORT
from tinygrad_ckn.training.resume import dataset_of
from tinygrad_ckn.training.signals import signals_caught
from tinygrad_ckn.training.transfer import with_source

Profile: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--profile",
        help="Print the cost of each operation, and write trace.json for chrome://tracing.",
        rich_help_panel=OUTPUT,
    ),
]


Resume: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="RUN",
        help="Continue an interrupted training in its folder, with its data and options; all "
        "other options except --threads and --profile are refused.",
        rich_help_panel=OUTPUT,
    ),
]
From: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="RUN",
        help="Begin with the filters and the preprocessing of another run, which are kept, or "
        "fine-tuned in mode supervised, except those of --freeze; the data may have other "
        "classes.",
        rich_help_panel=MODEL,
    ),
]
# Options that may be given with --resume.
_WITH_RESUME = ("resume", "threads", "profile")


@options_from_fields
def train(
    context: typer.Context,
    *,
    data: Data = "digits",
    data_dir: DataDir = None,
    reading: ReadingOptions,
    division: DivisionOptions,
    options: Annotated[Given, OptionsOf(Options, LEARNING)],
    descent: FineTuningOptions,
    threads: Threads = None,
    init_from: From = None,
    resume: Resume = None,
    out: Out = None,
    profile: Profile = False,
) -> None:
    """Train a network, save it, and measure it on the test images.

    The folder of the run holds config.json (all options and versions), metrics.jsonl (a
    line for each phase and epoch, as it happens), model.safetensors, report.html (all
    results on one page), test.json (what the page shows of the test images), filters.png
    (the filters of the first layer) and README.txt; with --profile, trace.json too. Files
    in a folder are never overwritten, except those of a run that had not learned anything
    yet.
    Until the training ends last.safetensors holds its state, and checkpoint.safetensors
    the best epoch of fine-tuning so far. If it fails, is interrupted or killed, both
    stay, and --resume continues to the same model, to the bit.

    The last line of output is the accuracy on the test images: test accuracy 0.9944
    (358/360). With --holdout 0 it is: no test images: trained on all 1,797 images

    For example:

    tinygrad-ckn train

    tinygrad-ckn train --data fashion-mnist --out runs/fashion

    tinygrad-ckn train --data cifar10 --data-dir ~/cifar --model ckn5 --epochs 50
    --device cuda

    tinygrad-ckn train --resume runs/fashion
    """
    if resume is not None:
        _refuse_others(context)
        dataset = dataset_of(Run.open(resume))
    else:
        chosen = {**options, **descent, "init_from": init_from}
        # Refuse wrong options before the data are read.
        resolve(Path(data).stem, **with_source(chosen))
        dataset = load_data(data, data_dir, reading, division)
    echo_dataset(dataset)
    measuring = profiling.profile() if profile else nullcontext()
    with signals_caught(), limited_to(threads), measuring as profiled, Display() as display:
        if resume is not None:
            result = training.resume(resume, dataset=dataset, report=display)
        else:
            source = source_of(data, data_dir, reading, division)
            result = loop.train(dataset, **chosen, out=out, source=source, report=display)
    _echo_cost(result)
    if profiled is not None:
        profiled.save(result.run.folder / "trace.json")
        show_profile(profiled)
    if result.confusion is not None:
        echo_summary(result.confusion, list(dataset.class_names))
    page = result.run.folder / REPORT
    if page.is_file():
        typer.echo(f"report {page}")
    typer.echo(f"run folder {result.run.folder}")
    if result.confusion is None:
        typer.echo(f"no test images: trained on all {len(dataset.train):,} images")
    else:
        echo_accuracy(result.confusion, options.get("class_weight"))


def _refuse_others(context: typer.Context) -> None:
    """Raise a ConfigError if an option is given that the resumed run has already."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in _WITH_RESUME and source is not None and source.name == "COMMANDLINE":
            raise ConfigError(
                f"train: argument {name} expected to be left out with --resume, which continues "
                "with the options of the run; start another run to change it"
            )


def _echo_cost(result: Result) -> None:
    """Print the time and the memory that a training run took."""
    memory = ""
    if result.peak_memory is not None:
        memory = f", at most {result.peak_memory / 2**20:,.0f} MiB of memory"
    typer.echo(f"{sum(result.seconds.values()):.1f} s in all{memory}")
