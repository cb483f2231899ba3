import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.errors import DataError
from tinygrad_ckn.labels import MAX_CLASSES, as_labels, class_numbers, classes_of, label_values

INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
NAMES = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=6)
LABELS = st.one_of(
    *(st.lists(kind, min_size=1, max_size=30) for kind in (INTEGERS, NAMES, st.booleans()))
)


@given(labels=LABELS)
def test_labels_are_numbered_in_sorted_order_and_come_back(labels: list[int | str | bool]) -> None:
    values = as_labels(labels, "labels")
    classes = classes_of(values, "labels")
    assert list(classes) == sorted(set(labels))
    assert {type(label) for label in classes} == {type(labels[0])}
    numbers = class_numbers(values, classes, "labels")
    assert numbers.dtype == np.int64
    assert label_values(numbers, classes).tolist() == labels


def test_labels_in_half_precision_give_no_warning() -> None:
    assert as_labels(np.arange(3, dtype=np.float16), "labels").tolist() == [0, 1, 2]


@given(
    labels=st.lists(st.integers(-99, 99), min_size=1, max_size=20),
    dtype=st.sampled_from(["i1", "i8", ">i4", "f4", "f8"]),
)
def test_arrays_lists_and_columns_are_the_same_labels(labels: list[int], dtype: str) -> None:
    array = np.array(labels, dtype=dtype)
    for given_ in (
        array,
        array[:, np.newaxis],
        list(array),
        array.astype(object),
        [float(label) for label in labels],
    ):
        found = as_labels(given_, "labels")
        assert found.dtype == np.int64
        assert found.tolist() == labels


def test_strings_may_be_bytes_or_objects_and_pandas_is_taken() -> None:
    assert as_labels(np.array([b"a", b"bc"]), "labels").tolist() == ["a", "bc"]
    assert as_labels(np.array(["a", "bc"], dtype=object), "labels").tolist() == ["a", "bc"]
    pandas = pytest.importorskip("pandas", reason="pandas comes with the extra [test]")
    assert as_labels(pandas.Series(["a", "bc"]), "labels").tolist() == ["a", "bc"]
    assert as_labels(pandas.Series([2, 1]), "labels").tolist() == [2, 1]
    assert as_labels(pandas.Series(["b", "a"]).astype("category"), "labels").tolist() == ["b", "a"]
    with pytest.raises(
        DataError, match="labels: expected labels of one kind, integers, strings or booleans, got"
    ):
        as_labels(pandas.Series(["a", None]), "labels")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            [1, "a"],
            "expected labels of one kind, integers, strings or booleans, got 'a' at index 1",
        ),
        ([True, 1], "expected labels of one kind, integers, strings or booleans, got 1 at index 1"),
        (
            [None, None],
            "expected labels of one kind, integers, strings or booleans, got None at index 0",
        ),
        (
            [1, [2]],
            "expected labels of one kind, integers, strings or booleans, got [2] at index 1",
        ),
        ([[1], [2, 3]], "expected labels of shape (n,), got list"),
        ([1.0, 1.5], "expected labels that are integers, strings or booleans, got 1.5 at index 1"),
        (
            [1.0, np.nan],
            "expected labels that are integers, strings or booleans, got nan at index 1",
        ),
        (
            [1.0, 2.0**60],
            "expected labels that are integers, strings or booleans, got 1.152921504606847e+18",
        ),
        (np.array([1, 2**64 - 1], np.uint64), "got 18446744073709551615 at index 1"),
        ([1j], "expected labels that are integers, strings or booleans, got complex128"),
        (
            [[0, 1], [1, 0]],
            "expected labels of shape (n,), got int64 of shape (2, 2); give one label per image",
        ),
        (3, "expected labels of shape (n,), got int64 of shape ()"),
        (np.array([b"\xff"]), "expected labels in UTF-8, got others"),
    ],
)
def test_invalid_labels_are_refused(labels: object, message: str) -> None:
    with pytest.raises(
        DataError, match=re.escape(f"y: {message}" if message.startswith("exp") else message)
    ):
        as_labels(labels, "y")


def test_class_numbers_stand_for_themselves_if_their_count_is_known() -> None:
    assert classes_of(np.array([0, 7, 7]), "y", 10) == tuple(range(10))
    assert classes_of(np.array([7, 4]), "y", 2) == (4, 7)
    assert classes_of(np.array([1, 2]), "y", 2) == (1, 2)
    for labels, shown in (
        ([0, 10], "2 different ones: 0, 10"),
        ([-1, 3], "2 different ones: -1, 3"),
        ([], "none"),
    ):
        with pytest.raises(
            DataError,
            match=f"y: expected labels of 10 classes, or class numbers 0 .. 9, got {shown}; b",
        ):
            classes_of(np.array(labels, np.int64), "y", 10)
    with pytest.raises(
        DataError, match=r"expected labels of 3 classes, .* got 2 different ones: 'a', 'b'"
    ):
        classes_of(np.array(["a", "b"]), "y", 3)


def test_identifiers_and_unprintable_strings_are_not_classes() -> None:
    with pytest.raises(
        DataError,
        match="expected at most 65,536 classes, got 65,537 different labels; are they indices",
    ):
        classes_of(np.arange(MAX_CLASSES + 1), "y")
    for name in ("\x1b[31m", "a\tb", "a\nb", " ", ""):
        with pytest.raises(DataError, match="y: expected labels of printable characters, got"):
            classes_of(np.array([name, "b"]), "y")


def test_a_long_string_does_not_take_memory_for_every_label() -> None:
    for labels in (["a", "b" * 201] + ["a"] * 9, np.array(["a", "b" * 201], dtype=object)):
        with pytest.raises(
            DataError, match="y: expected labels of at most 200 characters, got 201 at index 1"
        ):
            as_labels(labels, "y")
    assert as_labels(["a", "b" * 200], "y").dtype == "<U200"


def test_a_label_outside_the_classes_is_refused() -> None:
    with pytest.raises(
        DataError,
        match="y: expected labels of the classes -1, 1, got 0 at index 1; leave its image out",
    ):
        class_numbers(np.array([1, 0]), (-1, 1), "y")
    with pytest.raises(
        DataError, match="y: expected labels of the classes 'a', 'b', got 'c' at index 0"
    ):
        class_numbers(np.array(["c"]), ("a", "b"), "y")
    with pytest.raises(
        DataError,
        match=r"expected labels that are strings, as those of the training images .* got int64",
    ):
        class_numbers(np.array([0]), ("0", "1"), "y")
    with pytest.raises(
        DataError, match="expected labels that are booleans, as those of the training images"
    ):
        class_numbers(np.array([0]), (False, True), "y")
    assert class_numbers(np.array(["zebra", "a"]), ("zebra", "a"), "y").tolist() == [0, 1]
