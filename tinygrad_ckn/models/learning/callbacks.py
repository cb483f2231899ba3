"""Callbacks of a training: what is called with its events, and may end its descent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.learning.progress import Progress

# What `fit` and `train` take as `report`.
Report: TypeAlias = Callable[[Progress], None] | Sequence[Callable[[Progress], None]]


class StopTraining(Exception):
    """Raised by a callback to end fine-tuning.

    The parameters of the best epoch are kept (without a validation set those after the
    last whole one) and the classifier is fitted, as at the usual end. Raised outside of
    fine-tuning, it ends `fit` as any exception does.
    """


class Callback:
    """Base class of callbacks with a method for each kind of event.

    An instance is passed as `report`, alone or in a list with others. A training that is
    resumed does not repeat events.

    Examples
    --------
    >>> from tinygrad_ckn.models import Callback, FineTuning, StopTraining, build
    >>> class StopWhenGood(Callback):
    ...     def epoch(self, progress):
    ...         if progress.values["validation_accuracy"] >= 0.8:
    ...             raise StopTraining
    >>> from tinygrad_ckn.data import load_digits
    >>> digits = load_digits().train.take(np.arange(300))
    >>> model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10, rng=0)
    >>> descent = FineTuning(epochs=50, lr=1e-4)
    >>> epochs = []
    >>> report = [StopWhenGood(), lambda event: epochs.append(event.phase == "epoch")]
    >>> _ = model.fit(
    ...     digits.images, digits.labels, descent=descent, n_patches=1000, rng=0, report=report
    ... )
    >>> sum(epochs)
    1
    """

    def __call__(self, progress: Progress) -> None:
        """Call `event`, and then the method for the event's phase."""
        self.event(progress)
        if progress.phase == "start":
            self.start(progress)
        elif progress.phase == "batch":
            self.batch(progress)
        elif progress.phase == "epoch":
            self.epoch(progress)
        elif progress.phase == "kept":
            self.end(progress)

    def event(self, progress: Progress) -> None:
        """Take any event, also those of k-means, filters and classifier."""

    def start(self, progress: Progress) -> None:
        """Take the start of fine-tuning, before its first epoch."""

    def batch(self, progress: Progress) -> None:
        """Take a step of fine-tuning."""

    def epoch(self, progress: Progress) -> None:
        """Take the end of an epoch, with its measurements."""

    def end(self, progress: Progress) -> None:
        """Take the end of fine-tuning, when the parameters of the best epoch are back."""


def combined(report: Report) -> Callable[[Progress], None]:
    """Return one callback that calls all of several with each event, in order.

    If some of them raise StopTraining, the others are called before it is raised.

    Raises
    ------
    ConfigError
        If one is not callable.
    """
    if callable(report):
        return report
    if not isinstance(report, Sequence) or not all(callable(one) for one in report):
        raise ConfigError(
            "fit: argument report expected a function of a models.Progress, a models.Callback or "
            f"a list of these, got {report!r}"
        )
    reports = tuple(report)

    def report_to_all(progress: Progress) -> None:
        stop = None
        for one in reports:
            try:
                one(progress)
            except StopTraining as request:
                stop = stop or request
        if stop is not None:
            raise stop

    return report_to_all
