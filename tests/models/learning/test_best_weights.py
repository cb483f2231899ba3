"""A descent that gets worse says so, and says at the end which epoch it kept."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest

from tinygrad_ckn.errors import TrainingWarning
from tinygrad_ckn.models import CKN, LinearFit, Progress
from tinygrad_ckn.models.learning import finetuning

Data = tuple[np.ndarray, np.ndarray]
Start = Callable[..., CKN]
Run = Callable[..., list[Progress]]


def parts(digits: Data, model: CKN) -> dict[str, Data]:
    """Return training images, and 50 validation images labelled with the model's predictions."""
    return {"seen": digits, "unseen": (digits[0][:50], model.predict(digits[0][:50]))}


def with_accuracies(model: CKN, accuracies: list[float]) -> Callable[[], LinearFit]:
    """Return a solver after which given shares of the validation images are right."""
    rights = iter(accuracies)
    weight, bias = (p.data.copy() for p in model.classifier.parameters())

    def solve() -> LinearFit:
        model.classifier.weight.data, model.classifier.bias.data = weight, bias
        right.append(next(rights))
        return LinearFit(None, None, l2=0.0, scale=1.0)

    right: list[float] = []
    model.right = right
    return solve


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def validate(loop: finetuning._Loop) -> dict[str, float]:
        accuracy = loop.model.right[-1]
        return {"validation_accuracy": accuracy, "validation_loss": 1.0} if loop.validates else {}

    monkeypatch.setattr(finetuning._Loop, "_validate", validate)


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("accuracies", "fallen"),
    [
        ([0.9, 0.89, 0.885, 0.9, 0.881], []),
        ([0.9, 0.95, 0.93, 0.9299, 0.95], [3]),
        # one fall, told once
        ([0.9, 0.1, 0.2, 0.3, 0.85], [1]),
        ([0.9, 0.1, 0.9, 0.1, 0.9], [1, 3]),
        ([0.5, 0.6, 0.7, 0.8, 0.75], [4]),
    ],
)
def test_each_fall_below_the_best_by_more_than_two_points_is_told_once(
    started: Start, run_descent: Run, digits: Data, accuracies: list[float], fallen: list[int]
) -> None:
    model = started()
    told: list[tuple[int, str]] = []
    epochs = [0]

    def look(progress: Progress) -> None:
        if progress.phase == "epoch":
            epochs.append(progress.done)

    options = {
        "epochs": 4,
        "lr": 1e-6,
        "refit_classifier_every": 1,
        "solve": with_accuracies(model, accuracies),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, category, *rest: told.append(
            (epochs[-1], str(message))
        )
        run_descent(model, **parts(digits, model), **options, report=look)
    assert [epoch for epoch, _ in told] == fallen
    for epoch, message in told:
        best = max(accuracies[:epoch])
        which = "the start" if accuracies.index(best) == 0 else f"epoch {accuracies.index(best)}"
        assert message == (
            "fit: expected a rising validation accuracy, "
            f"got {accuracies[epoch]:.4f} in epoch {epoch} after "
            f"{best:.4f} of {which}, which is kept unless a later epoch is better; lower lr (1e-06)"
        )


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("accuracies", [[0.9, 0.89, 0.885], [0.9, 0.89, 0.95], [0.9, 0.95, 0.94]])
def test_the_end_says_which_epoch_was_kept(
    started: Start, run_descent: Run, digits: Data, accuracies: list[float]
) -> None:
    model = started()
    options = {
        "epochs": 2,
        "lr": 1e-6,
        "refit_classifier_every": 1,
        "solve": with_accuracies(model, accuracies),
    }
    events = run_descent(model, **parts(digits, model), **options, whole=True)
    assert events[0] == Progress(
        "start", 0, 2, {"lr": 1e-6, "validation_accuracy": 0.9, "validation_loss": 1.0}
    )
    best = max(accuracies)
    assert events[-1] == Progress("kept", accuracies.index(best), 2, {"validation_accuracy": best})
    states = [event.state for event in events if event.phase in ("start", "epoch")]
    assert [(s.stage, s.done, s.descent.epoch, s.descent.epochs) for s in states] == [
        ("start", 0, 0, 2),
        ("epoch", 1, 1, 2),
        ("epoch", 2, 2, 2),
    ]


def test_a_warning_that_is_made_an_error_comes_after_the_epoch_was_reported(
    started: Start, run_descent: Run, digits: Data
) -> None:
    model, epochs = started(), []
    with pytest.raises(TrainingWarning, match=r"in epoch 1 after 1\.0000 of the start"):
        run_descent(model, **parts(digits, model), lr=3.0, report=lambda p: epochs.append(p.phase))
    assert epochs[-1] == "epoch"


def test_without_images_held_out_the_last_epoch_is_kept(started: Start, run_descent: Run) -> None:
    assert run_descent(started(), epochs=2, whole=True)[-1] == Progress("kept", 2, 2, {})
    assert [event.phase for event in run_descent(started(), epochs=0, whole=True)] == ["start"]
