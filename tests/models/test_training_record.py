"""The state of training that is saved with a network."""

import json

import numpy as np
import pytest

from tinygrad_ckn.errors import ConfigError, DataError, NotFittedError
from tinygrad_ckn.models import CKN, CKNLayer
from tinygrad_ckn.models.training_record import check_scale


def small() -> CKN:
    return CKN(1, 6, 2, [CKNLayer(1, 3, 3, subsampling=2, rng=0)], rng=0)


def fitted() -> CKN:
    images = np.random.default_rng(0).random((20, 1, 6, 6), dtype="float32")
    return small().fit(images, ["no", "yes"] * 10, n_patches=200, l2=1e-3, rng=0)


def test_classes_without_a_format_are_the_class_numbers() -> None:
    assert small().classes == (0, 1)
    assert fitted().classes == ("no", "yes")


def test_metadata_are_json_and_restore_the_state() -> None:
    model, twin = fitted(), small()
    model.temperature = 2.5
    twin.set_metadata(json.loads(json.dumps(model.metadata())))
    assert twin.data_format == model.data_format
    assert twin.temperature == 2.5
    assert twin.classes == ("no", "yes")


def test_an_outdated_classifier_is_outdated_after_loading() -> None:
    model = fitted()
    model.fit_unsupervised(np.random.default_rng(1).random((20, 1, 6, 6)), n_patches=200, rng=0)
    twin = small().eval()
    twin.load_state_dict(model.state_dict())
    twin.set_metadata(model.metadata())
    with pytest.raises(NotFittedError, match="got one from before the last training"):
        twin.predict(np.zeros((1, 1, 6, 6), "float32"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outdated": 1}, "expected outdated as a bool, got 1"),
        ({"more": 1}, r"expected what metadata\(\) returns, got"),
        ({"temperature": 0}, "expected a temperature > 0 or None, got 0"),
        ({"temperature": "x"}, "expected a temperature > 0 or None, got 'x'"),
    ],
)
def test_other_metadata_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^CKN\.set_metadata: {message}"):
        small().set_metadata(small().metadata() | change)


def test_the_format_of_other_images_is_refused() -> None:
    other = CKN(1, 5, 2, [CKNLayer(1, 3, 3, rng=0)])
    with pytest.raises(ConfigError, match=r"images \(1, 5, 5\) of 2 classes, got .* \(1, 6, 6\)"):
        other.set_metadata(fitted().metadata())


def test_scale_is_compared_only_with_a_known_format() -> None:
    model, images = fitted(), np.full((20, 1, 6, 6), 200.0, "float32")
    with pytest.raises(DataError, match=r"^source: "):
        check_scale(model, images, "source")
    model.data_format = None
    check_scale(model, images, "source")
