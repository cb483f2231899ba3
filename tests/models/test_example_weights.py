import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_sample_weight

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.models.example_weights import (
    check_class_weight,
    check_weights,
    example_weights,
)

CLASSES = ("ant", "bee", "cow", "dog")
labels = st.lists(st.integers(0, 2), min_size=2, max_size=30).filter(lambda x: len(set(x)) > 1)


@given(numbers=labels, weight=st.floats(0.1, 10))
def test_weights_of_classes_are_those_of_scikit_learn(numbers, weight):
    numbers = np.array(numbers)
    by_label = {"ant": 1.0, "bee": weight, "cow": 1.0}
    of_present = {i: by_label[CLASSES[i]] for i in set(numbers.tolist())}
    for class_weight, of_numbers in (
        ("balanced", "balanced"),
        ({"bee": weight}, of_present),
    ):
        found = example_weights("fit", numbers, CLASSES, class_weight, None)
        expected = compute_sample_weight(of_numbers, numbers)
        if found is None:
            found = np.full(len(numbers), expected[0])
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@given(numbers=labels, data=st.data())
def test_a_weight_of_two_is_an_image_twice_for_balanced_classes_too(numbers, data):
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=30, max_size=30)))
    numbers = np.array(numbers)
    counts = counts[: len(numbers)]
    repeated = np.repeat(numbers, counts)
    if len(set(repeated.tolist())) < 2:
        return
    weighted = example_weights("fit", numbers, CLASSES, "balanced", counts)
    plain = example_weights("fit", repeated, CLASSES, "balanced", None)
    weighted = np.ones(len(numbers)) if weighted is None else weighted
    plain = np.ones(len(repeated)) if plain is None else plain
    sums = [np.bincount(n, w, 3) for n, w in ((numbers, weighted), (repeated, plain))]
    np.testing.assert_allclose(sums[0] / sums[0].sum(), sums[1] / sums[1].sum(), rtol=1e-12)


def test_equal_weights_are_none():
    numbers = np.array([0, 1, 1, 0])
    for class_weight, sample_weight in (
        (None, np.full(4, 3.0)),
        ("balanced", None),
        ({"ant": 2, "bee": 2}, [1, 1, 1, 1]),
    ):
        assert example_weights("fit", numbers, CLASSES, class_weight, sample_weight) is None


def test_weights_come_as_any_array_of_numbers():
    for weights in ([1, 0], np.array([True, False]), Tensor([1.0, 0.0]), (1.0, 0)):
        np.testing.assert_array_equal(check_weights("fit", weights, 2), [1.0, 0.0])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], r"expected 2 numbers, one for each example, got float64 of shape \(1,\)"),
        (["a", "b"], "expected 2 numbers, one for each example, got <U1"),
        ([1.0, -2.0], "expected finite numbers >= 0, got -2 at index 1; give examples"),
        ([np.nan, 1.0], "expected finite numbers >= 0, got nan at index 0"),
        ([np.inf, 1.0], "expected finite numbers >= 0, got inf at index 0"),
        ([0.0, 0.0], "expected some numbers > 0, got zero for each of 2 examples"),
    ],
)
def test_other_weights_get_a_sentence(weights, message):
    with pytest.raises(DataError, match="^fit: argument sample_weight " + message):
        check_weights("fit", weights, 2)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("even", "class_weight expected 'balanced', a mapping of labels to numbers or None, got"),
        ([1, 2], "class_weight expected 'balanced', a mapping"),
        ({"ant": -1}, r"class_weight\['ant'\] expected a finite number >= 0, got -1"),
        ({"ant": "much"}, r"class_weight\['ant'\] expected a finite number >= 0, got 'much'"),
    ],
)
def test_other_weights_of_classes_get_a_sentence(class_weight, message):
    with pytest.raises(ConfigError, match=f"fit: argument {message}"):
        check_class_weight("fit", class_weight)
    with pytest.raises(ConfigError, match=f"fit: argument {message}"):
        example_weights("fit", np.array([0, 1]), CLASSES, class_weight, None)


@pytest.mark.parametrize(("classes", "key"), [(CLASSES, "Bee"), ((0, 1), True), ((0, 1), "1")])
def test_an_unknown_label_is_named(classes, key):
    with pytest.raises(ConfigError, match=f"expected labels of the classes .*, got {key!r}"):
        example_weights("fit", np.array([0, 1]), classes, {key: 2.0}, None)


def test_one_class_that_counts_is_not_enough():
    with pytest.raises(DataError, match="of two classes or more, got them for 'bee' alone"):
        example_weights("fit", np.array([0, 1]), CLASSES, {"ant": 0}, None)
