"""USPS in its two published text formats, written here from their descriptions."""

import bz2
import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import load, usps
from tinygrad_ckn.errors import DataError

RNG = np.random.default_rng(0)
PIXELS = np.round(RNG.uniform(-1, 1, (9, 256)), 3)
DIGITS = np.array([6, 5, 4, 7, 3, 6, 3, 1, 0])
PARTS = {"train": slice(6), "test": slice(6, 9)}


def zip_code(rows: slice) -> bytes:
    lines = zip(DIGITS[rows], PIXELS[rows], strict=True)
    text = "".join(f"{d}.0000 {' '.join(f'{x:.4f}' for x in row)} \n" for d, row in lines)
    return text.encode()


def libsvm(rows: slice) -> bytes:
    lines = zip(DIGITS[rows], PIXELS[rows], strict=True)
    text = "".join(
        f"{d + 1} {' '.join(f'{i}:{x:g}' for i, x in enumerate(row, start=1))} \n"
        for d, row in lines
    )
    return text.encode()


WRITERS = {
    ("zip.train", "zip.test"): zip_code,
    ("zip.train.gz", "zip.test.gz"): lambda rows: gzip.compress(zip_code(rows)),
    ("usps", "usps.t"): libsvm,
    ("usps.bz2", "usps.t.bz2"): lambda rows: bz2.compress(libsvm(rows)),
}


@pytest.mark.parametrize("names", WRITERS)
def test_both_versions_are_read_exactly(tmp_path: Path, names: tuple[str, str]):
    for name, rows in zip(names, PARTS.values(), strict=True):
        (tmp_path / name).write_bytes(WRITERS[names](rows))
    for data in (load(tmp_path), load("usps", data_dir=tmp_path)):
        assert (data.name, data.class_names) == ("usps", tuple("0123456789"))
        for split, rows in ((data.train, PARTS["train"]), (data.test, PARTS["test"])):
            np.testing.assert_array_equal(
                split.images, PIXELS[rows].reshape(-1, 1, 16, 16).astype(np.float32)
            )
            assert split.labels.tolist() == DIGITS[rows].tolist()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("zip.test", None, "zip.test: expected this file of USPS, got nothing; add it there"),
        ("zip.test", b"", "zip.test: expected at least one line of USPS, got none"),
        ("zip.test", b"6 1 0 1", "image 1: expected a label and 256 numbers, got '6 1 0 1' (4 in"),
        ("zip.test", b"10" + b" 0" * 256, "image 1: expected a label 0 .. 9, got 10"),
        ("zip.test", b"1" + b" 0" * 255 + b" 2", "expected pixels from -1 to 1, got 2; is it"),
        ("zip.test", b"1" + b" 0" * 255 + b" nan", "expected a label and 256 numbers, got"),
        ("zip.test", b"\xff\xfe", "expected a sound file of text, got one that is damaged"),
        ("usps.t", zip_code(PARTS["test"]), "written 1:VALUE .. 256:VALUE, got '3.0000"),
        ("usps.t", b"0" + libsvm(slice(1))[1:], "image 1: expected a label 1 .. 10, got 0"),
        ("usps.t.bz2", bz2.compress(b"1")[:-4], "expected a sound file of text"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, name: str, content: bytes | None, message: str):
    train = "zip.train" if name.startswith("zip") else "usps"
    (tmp_path / train).write_bytes((zip_code if "zip" in train else libsvm)(PARTS["train"]))
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=re.escape(message)):
        load(tmp_path)


def test_a_file_that_unpacks_to_anything_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(usps, "_MAX_BYTES", 10_000)
    (tmp_path / "zip.train.gz").write_bytes(gzip.compress(b" " * 10_001))
    with pytest.raises(DataError, match="damaged \\(it has more than 10,000 bytes\\)"):
        load(tmp_path)
