import csv
import gzip
import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_ckn.data import load, load_images
from tinygrad_ckn.data.csv import read_table
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data.table_text import is_table, without_quotes
from tinygrad_ckn.errors import DataError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 4)).tolist()
TEXT = "p0,p1,p2,p3,class\n" + "".join(
    f"{','.join(map(str, row))},{i % 2}\n" for i, row in enumerate(PIXELS)
)


def read(path: Path) -> tuple[list[list[int]], list[Any]]:
    images, labels, _, _ = read_table(path, labelled=True, reading=Reading())
    assert labels is not None
    return np.rint(images.reshape(len(images), -1) * 255).astype(int).tolist(), labels.tolist()


def test_quoted_cells(tmp_path: Path) -> None:
    path = tmp_path / "quoted.csv"
    rows = [f'"{i}";"{i + 1}";"{i + 2}";"{i + 3}";"big cat"' for i in range(4)]
    path.write_text('"a";"b";"c";"d";"Class"\n' + "\n".join(rows))
    pixels = [[i, i + 1, i + 2, i + 3] for i in range(4)]
    assert read(path) == (pixels, ["big cat"] * 4)


def test_quotes_that_belong_to_a_label_stay(tmp_path: Path) -> None:
    path = tmp_path / "pipes.csv"
    written = ['"3"" pipe"', "boys", "boys'", "'big cat'", '"a ""b"""', "'"]
    path.write_text("".join(f"{label},{i},2,3,4\n" for i, label in enumerate(written)))
    pixels, labels = read(path)
    assert labels == ['3" pipe', "boys", "boys'", "big cat", 'a "b"', "'"]
    assert [row[0] for row in pixels] == list(range(6))


@given(
    labels=st.lists(st.text("ab;'\" |\t", min_size=1, max_size=5), min_size=1, max_size=4),
    delimiter=st.sampled_from(",;\t"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
@settings(max_examples=60)
def test_labels_that_python_writes_come_back_or_are_refused(
    labels: list[str], delimiter: str, quoting: Literal[0, 1]
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting)
    writer.writerows([label, i, 2, 3, 4] for i, label in enumerate(labels))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "any.csv")
        path.write_text(text.getvalue(), newline="")
        try:
            _, read_labels, _, _ = read_table(path, labelled=True, reading=Reading(label="first"))
        except DataError:
            return
    assert read_labels is not None
    assert read_labels.tolist() == [without_quotes(label) for label in labels]


@pytest.mark.parametrize("end", ["\r", "\r\n"])
def test_lines_end_as_on_any_system(tmp_path: Path, end: str) -> None:
    (tmp_path / "unix.csv").write_text(TEXT)
    (tmp_path / "other.csv").write_bytes(TEXT.replace("\n", end).encode())
    assert read(tmp_path / "other.csv") == read(tmp_path / "unix.csv")


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv.zip"])
def test_compressed_tables(tmp_path: Path, suffix: str) -> None:
    text = TEXT.encode()
    path = tmp_path / f"train{suffix}"
    if suffix.endswith("gz"):
        path.write_bytes(gzip.compress(text, mtime=0))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("train.csv", text)
            archive.writestr("__MACOSX/._train.csv", b"\0")
    data = load(path)
    assert (len(data.train) + len(data.test), data.n_classes) == (20, 2)
    assert len(load_images(path, label="class")) == 20
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(DataError, match="expected a sound gzip stream or zip archive, got one"):
        load(path)


def test_archives_of_other_than_one_table_are_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("train.csv", "1,2\n")
        archive.writestr("test.csv", "1,2\n")
    path = tmp_path / "both.csv.zip"
    path.write_bytes(content.getvalue())
    with pytest.raises(
        DataError, match=r"expected an archive of one table, got 2 files \(train.csv, test.csv\)"
    ):
        load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1;0,5;0,25;1\n", "expected one separator, and numbers with decimal points, got commas"),
        ("1\t2,5\n", "expected one separator"),
        ('label,p0\n"1,5",2\n', "row 2: expected cells without commas, got '1,5'; write"),
        ('label,p0\n"1,2\n', "row 2: expected quotes that are closed in the same line, got"),
        ("label,label,p0\n1,1,1\n", "column 2: expected pixels, got 'label' in the header"),
        (
            "class,target,p0\n1,1,1\n",
            "expected a header whose first column is 'label', got 'class'",
        ),
    ],
)
def test_a_table_that_can_be_read_two_ways_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(DataError) as refused:
        read(path)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.tsv", b"", True),
        ("a.CSV.GZ", b"", True),
        ("zip.train", b"6.0000 -1.000 0.5 1 0.2 \n5.0000 0 0 1 1 \n", True),
        ("optdigits.tra", b"0,1,6,15,0\n0,0,10,16,7\n", True),
        ("notes.txt", b"one, two, three, four, five\n", False),
        ("a.bin", b"\x00\x01,2,3,4,5\n", False),
        ("cut.gz", gzip.compress(b"0,1,6,15,0\n", mtime=0)[:-9], False),
        ("empty", b"", False),
    ],
)
def test_tables_are_known_by_name_or_content(
    tmp_path: Path, name: str, content: bytes, expected: bool
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert is_table(path) == expected
    path.write_bytes(gzip.compress(content, mtime=0))
    assert is_table(path) == expected or name == "cut.gz"
