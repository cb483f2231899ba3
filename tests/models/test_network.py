"""The learning half of networks: labels, recorded formats, splits and interrupted training."""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_ckn.data import load_digits
from tinygrad_ckn.errors import ConfigError, DataError, DataWarning, NotFittedError
from tinygrad_ckn.models import CKN, CNN, CKNLayer, ConvLayer, FineTuning, Progress
from tinygrad_ckn.models.learning.finetuning_options import hold_out
from tinygrad_ckn.models.linear.l2_search import held_out_indices
from tinygrad_ckn.training import load_model, save_model
from tinygrad_ckn.training.evaluation import probabilities

DIGITS = load_digits().train
IMAGES, NUMBERS = DIGITS.images[:120], DIGITS.labels[:120] % 3


def ckn(n_classes: int = 3) -> CKN:
    return CKN(1, 8, n_classes, [CKNLayer(1, 6, 3, subsampling=4, rng=0)], rng=0)


def fitted(labels: object) -> CKN:
    return ckn().fit(IMAGES, labels, l2=1e-4, n_patches=300, iterations=2, rng=0)


KINDS = {
    "numbers": np.arange(3),
    "from one": np.arange(1, 4),
    "with gaps": np.array([-7, 0, 40]),
    "words": np.array(["ant", "bee", "cat"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_any_kind_give_the_same_model_and_come_back(kind: str) -> None:
    values = KINDS[kind]
    plain, model = fitted(NUMBERS), fitted(values[NUMBERS])
    np.testing.assert_array_equal(model.classifier.weight.numpy(), plain.classifier.weight.numpy())
    predicted = model.predict(IMAGES)
    np.testing.assert_array_equal(predicted, values[plain.predict(IMAGES)])
    assert model.classes == tuple(values.tolist())
    assert model.accuracy(IMAGES, values[NUMBERS]) == plain.accuracy(IMAGES, NUMBERS)
    assert (
        model.accuracy(IMAGES, (values[NUMBERS]).tolist()) == (predicted == values[NUMBERS]).mean()
    )


def test_booleans_come_back_as_booleans() -> None:
    model = ckn(2).fit(IMAGES, NUMBERS == 1, l2=1e-4, n_patches=300, iterations=2, rng=0)
    assert model.classes == (False, True)
    assert model.predict(IMAGES).dtype == bool


@settings(max_examples=20, deadline=None)
@given(factor=st.sampled_from([255, 1 / 255, 1 / 3, 3]))
def test_images_are_compared_with_the_scale_of_the_training_images(factor: float) -> None:
    model, other = fitted(NUMBERS), np.float32(factor) * IMAGES[:9]
    calls = (model.predict, model.scores, model.encode, lambda x: model.accuracy(x, NUMBERS[:9]))
    for call in calls:
        if factor in (3, 1 / 3):
            call(other)
            continue
        with pytest.raises(
            DataError, match=r"^CKN: argument images: expected images scaled as the training images"
        ):
            call(other)
    with pytest.raises(DataError) if factor in (255, 1 / 255) else pytest.MonkeyPatch.context():
        model.fit_classifier(other, NUMBERS[:9], l2=1e-4)
    model.data_format = None
    model.predict(other)


def test_some_images_of_another_scale_are_warned_of() -> None:
    model, images = fitted(NUMBERS), IMAGES[:9].copy()
    images[4] *= 255
    with pytest.warns(DataWarning, match="got 1 of 9 images, the first at index 4"):
        model.predict(images)


def test_what_is_decided_at_training_is_kept_by_every_way_to_learn() -> None:
    model = ckn().fit_unsupervised(IMAGES, n_patches=300, iterations=2, rng=0)
    assert model.data_format is not None
    assert model.data_format.classes == ()
    pixels = model.data_format.pixels
    model.fit_classifier(IMAGES[:50], KINDS["words"][NUMBERS[:50]], l2=1e-4)
    assert (model.data_format.pixels, model.classes) == (pixels, ("ant", "bee", "cat"))
    random = ckn()
    random.fit_classifier(IMAGES, NUMBERS, l2=1e-4)
    assert random.data_format is not None
    network = CNN(1, 8, 3, [ConvLayer(1, 4, 3, subsampling=4)], rng=0)
    network.fit(IMAGES, KINDS["words"][NUMBERS], descent=FineTuning(epochs=1), l2=1e-4, rng=0)
    assert network.predict(IMAGES[:2]).dtype.kind == "U"


def test_a_second_fit_describes_its_own_images() -> None:
    model = fitted(NUMBERS)
    model.fit(255 * IMAGES, KINDS["words"][NUMBERS], l2=1e-4, n_patches=300, iterations=2, rng=0)
    assert model.data_format is not None
    assert model.data_format.pixels.high == 255
    assert model.predict(255 * IMAGES[:3]).dtype.kind == "U"


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
@pytest.mark.parametrize("l2", [None, 1e-4])
def test_scores_have_a_temperature_after_every_fit(loss: str, l2: float | None) -> None:
    model = ckn().fit(IMAGES, NUMBERS, loss=loss, l2=l2, n_patches=300, iterations=2, rng=0)
    assert model.temperature not in (None, 1.0)
    with_labels = model.temperature
    model.fit_classifier(IMAGES[:9], NUMBERS[:9], loss=loss, l2=l2)
    assert model.temperature not in (None, 1.0, with_labels)


def test_copies_of_an_image_are_held_out_together() -> None:
    """Repeated images do not change the choice of l2, which would be made on copies."""
    rng = np.random.default_rng(0)
    images = np.clip(DIGITS.images[:150] + rng.normal(0, 0.6, (150, 1, 8, 8)), 0, 1).astype(
        np.float32
    )
    labels = DIGITS.labels[:150]
    model = ckn(10).fit(images, labels, n_patches=500, iterations=2, rng=0)
    seen: list[float] = []

    def watch(progress: Progress) -> None:
        if progress.phase == "l2":
            seen.append(progress.values["held_out_error"])

    model.fit_classifier(np.repeat(images, 4, 0), np.repeat(labels, 4), rng=0, report=watch)
    # with copies on both sides nearly all of them are right
    assert min(seen) > 0.2


def test_groups_stay_together_in_every_split() -> None:
    groups = np.repeat(np.arange(40), 3)
    for seed in range(10):
        rest, held = hold_out(120, 0.25, np.random.default_rng(seed), groups)
        assert not np.isin(groups[rest], groups[held]).any()
        assert sorted([*rest, *held]) == list(range(120))
        aside = held_out_indices(120, np.random.default_rng(seed), groups)
        assert np.bincount(groups[aside]).max() == 3
    np.testing.assert_array_equal(
        hold_out(9, 0.3, np.random.default_rng(0), np.zeros(9, int))[1].size, 3
    )


def refit(model: CKN, **options: object) -> CKN:
    more = {"n_patches": 300, "iterations": 2, "l2": 1e-4, "rng": 1}
    return model.fit(IMAGES, np.array(["ant", "bee", "cat"])[NUMBERS], **{**more, **options})


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("phase", ["k-means", "filters", "classifier"])
def test_a_training_that_is_broken_off_leaves_no_classifier_of_other_features(
    phase: str, mode: str
) -> None:
    model = fitted(NUMBERS)
    getattr(model, mode)()

    def interrupt(progress: Progress) -> None:
        if progress.phase == phase:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refit(model, report=interrupt)
    for copy in (model, deepcopy(model)):
        with pytest.raises(
            NotFittedError,
            match=r"^CKN.predict: expected a classifier fitted on the current features",
        ):
            copy.predict(IMAGES)
    assert refit(model).accuracy(IMAGES, np.array(["ant", "bee", "cat"])[NUMBERS]) > 0.5


def test_new_filters_without_labels_leave_no_classifier_of_the_old_ones() -> None:
    model = (
        fitted(NUMBERS).fit_unsupervised(IMAGES[::-1], n_patches=300, iterations=2, rng=1).eval()
    )
    with pytest.raises(
        NotFittedError, match=r"before the last training, .*; call fit, or fit_classifier"
    ):
        model.scores(IMAGES)
    model.fit_classifier(IMAGES, NUMBERS, l2=1e-4, rng=0)
    assert model.accuracy(IMAGES, NUMBERS) > 0.5


@pytest.mark.parametrize(
    "options",
    [{"n_patches": 0}, {"iterations": 0}, {"iterations": 1.5}, {"l2": -1.0}, {"loss": "no"}],
)
def test_wrong_options_leave_a_fitted_model_as_it_is(options: dict[str, object]) -> None:
    model = fitted(NUMBERS)
    before = model.predict(IMAGES)
    with pytest.raises(ConfigError):
        refit(model, **options)
    np.testing.assert_array_equal(model.predict(IMAGES), before)


def test_a_classifier_that_was_not_fitted_changes_no_classes() -> None:
    model = fitted(NUMBERS)
    before = model.predict(IMAGES)
    with pytest.raises(ConfigError):
        model.fit_classifier(IMAGES, np.array(["ant", "bee", "cat"])[NUMBERS], l2=-1.0)
    np.testing.assert_array_equal(model.predict(IMAGES), before)


def test_a_classifier_of_other_features_is_none_after_loading_either(tmp_path) -> None:
    model = fitted(NUMBERS)
    model.fit_unsupervised(IMAGES, n_patches=300, iterations=2, rng=1)
    for path in (tmp_path / "m.safetensors", tmp_path / "again.safetensors"):
        save_model(model, path)
        model = load_model(path)
        with pytest.raises(NotFittedError, match="before the last training"):
            model.predict(IMAGES)
    model.fit_classifier(IMAGES, NUMBERS, l2=1e-4)
    save_model(model, tmp_path / "m.safetensors")
    assert load_model(tmp_path / "m.safetensors").predict(IMAGES).shape == (120,)


def weights_of(model: CKN) -> np.ndarray:
    return model.classifier.weight.numpy()


@pytest.mark.parametrize("descent", [None, FineTuning(epochs=1, batch_size=40)])
def test_images_of_weight_0_are_as_if_they_were_not_there(descent: FineTuning | None) -> None:
    kept = np.arange(120) % 4 > 0
    options = {"descent": descent, "n_patches": 300, "iterations": 2}
    without = ckn().fit(IMAGES[kept], NUMBERS[kept], rng=0, **options)
    weighted = ckn().fit(IMAGES, NUMBERS, sample_weight=kept, rng=0, **options)
    np.testing.assert_array_equal(weights_of(weighted), weights_of(without))
    assert weighted.temperature == pytest.approx(without.temperature, rel=1e-6)
    # A class of weight 0 is left out, too.
    two = ckn().fit(IMAGES, NUMBERS, class_weight={2: 0}, rng=0, **options)
    assert set(two.predict(IMAGES).tolist()) <= {0, 1}


def test_equal_weights_change_no_bit() -> None:
    plain = ckn().fit(IMAGES, NUMBERS, n_patches=300, iterations=2, rng=0)
    options = {"sample_weight": np.full(120, 2.0), "class_weight": {0: 3, 1: 3, 2: 3}}
    weighted = ckn().fit(IMAGES, NUMBERS, n_patches=300, iterations=2, rng=0, **options)
    np.testing.assert_array_equal(weights_of(weighted), weights_of(plain))


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
def test_weights_of_classes_go_by_label_and_favour_the_class(loss: str) -> None:
    words = KINDS["words"][NUMBERS]
    model = ckn().fit(IMAGES, words, n_patches=300, iterations=2, rng=0)
    plain = (model.predict(IMAGES) == "bee").mean()
    model.fit_classifier(IMAGES, words, loss=loss, l2=1e-4, class_weight={"bee": 50.0})
    assert (model.predict(IMAGES) == "bee").mean() > plain + 0.05
    model.fit_classifier(IMAGES, words, loss=loss, l2=1e-4, class_weight={"bee": 0.02})
    assert (model.predict(IMAGES) == "bee").mean() < plain


def test_weights_that_do_not_fit_are_refused_before_anything_is_learned() -> None:
    model = fitted(NUMBERS)
    before = weights_of(model).copy()
    for options, error, message in (
        ({"class_weight": "even"}, ConfigError, "fit: argument class_weight expected 'balanced'"),
        ({"class_weight": {"ant": 1}}, ConfigError, "CKN: argument class_weight expected labels"),
        ({"sample_weight": np.ones(3)}, DataError, "CKN: argument sample_weight expected 120"),
        ({"sample_weight": NUMBERS == 1}, DataError, "of two classes or more, got them for 1"),
    ):
        with pytest.raises(error, match=message):
            model.fit(IMAGES, NUMBERS, **options)
        np.testing.assert_array_equal(weights_of(model), before)
        assert model.predict(IMAGES[:2]).shape == (2,)


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_go_with_the_classes_predicted(kind: str) -> None:
    model = fitted(KINDS[kind][NUMBERS])
    p = model.predict_proba(IMAGES)
    assert p.shape == (120, 3)
    assert p.dtype == "float64"
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(np.array(model.classes)[p.argmax(axis=1)], model.predict(IMAGES))
    np.testing.assert_array_equal(p, probabilities(model, IMAGES))


def test_probabilities_are_refused_where_there_are_none() -> None:
    with pytest.raises(NotFittedError, match=r"CKN\.predict_proba: expected a classifier that was"):
        ckn().predict_proba(IMAGES)
    model = fitted(NUMBERS)
    # As in a file of an earlier version.
    model.temperature = None
    with pytest.raises(ConfigError, match=r"CKN\.predict_proba: expected a model whose scores are"):
        model.predict_proba(IMAGES)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
def test_after_fine_tuning_scores_are_calibrated_on_the_validation_set(loss: str) -> None:
    temperatures: list[float | None] = []

    def look(progress: Progress) -> None:
        if progress.phase in ("start", "epoch"):
            temperatures.append(model.temperature)

    model = ckn()
    descent = FineTuning(epochs=2, batch_size=40, validation=0.25)
    options = {"loss": loss, "n_patches": 300, "iterations": 2, "rng": 0}
    model.fit(IMAGES, NUMBERS, descent=descent, report=look, **options)
    assert len(temperatures) == 3
    assert all(temperature and temperature > 0 for temperature in temperatures)
    assert model.temperature not in (None, 1.0, *temperatures)
