"""Training sets of networks, checked and prepared."""

from typing import Any

import numpy as np
import pytest

from tinygrad_ckn.data import load_digits
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.models import CKN, CKNLayer

DIGITS = load_digits().train
X, Y = DIGITS.images[:60], DIGITS.labels[:60]
WEIGHTS = np.where(np.arange(60) < 20, 0.0, 1.0)
GROUPS = np.where(np.arange(60) < 20, "left out", np.where(np.arange(60) < 40, "a", "b"))


def new_model(**options: Any) -> CKN:
    return CKN(1, 8, 10, [CKNLayer(1, 4, 3, subsampling=2, rng=0)], rng=0, **options)


def test_images_of_weight_0_are_left_out_with_their_groups() -> None:
    model = new_model(preprocessing="standardize")
    training = model._begin_training(X, Y, None, sample_weight=WEIGHTS, groups=GROUPS)
    assert len(training.labelled.images) == 40
    assert training.labelled.weights is None
    np.testing.assert_array_equal(training.groups, np.repeat([0, 1], 20))
    np.testing.assert_array_equal(training.labelled.images, model.preprocess(X[20:]))
    assert model.data_format is not None
    assert list(training.digests) == ["groups"]


def test_one_group_of_counted_images_is_refused_as_that() -> None:
    groups = np.where(GROUPS == "left out", GROUPS, "a")
    with pytest.raises(DataError, match="argument groups expected two groups or more, got only"):
        new_model()._begin_training(X, Y, None, sample_weight=WEIGHTS, groups=groups)


def test_one_class_and_no_image_are_refused() -> None:
    with pytest.raises(DataError, match="expected two or more classes to train on, got class 3"):
        new_model()._begin_training(X, np.full(60, 3), None)
    with pytest.raises(DataError, match="expected at least one image to train on, got none"):
        new_model()._begin_training(X[:0], Y[:0], None)
