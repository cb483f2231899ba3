import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinygrad_ckn.data import load, load_csv, load_digits, load_images, load_test
from tinygrad_ckn.data.csv import read_table
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import ConfigError, DataError

DIGITS = load_digits().train
# (n, 64), 0 .. 255
PIXELS = np.rint(DIGITS.images[:200] * 255).astype(int).reshape(200, 64)
LABELS = DIGITS.labels[:200]
NAMES = [f"pixel{i}" for i in range(64)]


def table(
    pixels: np.ndarray, labels: Any, place: str, *, header: bool, separator: str = ",", name="label"
) -> str:
    """A table with the labels first, last, or in the middle."""
    at = {"first": 0, "last": pixels.shape[1]}.get(place, pixels.shape[1] // 2)
    rows = [[*map(str, row)] for row in pixels.tolist()]
    rows = [[*row[:at], str(label), *row[at:]] for row, label in zip(rows, labels, strict=True)]
    if header:
        names = [f"pixel{i}" for i in range(pixels.shape[1])]
        rows.insert(0, [*names[:at], name, *names[at:]])
    return "\n".join(separator.join(row) for row in rows) + "\n"


def read(path: Path, **reading: Any) -> tuple[list[list[int]], list[Any]]:
    images, labels, _, _ = read_table(path, labelled=True, reading=Reading(**reading))
    assert labels is not None
    pixels = np.rint(images.reshape(len(images), -1) * 255).astype(int)
    return pixels.tolist(), labels.tolist()


@given(data=st.data())
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
def test_a_table_is_read_back_exactly_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 40), "images")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32), "seed"))
    high = data.draw(st.sampled_from([2, 17, 256]), "values")
    pixels = rng.integers(0, high, (n, 4))
    if data.draw(st.booleans(), "dark corners"):
        pixels[:, [0, 3]] = 0
    classes = data.draw(st.sampled_from([[0, 1], [1, 7, 9], [*range(10)], ["cat", "dog"]]))
    labels = rng.choice(classes, n).tolist()
    place = data.draw(st.sampled_from(["first", "last", "middle"]), "place")
    header = data.draw(st.booleans(), "header") or place == "middle"
    separator = data.draw(st.sampled_from([",", ";", "\t", " "]), "separator")
    name = data.draw(st.sampled_from(["label", "class", "target", "y"]), "name")
    path = tmp_path / "table.csv"
    text = table(pixels, labels, place, header=header, separator=separator, name=name)
    path.write_text(text, "utf-8")
    said = name if place == "middle" else place
    assert read(path, label=said, header=header) == (pixels.tolist(), labels)
    try:
        found = read(path)
    except DataError as error:
        assert re.search("argument (label|header)$", str(error))
    else:
        # Nothing can be learned from one class, or from one image of each.
        too_few = not header and not 1 < len(set(labels)) <= n / 2
        assert found == (pixels.tolist(), labels) or too_few


@pytest.mark.parametrize("place", ["first", "last"])
def test_the_place_of_digits_without_a_header_is_found(tmp_path: Path, place: str) -> None:
    path = tmp_path / "digits.csv"
    path.write_text(table(PIXELS, LABELS, place, header=False))
    assert read(path) == (PIXELS.tolist(), LABELS.tolist())


@pytest.mark.parametrize("place", ["first", "last"])
def test_two_columns_that_can_be_labels_are_settled_by_the_user(tmp_path: Path, place: str) -> None:
    pixels = np.arange(160).reshape(40, 4) % 3
    path = tmp_path / "ambiguous.csv"
    path.write_text(table(pixels, np.arange(40) % 2, place, header=False))
    with pytest.raises(
        DataError,
        match=r"ambiguous\.csv: expected labels in the first or the last column, got .* both can "
        r"be labels, such as .*; pass first or last as argument label$",
    ):
        load(path)
    assert read(path, label=place) == (pixels.tolist(), [0, 1] * 20)


def test_a_model_remembers_the_column(tmp_path: Path) -> None:
    pixels = np.arange(160).reshape(40, 4) % 3
    path, other = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text(table(pixels, np.arange(40) % 2, "last", header=False))
    like = load(path, label="last").data_format
    assert like.label == "last"
    assert type(like).from_config(like.config()) == like
    # Of one class, which by itself says nothing.
    other.write_text(table(3 * pixels, np.ones(40, int), "last", header=False))
    split, _ = load_test(other, data_format=like)
    assert split.labels.tolist() == [1] * 40
    other.write_text(table(pixels, np.arange(40) % 2, "middle", header=True, name="kind"))
    like = load(other, label="Kind").data_format
    assert like.label == "kind"
    assert load_test(other, data_format=like)[0].labels.tolist() == [0, 1] * 20
    # images alone: the column is left out
    images = load_images(other, data_format=like)
    np.testing.assert_array_equal(np.rint(images.reshape(40, 4) * 255), pixels)
    with pytest.raises(DataError, match="both can be labels"):
        load_test(path, data_format=like)


@pytest.mark.parametrize(("place", "other"), [("first", "last"), ("last", "first")])
def test_a_file_with_the_labels_elsewhere_than_in_training_is_refused(
    tmp_path: Path, place: str, other: str
) -> None:
    path = tmp_path / "digits.csv"
    path.write_text(table(PIXELS, LABELS, place, header=False))
    like = load(path).data_format
    assert like.config().get("label", "first") == place
    path.write_text(table(PIXELS, LABELS, other, header=False))
    with pytest.raises(DataError, match="pass first or last as argument label"):
        load_test(path, data_format=like)
    assert load_test(path, data_format=like, label=other)[0].labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("label", ["kind", "pixel0 "])
def test_a_name_that_the_header_does_not_have_once_is_refused(tmp_path: Path, label: str) -> None:
    path = tmp_path / "named.csv"
    path.write_text("label,pixel0,pixel0\n1,2,3\n")
    with pytest.raises(DataError, match=r"expected a header with one column .*, got label, pixel0"):
        load_csv(path, label=label)
    path.write_text("1,2,3\n")
    with pytest.raises(DataError, match=r"expected a header with one column .*, got no header"):
        load_csv(path, label=label)
    with pytest.raises(ConfigError, match="argument label expected first, last or the name"):
        load_csv(path, label=" ")


def test_words_that_are_labels_are_not_a_header(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text("y,1,3,2,4\nn,5,6,7,9\ny,1,1,2,2\n")
    assert read(path)[1] == ["y", "n", "y"]
    path.write_text("1,cat\n2,dog\n")
    assert read(path) == ([[1], [2]], ["cat", "dog"])
    path.write_text("0,1,2,3,4,class\n9,8,7,7,0\n".replace("4,class", "class"))
    assert read(path) == ([[9, 8, 7, 7]], [0])
