"""A training from data set to run folder: learn, save, measure once on the test part."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from tinygrad_ckn import plots, profiling
from tinygrad_ckn.backend import asarray, default_rng
from tinygrad_ckn.data import Dataset
from tinygrad_ckn.errors import DataError, MissingPackageError, TrainingWarning
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.fingerprints import as_text
from tinygrad_ckn.models import CKN, CNN, Progress, build
from tinygrad_ckn.models.learning.finetuning_options import n_held_out
from tinygrad_ckn.models.learning.progress import no_report
from tinygrad_ckn.training import metrics
from tinygrad_ckn.training.evaluation import evaluate
from tinygrad_ckn.training.folder import claim
from tinygrad_ckn.training.options import Options, resolve
from tinygrad_ckn.training.run import Run


@dataclass(frozen=True, eq=False)
class Result:
    """What a training gave.

    Attributes
    ----------
    run
        The folder with its files.
    model
        The trained model, in eval mode, on the device it was trained on.
    confusion
        Of the test images: (k, k), row: true class, column: predicted class.
    seconds
        By phase: "filters", "classifier", "epoch" (all of them), "save", "evaluate".
    peak_memory
        Bytes of host memory that this process had at most; None where the system does
        not say.
    """

    run: Run
    model: CKN | CNN
    confusion: metrics.Confusion
    seconds: dict[str, float]
    peak_memory: int | None

    @property
    def total(self) -> int:
        """The number of test images."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """The number of test images whose class was recognised."""
        return int(self.confusion.trace())

    @property
    def accuracy(self) -> float:
        """The share of test images whose class was recognised."""
        return metrics.accuracy(self.confusion)


def train(
    dataset: Dataset,
    *,
    out: PathLike | None = None,
    source: Mapping[str, str | None] | None = None,
    report: Callable[[Progress], None] = no_report,
    **options: Any,
) -> Result:
    """Train a preset on a data set, save it, measure it on the test images, once, at the end, and draw its filters.

    The same seed gives the same model on the same device, libraries and number of threads.

    Parameters
    ----------
    dataset
        From `tinygrad_ckn.data.load`, or made of two Splits.
    out
        The run's folder: new, empty, or with nothing but a run that had learned nothing
        yet; None: runs/<timestamp>-<data>-<model>. No other training may write to it at
        the same time. In a descent checkpoint.safetensors is the best epoch so far and
        last.safetensors the last one; both stay where a training fails or is broken
        off, and a note with the error names them.
    source
        The arguments "data" and "data_dir" of `load`, kept in config.json so that the
        run can be evaluated again.
    report
        Called as it goes on: with `done` = 0 when a phase begins, then after each step;
        `values` hold what was measured, "seconds" of the step or "images_per_second".
    **options
        model, mode, preprocessing, mirror_average, loss, n_patches, iterations, seed, device,
        and the fields of `models.FineTuning`: see `training.options.resolve`.

    Raises
    ------
    ConfigError
        If an option is out of its range, the folder holds something, or another
        training writes to it.
    BackendError
        If the device is not there.
    DataError
        If the data cannot be trained on: one class only, too few patches.
    ShapeError
        If the images are too small for the model.
    GradientError
        If the loss becomes NaN or infinite; the parameters of the best epoch are then
        in checkpoint.safetensors.

    Examples
    --------
    >>> from tinygrad_ckn.data import load_digits
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     result = train(load_digits(), n_patches=2000, out=f"{parent}/run")
    ...     result.accuracy > 0.9, sorted(path.name for path in result.run.folder.iterdir())
    (True, ['config.json', 'filters.png', 'metrics.jsonl', 'model.safetensors'])
    """
    chosen = resolve(dataset.name, **options)
    if dataset.n_classes < 2:
        raise DataError(
            f"{dataset.name}: expected images of two classes or more, got class {dataset.class_names[0]!r} alone; add "
            "images of others"
        )
    random = default_rng(chosen.seed)
    model = build(
        chosen.model,
        in_channels=dataset.in_channels,
        image_size=dataset.image_size,
        n_classes=dataset.n_classes,
        preprocessing=chosen.preprocessing,
        mirror_average=chosen.mirror_average,
        rng=random,
    ).to(chosen.device)
    config = {
        "data": {**(source or {}), **_description(dataset)},
        "options": asdict(chosen),
        "model": model.config(),
    }
    with claim(out, f"{dataset.name}-{chosen.model}") as claimed:
        run = Run.begin(claimed.folder, config)
        with _telling_what_is_kept(run):
            return _train(run, model, dataset, chosen, random, report)


def _train(
    run: Run,
    model: CKN | CNN,
    dataset: Dataset,
    options: Options,
    random: Any,
    report: Callable[[Progress], None],
) -> Result:
    """Learn, save, measure and draw, in a folder that is this training's alone."""
    recorder = _Recorder(run, model, report, len(dataset.train), options)
    _fit(model, dataset, options, random, recorder)
    run.save(model)
    recorder.measure("save")
    profiling.lap("save")
    confusion = evaluate(model.eval(), dataset.test, report=report)
    recorder.measure("evaluate")
    profiling.lap("evaluate")
    result = Result(run, model, confusion, recorder.seconds, peak_memory())
    record = {
        "phase": "test",
        "accuracy": result.accuracy,
        "correct": result.correct,
        "total": result.total,
        "confusion": confusion.tolist(),
        "seconds": result.seconds,
        "peak_memory": result.peak_memory,
    }
    # The model is saved and measured: what cannot be written beside it is no reason to
    # lose the result.
    with _warning_instead(run, "the line of the test in metrics.jsonl"):
        run.log(record)
    with _warning_instead(run, "filters.png"):
        plots.filters(model, run.folder / "filters.png")
    return result


@contextmanager
def _telling_what_is_kept(run: Run) -> Iterator[None]:
    """Add a note to an error that says what there is of the training; remove the run where it has learned nothing."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception):
            # of one that is broken off with Ctrl-C, the measurements stay
            # the first error is the one to be told of
            with suppress(OSError):
                run.discard()
        kept = run.kept()
        if kept is not None:
            error.add_note(kept)
        raise


@contextmanager
def _warning_instead(run: Run, what: str) -> Iterator[None]:
    """Warn where a file that is no part of the result cannot be written."""
    try:
        yield
    except MissingPackageError as error:
        warnings.warn(str(error), TrainingWarning, stacklevel=4)
    except Exception as error:
        warnings.warn(
            f"train: expected to write {what} in {run.folder}, got {str(error) or type(error).__name__}; the model is "
            "saved all the same",
            TrainingWarning,
            stacklevel=4,
        )


def _fit(
    model: CKN | CNN,
    dataset: Dataset,
    options: Options,
    random: Any,
    report: Callable[[Progress], None],
) -> None:
    """Learn from the training images, moved to the device whole."""
    images, labels = dataset.train.images, dataset.train.labels
    if options.device != "cpu":
        images = asarray(images, device=options.device)
    shared: dict[str, Any] = {
        "data_format": dataset.data_format,
        "descent": options.make_descent(),
        "loss": options.loss,
        "rng": random,
        "report": report,
    }
    if isinstance(model, CNN):
        model.fit(images, labels, **shared)
    else:
        report(Progress("filters", 0, len(model.layers)))
        model.fit(
            images, labels, n_patches=options.n_patches, iterations=options.iterations, **shared
        )


class _Recorder:
    """Hands on what a model reports, with times and rates; keeps it in metrics.jsonl, but for single steps."""

    def __init__(
        self,
        run: Run,
        model: CKN | CNN,
        report: Callable[[Progress], None],
        n_images: int,
        options: Options,
    ) -> None:
        self.run, self.model, self.report = run, model, report
        self.n_images, self.descent = n_images, options.descent
        self.seconds: dict[str, float] = {}
        # seconds
        self._of_epoch = 0.0
        self._since = time.perf_counter()

    def __call__(self, progress: Progress) -> None:
        profiling.lap(progress.phase if progress.done else "preparation")
        if progress.phase == "batch":
            self._of_epoch += self.measure("epoch")
            self.report(self._with(progress, {"images_per_second": self._rate(progress)}))
        elif progress.phase == "kept":
            self.run.log(
                {"phase": "kept", "done": progress.done, "total": progress.total, **progress.values}
            )
            self.report(progress)
        elif progress.phase in ("k-means", "l2") or progress.done == 0:
            # what they led to has a line
            if progress.state is not None:
                self.run.save_checkpoint(self.model, progress.state)
            self.report(progress)
        else:
            seconds = self.measure(progress.phase)
            if progress.phase == "epoch":
                seconds, self._of_epoch = self._of_epoch + seconds, 0.0
                self.run.save_checkpoint(self.model, progress.state)
            progress = self._with(progress, {"seconds": round(seconds, 3)})
            self.run.log(
                {
                    "phase": progress.phase,
                    "done": progress.done,
                    "total": progress.total,
                    **progress.values,
                }
            )
            self.report(progress)

    def measure(self, phase: str) -> float:
        """Return the seconds since the last time something was measured, and add them to the phase."""
        now = time.perf_counter()
        seconds, self._since = now - self._since, now
        self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds
        return seconds

    def _rate(self, progress: Progress) -> float:
        """Return the images a second of the epoch that is on."""
        # not None: where there are batches there is one
        descent: Any = self.descent
        batch_size, seen = (
            int(descent["batch_size"]),
            self.n_images - n_held_out(self.n_images, descent["validation"]),
        )
        # an epoch
        batches = -(-seen // batch_size)
        return min(((progress.done - 1) % batches + 1) * batch_size, seen) / self._of_epoch

    @staticmethod
    def _with(progress: Progress, values: Mapping[str, float]) -> Progress:
        return replace(progress, values={**progress.values, **values})


def peak_memory() -> int | None:
    """Return the bytes of host memory that this process had at most; None where the system does not say."""
    try:
        import resource
    except ImportError:
        # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # kilobytes, but bytes on macOS
    return peak if sys.platform == "darwin" else peak * 1024


def _description(dataset: Dataset) -> dict[str, Any]:
    """Return what config.json says about the data: how they were read, and fingerprints of the images."""
    return {
        "name": dataset.name,
        "train": len(dataset.train),
        "test": len(dataset.test),
        "n_classes": dataset.n_classes,
        **dataset.data_format.config(),
        "fingerprints": {
            "train": as_text(dataset.train.fingerprints),
            "test": as_text(dataset.test.fingerprints),
        },
    }
