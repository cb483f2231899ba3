"""Callbacks: their methods, several at once, and the end of a descent that they ask for."""

from collections.abc import Callable

import numpy as np
import pytest

from tinygrad_ckn.data import load_digits
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models import CKN, Callback, CKNLayer, FineTuning, Progress, StopTraining
from tinygrad_ckn.models.learning.callbacks import Report, combined

IMAGES = load_digits().train.images[:120]
LABELS = load_digits().train.labels[:120]


def fitted(report: Report, **descent: object) -> CKN:
    model = CKN(1, 8, 10, [CKNLayer(1, 4, 3, subsampling=2, rng=0)], rng=0)
    options = FineTuning(**{"epochs": 3, "batch_size": 40, "lr": 0.01, **descent})
    return model.fit(
        IMAGES, LABELS, descent=options, n_patches=300, iterations=2, rng=0, report=report
    )


class Recording(Callback):
    def __init__(self) -> None:
        self.events: list[str] = []
        self.calls: list[tuple[str, int]] = []

    def event(self, progress: Progress) -> None:
        self.events.append(progress.phase)

    def start(self, progress: Progress) -> None:
        self.calls.append(("start", progress.done))

    def batch(self, progress: Progress) -> None:
        self.calls.append(("batch", progress.done))

    def epoch(self, progress: Progress) -> None:
        self.calls.append(("epoch", progress.done))

    def end(self, progress: Progress) -> None:
        self.calls.append(("end", progress.total))


def stopping(phase: str, done: int) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if (progress.phase, progress.done) == (phase, done):
            raise StopTraining

    return report


def test_each_method_takes_its_events_and_event_takes_all() -> None:
    recording = Recording()
    fitted(recording, epochs=1)
    batches = [("batch", i) for i in (1, 2, 3)]
    assert recording.calls == [("start", 0), *batches, ("epoch", 1), ("end", 1)]
    assert {"k-means", "filters", "classifier", "start", "kept"} <= set(recording.events)


@pytest.mark.parametrize(
    ("phase", "done", "epochs"),
    [("start", 0, 0), ("batch", 1, 0), ("batch", 3, 0), ("epoch", 1, 1), ("batch", 5, 1)],
)
def test_a_stopped_descent_keeps_its_best_epoch_and_fits_the_classifier(
    phase: str, done: int, epochs: int
) -> None:
    first, last = Recording(), Recording()
    stopped = fitted([first, stopping(phase, done), last])
    assert first.calls == last.calls
    assert first.calls[-1] == ("end", epochs)
    assert first.events[-1] == "classifier"
    # The random numbers differ after a part of an epoch.
    if phase != "batch":
        whole = fitted(lambda progress: None, epochs=epochs)
        for name, array in whole.state_dict().items():
            np.testing.assert_array_equal(stopped.state_dict()[name], array)


def test_without_a_validation_set_the_parameters_after_the_last_whole_epoch_are_kept() -> None:
    stopped = fitted(stopping("batch", 5), validation=0.0)
    # The learning rate is constant, so that an epoch does not depend on those to come.
    assert np.isfinite(stopped.layers[0].weight.data).all()
    kept = fitted(stopping("epoch", 1), validation=0.0)
    np.testing.assert_array_equal(stopped.layers[0].weight.data, kept.layers[0].weight.data)


def test_a_request_to_stop_at_the_end_changes_nothing() -> None:
    assert fitted(stopping("kept", 0), epochs=0).predict(IMAGES).shape == (120,)
    at_end = Recording()

    class StopAtEnd(Callback):
        def end(self, progress: Progress) -> None:
            raise StopTraining

    fitted([StopAtEnd(), at_end], epochs=1)
    assert at_end.events[-1] == "classifier"


def test_outside_of_a_descent_the_request_ends_the_fit() -> None:
    with pytest.raises(StopTraining):
        fitted(stopping("filters", 1))


@pytest.mark.parametrize("report", [None, 3, [print, None], "print"])
def test_what_is_not_callable_is_refused_before_anything_is_learned(report: object) -> None:
    with pytest.raises(ConfigError, match="fit: argument report expected a function of a models"):
        fitted(report)  # type: ignore[arg-type]


def test_an_error_of_a_callback_is_raised_at_once() -> None:
    seen: list[Progress] = []

    def fail(progress: Progress) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        combined([fail, seen.append])(Progress("epoch", 1, 1))
    assert seen == []
