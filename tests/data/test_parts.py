import numpy as np
import pytest

from tinygrad_ckn.data import Split, load_digits, split_off
from tinygrad_ckn.data.parts import Parts
from tinygrad_ckn.errors import DataError


def test_the_parts_of_a_dataset_make_it_again() -> None:
    digits = load_digits()
    again = Parts.of(digits).dataset(seed=7)
    assert (again.train, again.test) == (digits.train, digits.test)
    assert (again.name, again.class_names) == ("digits", digits.class_names)


def test_without_a_test_part_a_stratified_fifth_is_one() -> None:
    digits = load_digits()
    parts = Parts.of(digits)._replace(test=None)
    dataset = parts.dataset(seed=3)
    rest, held_out = split_off(digits.train, 0.2, np.random.default_rng(3))
    np.testing.assert_array_equal(dataset.train.images, rest.images)
    np.testing.assert_array_equal(dataset.test.images, held_out.images)


def test_too_few_images_are_refused() -> None:
    digits = load_digits()
    one = digits.train.take(np.array([0]))
    parts = Parts("few", "few.csv", one, None, digits.data_format)
    with pytest.raises(DataError, match=r"^few.csv: expected enough images to hold out 20% of"):
        parts.dataset(seed=0)


def test_groups_that_cannot_be_divided_are_refused() -> None:
    digits = load_digits()
    few = digits.train.take(np.arange(40))
    # Each class is one group.
    split = Split(few.images, few.labels, few.labels)
    parts = Parts("few", "few.csv", split, None, digits.data_format)
    message = r"^few.csv: expected groups of which one can be held out .* got 10 of 40 images of 10"
    with pytest.raises(DataError, match=message):
        parts.dataset(seed=0)
