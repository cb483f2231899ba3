from collections.abc import Callable

import numpy as np
import pytest

from tinygrad_ckn.data import Dataset, load_digits, split_off
from tinygrad_ckn.models import CKN, CKNLayer


@pytest.fixture(scope="session")
def few_digits() -> Dataset:
    """A tenth of the digits, in proportion, so that a training takes a moment."""
    digits = load_digits()
    rng = np.random.default_rng(0)
    _, train = split_off(digits.train, 0.1, rng)
    _, test = split_off(digits.test, 0.2, rng)
    return Dataset("digits", train, test, digits.n_classes, digits.class_names)


@pytest.fixture
def model() -> CKN:
    """A small model with random weights."""
    return make_model()


@pytest.fixture
def new_model() -> Callable[[], CKN]:
    """A function that makes the same small model again and again."""
    return make_model


def make_model() -> CKN:
    layers = [CKNLayer(1, 4, 3, subsampling=2, rng=1), CKNLayer(4, 5, 3, kernel="arccos1", rng=2)]
    return CKN(1, 8, 3, layers, rng=3).eval()
