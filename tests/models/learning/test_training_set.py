"""Groups and validation data given to `fit`."""

import numpy as np
import pytest

from tinygrad_ckn.data import load_digits
from tinygrad_ckn.errors import DataError, ShapeError
from tinygrad_ckn.models import CKN, CNN, CKNLayer, ConvLayer, FineTuning, Progress
from tinygrad_ckn.models.learning import fit as fitting
from tinygrad_ckn.models.learning.state import TrainingState

DIGITS = load_digits().train.take(np.arange(240))
X, Y = DIGITS.images[:160], DIGITS.labels[:160]
VALIDATION = DIGITS.images[160:], DIGITS.labels[160:]
SMALL = {"n_patches": 500, "iterations": 1, "rng": 0}


def new_model() -> CKN:
    return CKN(1, 8, 10, [CKNLayer(1, 8, 3, subsampling=2, rng=0)], rng=0)


def test_groups_stay_on_one_side_of_validation_and_of_the_choice_of_l2(monkeypatch):
    groups = np.arange(160) // 8
    splits = []
    fit_linear = fitting.fit_linear

    def recorded(features, labels, *args, **options):
        splits.append((len(labels), options["groups"]))
        return fit_linear(features, labels, *args, **options)

    monkeypatch.setattr(fitting, "fit_linear", recorded)
    states: list[TrainingState] = []

    def report(progress: Progress) -> None:
        if progress.phase == "start" and progress.state is not None:
            states.append(progress.state)

    descent = FineTuning(epochs=1, lr=0.01)
    new_model().fit(X, Y, groups=groups, descent=descent, report=report, **SMALL)
    held_out = states[0].arrays()["held_out"]
    assert 8 <= len(held_out) <= 32
    assert not np.isin(groups[held_out], np.delete(groups, held_out)).any()
    # Of the classifier before the descent, and of the last one.
    assert [n for n, _ in splits] == [160 - len(held_out), 160]
    for n, numbers in splits:
        assert (len(numbers), len(set(numbers.tolist()))) == (n, n // 8)


def test_groups_stay_together_where_a_classifier_is_fitted(monkeypatch):
    groups = np.arange(160) // 8
    seen = []
    fit_linear = fitting.fit_linear

    def recorded(*args, **options):
        seen.append(options["groups"])
        return fit_linear(*args, **options)

    monkeypatch.setattr(fitting, "fit_linear", recorded)
    model = new_model().fit_unsupervised(X, **SMALL)
    model.fit_classifier(X, Y, groups=groups, rng=0)
    np.testing.assert_array_equal(seen[0], groups)
    with pytest.raises(DataError, match="argument groups expected 160 groups, one per image"):
        model.fit_classifier(X, Y, groups=groups[1:], rng=0)


def test_validation_images_choose_the_epoch_and_are_not_trained_on():
    events: list[Progress] = []
    descent = FineTuning(epochs=2, lr=0.01, batch_size=40)
    model = new_model().fit(
        X, Y, descent=descent, validation_data=VALIDATION, report=events.append, **SMALL
    )
    # 160 images in batches of 40: none is held out.
    assert [p.total for p in events if p.phase == "batch"] == [8] * 8
    kept = next(p for p in events if p.phase == "kept")
    epochs = {p.done: p.values["validation_accuracy"] for p in events if p.phase == "epoch"}
    start = next(p for p in events if p.phase == "start").values["validation_accuracy"]
    assert kept.values["validation_accuracy"] == max(start, *epochs.values())
    # Other images give the same steps, another choice and another temperature.
    other = VALIDATION[0], (VALIDATION[1] + 1) % 10
    again = new_model().fit(X, Y, descent=FineTuning(epochs=0), validation_data=other, **SMALL)
    base = new_model().fit(X, Y, descent=FineTuning(epochs=0), validation_data=VALIDATION, **SMALL)
    np.testing.assert_array_equal(again.classifier.weight.data, base.classifier.weight.data)
    assert again.temperature is not None
    assert base.temperature is not None
    assert again.temperature > 1.5 * base.temperature
    assert model.temperature is not None


def test_without_a_descent_validation_images_calibrate():
    plain = new_model().fit(X, Y, **SMALL)
    model = new_model().fit(X, Y, validation_data=VALIDATION, **SMALL)
    np.testing.assert_array_equal(model.classifier.weight.data, plain.classifier.weight.data)
    assert model.temperature != plain.temperature


def test_a_cnn_takes_both():
    model = CNN(1, 8, 10, [ConvLayer(1, 4, 3, subsampling=2, rng=0)], rng=0)
    descent = FineTuning(epochs=1)
    model.fit(X, Y, groups=np.arange(160) // 8, validation_data=VALIDATION, descent=descent, rng=0)
    assert model.temperature is not None


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        (
            {"groups": [1, 2]},
            DataError,
            "argument groups expected 160 groups, one per image, got 2",
        ),
        ({"groups": ["a"] * 160}, DataError, "expected two groups or more, got only"),
        (
            {"validation_data": X},
            DataError,
            r"validation_data expected \(images, labels\), got nda",
        ),
        ({"validation_data": (X[:, :, 1:], Y)}, ShapeError, "8"),
        (
            {"validation_data": (X, Y + 90)},
            DataError,
            "validation_data, labels: expected labels of",
        ),
        (
            {"validation_data": (99 * X, Y)},
            DataError,
            "argument validation_data: expected images sc",
        ),
    ],
)
def test_wrong_groups_and_validation_data_are_refused(options, kind, message):
    with pytest.raises(kind, match=message):
        new_model().fit(X, Y, **SMALL, **options)


def test_copies_may_join_all_groups():
    images = np.concatenate([X[:20], X[:20]])
    with pytest.raises(DataError, match="got groups that are all joined by copies"):
        new_model().fit(images, np.tile(Y[:20], 2), groups=np.arange(40) // 20, **SMALL)


def test_groups_of_images_without_weight_are_left_out():
    weights = np.ones(160)
    weights[:80:2] = 0
    kept = weights > 0
    groups = np.arange(160) // 8
    model = new_model().fit(X, Y, groups=groups, sample_weight=weights, **SMALL)
    alone = new_model().fit(X[kept], Y[kept], groups=groups[kept], **SMALL)
    np.testing.assert_array_equal(model.classifier.weight.data, alone.classifier.weight.data)
