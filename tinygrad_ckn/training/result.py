"""The result of a training, and the files that tell of it beside the model."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tinygrad_ckn import plots
from tinygrad_ckn.data import Split
from tinygrad_ckn.errors import MissingPackageError, TrainingWarning
from tinygrad_ckn.models import CKN, CNN
from tinygrad_ckn.training import metrics
from tinygrad_ckn.training.evaluation import Predictions
from tinygrad_ckn.training.readme import write_readme
from tinygrad_ckn.training.recorder import Recorder, peak_memory
from tinygrad_ckn.training.report.page import write_report
from tinygrad_ckn.training.report.summary import summarise, write_summary
from tinygrad_ckn.training.run import Run


@dataclass(frozen=True, eq=False)
class Result:
    """Result of a training.

    Attributes
    ----------
    run
        The folder with its files.
    model
        The trained model, in eval mode, on the device it was trained on.
    confusion
        Confusion matrix of the test images, (k, k); row: true class, column: predicted
        class. None: the data set has no test images.
    seconds
        Time by phase: "filters", "classifier", "epoch" (all epochs), "save", "evaluate".
    peak_memory
        Maximum host memory of this process in bytes; None if the system does not say.
    """

    run: Run
    model: CKN | CNN
    confusion: metrics.Confusion | None
    seconds: dict[str, float]
    peak_memory: int | None

    @property
    def total(self) -> int:
        """The number of test images."""
        return 0 if self.confusion is None else int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """The number of test images classified correctly."""
        return 0 if self.confusion is None else int(self.confusion.trace())

    @property
    def accuracy(self) -> float | None:
        """The fraction of test images classified correctly; None without test images."""
        return None if self.confusion is None else metrics.accuracy(self.confusion)


def finish(
    run: Run,
    model: CKN | CNN,
    test: Split | None,
    predictions: Predictions | None,
    recorder: Recorder,
) -> Result:
    """Write what a run has besides its model, and return its result.

    The line of the test in metrics.jsonl comes last: with it the run is finished.

    Warns
    -----
    TrainingWarning
        If a file cannot be written.
    """
    confusion = None
    if predictions is not None:
        confusion = metrics.confusion_matrix(
            predictions.labels, predictions.predicted, model.n_classes
        )
    result = Result(run, model, confusion, recorder.seconds, peak_memory())
    record = {
        "phase": "test",
        "accuracy": result.accuracy,
        "correct": result.correct,
        "total": result.total,
        "confusion": None if confusion is None else confusion.tolist(),
        "seconds": result.seconds,
        "peak_memory": result.peak_memory,
    }
    # The model is saved and measured: if the other files cannot be written, the result is
    # still returned.
    with _warning_instead(run, "filters.png"):
        plots.filters(result.model, run.folder / "filters.png")
    if test is not None and predictions is not None:
        _write_test(run, model, test, predictions, recorder)
    with _warning_instead(run, "README.txt"):
        write_readme(run.folder)
    with _warning_instead(run, "report.html"):
        write_report([run], model=model, test=record)
    with _warning_instead(run, "the line of the test in metrics.jsonl"):
        run.log(record)
    return result


def _write_test(
    run: Run, model: CKN | CNN, test: Split, predictions: Predictions, recorder: Recorder
) -> None:
    """Write test.json."""
    with _warning_instead(run, "test.json"):
        summary = summarise(model, test, predictions)
        write_summary(run.folder, {**summary, "peak_memory": recorder.peaks})


@contextmanager
def _warning_instead(run: Run, file: str) -> Iterator[None]:
    """Warn if a file that is not part of the result cannot be written."""
    try:
        yield
    except MissingPackageError as error:
        warnings.warn(str(error), TrainingWarning, stacklevel=4)
    except Exception as error:
        warnings.warn(
            f"train: expected to write {file} in {run.folder}, got "
            f"{str(error) or type(error).__name__}; the model is saved nevertheless",
            TrainingWarning,
            stacklevel=4,
        )
