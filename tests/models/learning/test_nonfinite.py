"""Locating the first array that is not finite."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.models import CKN, CKNLayer
from tinygrad_ckn.models.learning.nonfinite import (
    check_finite_arrays,
    describe_first_nonfinite,
    raise_first_nonfinite,
)


def small() -> CKN:
    return CKN(1, 6, 2, [CKNLayer(1, 3, 3, rng=0), CKNLayer(3, 2, 1, rng=1)], rng=0)


def batch(value: float = 1.0) -> np.ndarray:
    return np.full((2, 1, 6, 6), value, "float32")


def test_the_first_array_is_named() -> None:
    arrays = [("a", np.zeros(2)), ("b", Tensor(np.array([1.0, np.nan]))), ("c", np.array([np.inf]))]
    with pytest.raises(GradientError, match=r"^first in b$"):
        check_finite_arrays(arrays)
    check_finite_arrays(arrays[:1])


@pytest.mark.parametrize(
    ("value", "first"),
    [(np.nan, "the images of the batch"), (1e30, "the map of layers.0")],
)
def test_images_and_maps_are_examined_in_order(value: float, first: str) -> None:
    with np.errstate(over="ignore"), pytest.raises(GradientError, match=f"^first in {first}$"):
        raise_first_nonfinite(small(), batch(value))


def test_weights_of_the_classifier_are_found_by_its_scores() -> None:
    model = small()
    model.classifier.bias.data = model.classifier.bias.data + np.float32(np.inf)
    assert describe_first_nonfinite(model, batch()) == "first in the classifier's scores"


def test_without_any_it_was_the_fit_of_the_classifier() -> None:
    raise_first_nonfinite(small(), batch())
    assert describe_first_nonfinite(small(), batch()) == "first in the classifier"
