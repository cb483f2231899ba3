import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_ckn.data import load_digits
from tinygrad_ckn.errors import DataError, DataWarning
from tinygrad_ckn.models import CKN, CNN, CKNLayer, ConvLayer, Descent

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
    assert model.accuracy(IMAGES, (values[NUMBERS]).tolist()) == (predicted == values[NUMBERS]).mean()


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
        with pytest.raises(DataError, match=r"^CKN: argument images: expected images scaled as the training images"):
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
    network.fit(IMAGES, KINDS["words"][NUMBERS], descent=Descent(epochs=1), l2=1e-4, rng=0)
    assert network.predict(IMAGES[:2]).dtype.kind == "U"


def test_a_second_fit_describes_its_own_images() -> None:
    model = fitted(NUMBERS)
    model.fit(255 * IMAGES, KINDS["words"][NUMBERS], l2=1e-4, n_patches=300, iterations=2, rng=0)
    assert model.data_format is not None
    assert model.data_format.pixels.high == 255
    assert model.predict(255 * IMAGES[:3]).dtype.kind == "U"


@pytest.mark.parametrize(("loss", "l2"), [("cross_entropy", None), ("cross_entropy", 1e-4), ("squared_hinge", None)])
def test_scores_have_a_temperature_unless_nothing_was_held_out(loss: str, l2: float | None) -> None:
    model = ckn().fit(IMAGES, NUMBERS, loss=loss, l2=l2, n_patches=300, iterations=2, rng=0)
    assert model.temperature is not None
    assert (model.temperature == 1.0) == (loss == "cross_entropy")
    model.fit(IMAGES, NUMBERS, loss="squared_hinge", l2=1e-4, n_patches=300, iterations=2, rng=0)
    assert model.temperature is None
