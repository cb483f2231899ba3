import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_ckn.data.csv import read_table
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import DataError


def read(
    path: Path, *, labelled: bool = False, reading: Reading | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    return read_table(path, labelled=labelled, reading=reading or Reading())[:2]


def write(folder: Path, text: str) -> Path:
    path = folder / "images.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "7,0,51,102,255\n1,255,0,0,0\n",
        "7,0,51,102,255\n1,255,0,0,0",
        "label,p0,p1,p2,p3\n7,0,51,102,255\n1,255,0,0,0\n",
        '"Label","p0","p1","p2","p3"\r\n7,0,51,102,255\r\n1,255,0,0,0\r\n',
        "\ufefflabel,0,1,2,3,\n7,0,51,102,255,\n1,255,0,0,0,\n",
        "\n7, 0, 51, 102, 255\n\n1,255,0,0,0\n\n",
    ],
)
def test_labels_come_first_and_whole_pixels_are_divided_by_255(tmp_path: Path, text: str) -> None:
    images, labels = read(write(tmp_path, text), labelled=True)
    assert labels is not None
    assert labels.tolist() == [7, 1]
    assert images.dtype == np.float32
    np.testing.assert_array_equal(
        images, np.array([[[[0, 0.2], [0.4, 1]]], [[[1, 0], [0, 0]]]], np.float32)
    )


@pytest.mark.parametrize("row", ["0,1,0.5,300", "0,1,5e-1,300", "0,1,5E-1,300", " 0.0,1,.5,+3e2"])
def test_pixels_with_a_point_or_exponent_are_not_changed(tmp_path: Path, row: str) -> None:
    images, labels = read(write(tmp_path, row), labelled=False)
    assert labels is None
    np.testing.assert_array_equal(images, [[[[0, 1], [0.5, 300]]]])


def test_a_label_with_a_point_says_nothing_about_the_pixels(tmp_path: Path) -> None:
    images, labels = read(write(tmp_path, "3.0,255"), labelled=True)
    assert labels is not None
    assert labels.tolist() == [3]
    assert images.item() == 1


def test_without_labels_a_header_still_names_them(tmp_path: Path) -> None:
    images, labels = read(write(tmp_path, "label,p0\n9,255\n"), labelled=False)
    assert labels is not None
    assert labels.tolist() == [9]
    assert images.shape == (1, 1, 1, 1)
    assert read(write(tmp_path, "p0,p1,p2,p3\n9,255,0,0\n"), labelled=False)[0].shape == (
        1,
        1,
        2,
        2,
    )


@pytest.mark.parametrize(("width", "shape"), [(1, (1, 1, 1)), (4, (1, 2, 2)), (16, (1, 4, 4))])
def test_grey_squares_are_inferred(tmp_path: Path, width: int, shape: tuple[int, int, int]) -> None:
    row = ",".join(str(2 * i) for i in range(width))
    images, _ = read(write(tmp_path, row), labelled=False)
    assert images.shape == (1, *shape)
    np.testing.assert_array_equal(images.ravel() * 255, 2 * np.arange(width))


def test_a_given_shape_is_used(tmp_path: Path) -> None:
    images, _ = read(write(tmp_path, "1,2,3,4,5,7"), reading=Reading(image_shape=(1, 3, 2)))
    assert images.shape == (1, 1, 3, 2)


@given(
    pixels=hnp.arrays(
        np.float32, (3, 4), elements=st.floats(allow_nan=False, allow_infinity=False, width=32)
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_floats_survive_the_round_trip(tmp_path: Path, pixels: np.ndarray) -> None:
    text = "\n".join(",".join(repr(float(pixel)) for pixel in row) for row in pixels)
    images, _ = read(write(tmp_path, text), labelled=False)
    np.testing.assert_array_equal(images.reshape(3, 4), pixels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "images.csv: expected at least one row of numbers, got none"),
        ("label,p0\n", "images.csv: expected at least one row of numbers, got none"),
        ("1,2\n1,2\n1\n", "images.csv, row 3: expected 2 columns as in the rows above, got 1"),
        (
            "label,p0\n1,2\n\n1,2,3\n",
            "images.csv, row 4: expected 2 columns as in the rows above, got 3",
        ),
        ("label,p0\n1,2,3,4,5\n", "images.csv, row 2: expected 2 columns as in the header, got 5"),
        ("1,2\n1,x\n", "images.csv, row 2, column 2: expected a number, got 'x'"),
        ("1,2\n1,1_0\n", "images.csv, row 2, column 2: expected a number, got '1_0'"),
        ("1,2,,\n1,2,,\n", "images.csv, row 1, column 3: expected a number, got ''"),
        ("1,0.5\n1,nan\n", "images.csv, row 2, column 2: expected a finite number, got 'nan'"),
        ("1,0.5\n1,1e39\n", "images.csv, row 2, column 2: expected a finite number, got '1e39'"),
        (
            "1,0\n1,256\n",
            "images.csv: expected integer pixels 0 .. 255, got 256 at index (1, 0, 0, 0)",
        ),
        (
            "1,0\n1,-1\n",
            "images.csv: expected integer pixels 0 .. 255, got -1 at index (1, 0, 0, 0)",
        ),
        (
            "0,1\n\n1.5,1\n",
            "images.csv, row 3, column 1: expected a label that is an integer, got '1.5'",
        ),
        (
            "nan,1\n",
            "images.csv, row 1, column 1: expected a label that is an integer, got 'nan'",
        ),
        ("3,1\n,1\n", "images.csv, row 2, column 1: expected a label, got ''"),
        (
            "1,1\n01,1\n",
            "images.csv, row 2, column 1: expected labels with zeros before all of them or none, "
            "got '01'",
        ),
        (
            "label,p0,id\n3,1,1\n",
            "images.csv, column 3: expected pixels, got 'id' in the header; leave that column",
        ),
        (
            ",label,p0\n0,3,1\n",
            "images.csv, column 1: expected pixels, got '' in the header; leave that column out",
        ),
        (
            "p0,p1\n1,1\n",
            "images.csv: expected a header whose first column is 'label', got 'p0'; pass first, "
            "last or the name of the column of the labels as argument label",
        ),
        ("1\n", "images.csv, row 1: expected a label and pixels, got 1 column"),
        (
            "1,2,3\n",
            "images.csv: expected rows of H*H pixels, which are read as grey squares, got 2; "
            "pass their shape (C, H, W) as argument image_shape",
        ),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        read(write(tmp_path, text), labelled=True)


def test_a_shape_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"images\.csv: expected 6 pixels a row for images 1x2x3, got 4"
    ):
        read(write(tmp_path, "1,2,3,5"), reading=Reading(image_shape=(1, 2, 3)))


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.csv"
    path.write_bytes(b"1,2\n1,\xff\n")
    with pytest.raises(
        DataError, match=r"images\.csv: expected text in UTF-8, got the byte 0xff at byte 6"
    ):
        read(path, labelled=True)


def test_a_refusal_of_the_parser_that_cannot_be_explained_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise ValueError("no reason")

    monkeypatch.setattr(np, "loadtxt", refuse)
    with pytest.raises(DataError, match=r"images\.csv: expected rows of numbers \(no reason\)"):
        read(write(tmp_path, "1,2"), labelled=True)


@given(
    labels=st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=9)
    | st.lists(st.text("abc XYZ-é", min_size=1).map(str.strip).filter(bool), min_size=1, max_size=9)
    | st.lists(st.booleans(), min_size=1, max_size=9),
    header=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_labels_of_every_kind_come_back(
    tmp_path: Path, labels: list[int | str | bool], header: bool
) -> None:
    text = ("label,p0\n" if header else "") + "".join(
        f"{label},{i}\n" for i, label in enumerate(labels)
    )
    images, found = read(write(tmp_path, text), labelled=True)
    assert found is not None
    assert found.tolist() == labels
    np.testing.assert_array_equal(images.ravel() * 255, np.arange(len(labels)))


@pytest.mark.parametrize("name", ["id", "ImageId", "class", "y", "", "Unnamed: 0", "index"])
def test_columns_other_than_pixels_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"expected pixels, got .* in the header"):
        read(write(tmp_path, f"p0,{name},p2,p3\n9,255,0,1\n"))
    with pytest.raises(DataError, match=r"expected pixels, got .* in the header"):
        read(write(tmp_path, f"{name},p1,p2,p3\n9,255,0,1\n"))


def test_labels_with_zeros_before_all_of_them_are_numbers(tmp_path: Path) -> None:
    labels = read(write(tmp_path, "01,1\n10,1\n00,1\n"), labelled=True)[1]
    assert labels is not None
    assert labels.tolist() == [1, 10, 0]
