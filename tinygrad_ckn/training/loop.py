"""A training run, from data set to run folder: fit, save, measure once on the test images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinygrad_ckn import profiling
from tinygrad_ckn.backend import Generator, default_rng
from tinygrad_ckn.data import Dataset
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.models import CKN, CNN, Callback, Progress, build
from tinygrad_ckn.models.batched import on_device
from tinygrad_ckn.models.learning.callbacks import Report, combined
from tinygrad_ckn.models.learning.finetuning_options import n_held_out
from tinygrad_ckn.models.learning.progress import no_report
from tinygrad_ckn.training.checkpoint import record_of
from tinygrad_ckn.training.class_weight import read_class_weight
from tinygrad_ckn.training.csv_log import CSVLog
from tinygrad_ckn.training.description import description_of
from tinygrad_ckn.training.evaluation import predict
from tinygrad_ckn.training.folder import EPOCHS_CSV, EPOCHS_TENSORBOARD, claim
from tinygrad_ckn.training.options import Options, resolve
from tinygrad_ckn.training.recorder import Recorder
from tinygrad_ckn.training.result import Result, finish
from tinygrad_ckn.training.run import Run
from tinygrad_ckn.training.signals import signals_caught
from tinygrad_ckn.training.tensorboard import TensorBoard
from tinygrad_ckn.training.transfer import seen_parts, transferred, with_source


def train(
    dataset: Dataset,
    *,
    out: PathLike | None = None,
    source: Mapping[str, Any] | None = None,
    report: Report = no_report,
    **options: Any,
) -> Result:
    """Train a preset on a data set, save it, and measure it once on the test images.

    The same seed gives the same model on the same device, libraries and number of
    threads.

    Parameters
    ----------
    dataset
        From `tinygrad_ckn.data.load`, or made of Splits. Its validation part chooses the
        best epoch of fine-tuning and the temperature of probabilities, and groups of its
        images stay together, as for `CKN.fit`.
    out
        The folder of the run: new, empty, or with nothing but a run that had not learned
        anything yet; None: runs/<timestamp>-<data>-<model>. No other run may write
        to it at the same time. During fine-tuning checkpoint.safetensors holds the best
        epoch so far and last.safetensors the last one; if the training fails or is
        interrupted, both stay, and a note of the error names them.
    source
        The arguments "data" and "data_dir" of `load`, those on its parts as a dictionary
        "division", and the others as a dictionary "reading", kept in config.json so that
        the run can be resumed and evaluated.
    report
        A callback or several, called with `done` = 0 when a phase begins, then after each
        step; `values` hold the measurements, "seconds" of the step or
        "images_per_second".
    **options
        Fields of `Options` and of `models.FineTuning`; see `training.options.resolve`.

    Returns
    -------
    Result
        The run, the model and its confusion matrix.

    Raises
    ------
    ConfigError
        If an option is unknown or out of its range, the folder holds other files, or
        another run writes to it.
    BackendError
        If the device is not available.
    DataError
        If there is only one class, or if there are too few patches.
    ShapeError
        If the images are too small for the model.
    GradientError
        If the loss becomes NaN or infinite; checkpoint.safetensors then holds the best
        epoch.

    Warns
    -----
    DataWarning
        If the run that this one begins with has seen images of the test or the validation
        part.
    TrainingWarning
        If the last line of metrics.jsonl, filters.png, test.json, README.txt or
        report.html cannot be written.

    Examples
    --------
    >>> from tinygrad_ckn.data import load_digits
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     result = train(load_digits(), n_patches=2000, out=f"{parent}/run")
    ...     result.accuracy > 0.9, (result.run.folder / "README.txt").is_file()
    (True, True)
    """
    chosen = resolve(dataset.name, **with_source(options))
    if dataset.n_classes < 2:
        raise DataError(
            f"{dataset.name}: expected images of two classes or more, got only class "
            f"{dataset.class_names[0]!r}; add images of others"
        )
    random = default_rng(chosen.seed)
    model = new_model(chosen, dataset, random)
    seen = seen_parts(chosen, dataset)
    config = {
        "data": {
            **(source or {}),
            **description_of(dataset),
            **({"seen_before": seen} if seen else {}),
        },
        "options": asdict(chosen),
        "model": model.config(),
    }
    with claim(out, f"{dataset.name}-{chosen.model}") as claimed:
        run = Run.start(claimed.folder, config)
        with noting_kept_files(run):
            return complete(run, model, dataset, chosen, random, combined(report))


def new_model(options: Options, dataset: Dataset, random: Generator) -> CKN | CNN:
    """Return the model that a training begins with, on its device.

    Its weights are drawn from `random`; those of `init_from` are taken from that run.
    """
    if options.init_from is not None:
        return transferred(options, dataset, random).to(options.device)
    return build(
        options.model,
        in_channels=dataset.in_channels,
        image_size=dataset.image_size,
        n_classes=dataset.n_classes,
        preprocessing=options.preprocessing,
        mirror_average=options.mirror_average,
        rng=random,
    ).to(options.device)


def complete(
    run: Run,
    model: CKN | CNN,
    dataset: Dataset,
    options: Options,
    random: Generator,
    report: Callable[[Progress], None],
    resume: Path | None = None,
) -> Result:
    """Fit, save, measure and draw in a claimed folder; from a saved state, if there is one."""
    with signals_caught() as signals:
        extra = _extra_reports(run, options)
        recorder = Recorder(
            run, combined([report, *extra]), _n_descended(dataset, options), options, signals
        )
        if resume is not None:
            recorder.resume(record_of(resume))
            _repeat(run, extra)
        if run.model_path.exists():
            # The process was killed before the model was measured.
            model = run.load()
        else:
            _fit(model, dataset, options, random, recorder, resume)
            signals.deferred = False
            signals.check()
        run.save(model)
        recorder.measure("save")
        profiling.lap("save")
        model.eval()
        predictions = None
        if dataset.test is not None:
            predictions = predict(model, dataset.test, report=report)
        recorder.measure("evaluate")
        profiling.lap("evaluate")
        return finish(run, model, dataset.test, predictions, recorder)


def _extra_reports(run: Run, options: Options) -> list[Callback]:
    """Return the callbacks that write the epochs to extra files, as the options say."""
    reports: list[Callback] = []
    if options.csv:
        reports.append(CSVLog(run.folder / EPOCHS_CSV))
    if options.tensorboard:
        reports.append(TensorBoard(run.folder / EPOCHS_TENSORBOARD))
    return reports


def _repeat(run: Run, extra: Sequence[Callback]) -> None:
    """Report the epochs in metrics.jsonl to the callbacks of extra files.

    These were written after the state, so that a killed training may lack the last one.
    """
    for record in run.records():
        phase, done, total = (record.pop(name) for name in ("phase", "done", "total"))
        for report in extra if phase == "epoch" else ():
            report(Progress(phase, done, total, record))


def _n_descended(dataset: Dataset, options: Options) -> int:
    """Return the number of images of an epoch of fine-tuning."""
    n = len(dataset.train)
    share = 0.0 if options.descent is None else options.descent["validation"]
    return n if dataset.validation is not None else n - n_held_out(n, share)


@contextmanager
def noting_kept_files(run: Run, *, resuming: bool = False) -> Iterator[None]:
    """Note the files of a failed training; remove a new run without a model."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) and not resuming:
            # After Ctrl-C the measurements stay. The first error is the one to report.
            with suppress(OSError):
                run.discard()
        kept = run.kept()
        if kept is not None:
            error.add_note(kept)
        raise


def _fit(
    model: CKN | CNN,
    dataset: Dataset,
    options: Options,
    random: Generator,
    report: Callable[[Progress], None],
    resume: Path | None,
) -> None:
    """Fit the model to the training images, copied to the device at once."""
    images = dataset.train.images
    labels = dataset.train.labels
    validation = dataset.validation
    if options.device != "cpu":
        images = on_device(images, options.device)
    shared: dict[str, Any] = {
        "data_format": dataset.data_format,
        "descent": options.make_descent(),
        "loss": options.loss,
        "class_weight": read_class_weight(
            options.class_weight, dataset.classes, dataset.class_names
        ),
        "groups": dataset.train.groups,
        "validation_data": None if validation is None else (validation.images, validation.labels),
        "rng": random,
        "report": report,
        "warm_start": options.init_from is not None,
        "resume": resume,
    }
    if isinstance(model, CNN):
        model.fit(images, labels, **shared)
    else:
        if options.init_from is None:
            report(Progress("filters", 0, len(model.layers)))
        model.fit(
            images, labels, n_patches=options.n_patches, iterations=options.iterations, **shared
        )
