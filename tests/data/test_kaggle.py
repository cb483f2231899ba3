import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_ckn.data import load_images, load_labels, load_pixels, save_labels
from tinygrad_ckn.errors import DataError

# R, G and B of a 2x2 image
PLANES = "-1.5,2,3,4,5e1,6,7,8,9,10,11,12e2"


def write(folder: Path, text: str) -> Path:
    path = folder / "file.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize(
    "text", [PLANES, PLANES + ",\n", PLANES + ",\r\n\r\n", "\ufeff" + PLANES + ", \n"]
)
def test_planes_come_one_after_the_other_whatever_ends_the_line(tmp_path: Path, text: str) -> None:
    images = load_pixels(write(tmp_path, text), image_shape=(3, 2, 2))
    assert images.dtype == np.float32
    np.testing.assert_array_equal(
        images, [[[[-1.5, 2], [3, 4]], [[50, 6], [7, 8]], [[9, 10], [11, 1200]]]]
    )


def test_whole_pixels_are_not_divided_and_may_be_negative(tmp_path: Path) -> None:
    path = write(tmp_path, "0,1,2,255\n")
    np.testing.assert_array_equal(load_pixels(path), 255 * load_images(path))
    np.testing.assert_array_equal(
        load_pixels(write(tmp_path, "-7,0,1,300\n")), [[[[-7, 0], [1, 300]]]]
    )


def test_a_header_and_the_labels_it_names_are_left_out(tmp_path: Path) -> None:
    assert load_pixels(write(tmp_path, "p0,p1,p2,p3,\n1,2,3,4,\n")).tolist() == [[[[1, 2], [3, 4]]]]
    assert load_pixels(write(tmp_path, "label,p0,p1,p2,p3\n9,1,2,3,4\n")).tolist() == [
        [[[1, 2], [3, 4]]]
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3,5,\n1,2,3,\n", "file.csv, row 2: expected 4 columns as in the rows above, got 3"),
        ("1,2,3,5,\n1,dog,3,4,\n", "file.csv, row 2, column 2: expected a number, got 'dog'"),
        ("1,2,3,5,\n1,2,,4,\n", "file.csv, row 2, column 3: expected a number, got ''"),
        (
            "1,2,3,5,\n1,2,3,inf,\n",
            "file.csv, row 2, column 4: expected a finite number, got 'inf'",
        ),
        ("1,2,3,5,5,\n", "file.csv: expected 4 pixels a row for images 1x2x2, got 5"),
        ("\n", "file.csv: expected at least one row of numbers, got none"),
    ],
)
def test_bad_pixels_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        load_pixels(write(tmp_path, text), image_shape=(1, 2, 2))


LABELS = {
    "int64": st.integers(-(2**53) + 1, 2**53 - 1),
    "bool": st.booleans(),
    "<U5": st.text("abcé _-", min_size=1, max_size=5),
}


@given(
    labels=st.sampled_from(sorted(LABELS)).flatmap(
        lambda kind: hnp.arrays(
            kind,
            st.integers(1, 30),
            elements=LABELS[kind].map(lambda x: x.strip() or "a" if isinstance(x, str) else x),
        )
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_labels_survive_the_round_trip(tmp_path: Path, labels: np.ndarray) -> None:
    path = tmp_path / "labels.csv"
    save_labels(path, labels)
    read = load_labels(path)
    assert read.dtype.kind == labels.dtype.kind
    np.testing.assert_array_equal(read, labels)


@pytest.mark.parametrize(
    "text",
    [
        "1,3\n2,0\n",
        '"Id","Prediction"\r\n1,3,\r\n2,0,\r\n',
        "Id,Prediction\n1,3\n\n2,0.0",
        "0,3\n1,0",
    ],
)
def test_labels_are_the_second_column(tmp_path: Path, text: str) -> None:
    assert load_labels(write(tmp_path, text)).tolist() == [3, 0]


def test_predictions_are_written_as_kaggle_wants_them(tmp_path: Path) -> None:
    save_labels(tmp_path / "Yte.csv", np.array([7, 10], np.uint8))
    assert (tmp_path / "Yte.csv").read_bytes() == b"Id,Prediction\n1,7\n2,10\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Id,Prediction\n", "file.csv: expected at least one row of an Id and a label, got none"),
        ("Id,Prediction\n1\n", "file.csv, row 2: expected 2 columns, an Id and a label, got 1"),
        ("1,2,3\n1,2,3\n", "file.csv, row 1: expected 2 columns, an Id and a label, got 3"),
        ("1,2\n2,3,3\n", "file.csv, row 2: expected 2 columns as in the rows above, got 3"),
        ("1,2\n2,\n", "file.csv, row 2: expected 2 columns as in the rows above, got 1"),
        (
            "1,2\n2,cat\n",
            "file.csv, row 2, column 2: expected labels of one kind, numbers or words, got 'cat'",
        ),
        ("1,cat\n2, ,\n", "file.csv, row 2, column 2: expected a label, got ''"),
        ("1,2\n\n3,2\n", "file.csv, row 3, column 1: expected the Ids 1, 2, 3, ..., got '3'"),
        ("0,2\n2,2\n", "file.csv, row 2, column 1: expected the Ids 0, 1, 2, ..., got '2'"),
        ("2,2\n3,2\n", "file.csv, row 1, column 1: expected the Ids 1, 2, 3, ..., got '2'"),
        (
            "1,2\n2,1.5\n",
            "file.csv, row 2, column 2: expected a label that is an integer, got '1.5'",
        ),
    ],
)
def test_bad_labels_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        load_labels(write(tmp_path, text))


def test_invalid_labels_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"save_labels: argument labels: expected labels that are integers, .*, got 0\.5",
    ):
        save_labels(tmp_path / "Yte.csv", np.array([0.5]))  # type: ignore[arg-type]
    assert not (tmp_path / "Yte.csv").exists()


def test_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv: expected a CSV file of pixels, got nothing"):
        load_pixels(tmp_path / "absent.csv")
    with pytest.raises(DataError, match=r"absent\.csv: expected a CSV file of labels, got nothing"):
        load_labels(tmp_path / "absent.csv")
