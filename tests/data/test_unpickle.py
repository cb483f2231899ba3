import os
import pickle
import pickletools
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.data.unpickle import read_pickle, starts_as_pickle
from tinygrad_ckn.errors import DataError

BATCH = {
    "data": np.arange(12, dtype=np.uint8).reshape(2, 6),
    "labels": [3, 1],
    b"filenames": [b"a.png", "b.png"],
    "scale": np.float64(0.5),
    "wide": np.arange(6, dtype=">i4").reshape(2, 3).T,
}
# What Python 2 wrote for {'data': array([[1, 255]], uint8), 'labels': [7]} by cPickle,
# protocol 2, as the published batches: strings where Python 3 has bytes.
PYTHON2 = (
    b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\n"
    b"q\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\x01K\x02\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87"
    b"Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x01\xfftb"
    b"U\x06labelsq\x08]q\x09K\x07au."
)


class Runs:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def refused(tmp_path: Path, data: bytes) -> str:
    (tmp_path / "batch").write_bytes(data)
    with pytest.raises(DataError) as error:
        read_pickle(tmp_path / "batch")
    return str(error.value)


@pytest.mark.parametrize("protocol", range(6))
def test_what_pickle_wrote_is_read_exactly(tmp_path: Path, protocol: int):
    (tmp_path / "batch").write_bytes(pickle.dumps(BATCH, protocol))
    found = read_pickle(tmp_path / "batch")
    assert list(found) == ["data", "labels", "filenames", "scale", "wide"]
    for key in ("data", "wide"):
        np.testing.assert_array_equal(found[key], BATCH[key])
    assert found["labels"] == [3, 1]
    assert found["filenames"] == [b"a.png", "b.png"]
    assert found["scale"] == 0.5
    assert starts_as_pickle(tmp_path / "batch")


def test_what_python_2_wrote_is_read_exactly(tmp_path: Path):
    (tmp_path / "batch").write_bytes(PYTHON2)
    found = read_pickle(tmp_path / "batch")
    assert found["data"].tolist() == [[1, 255]]
    assert (found["data"].dtype, found["labels"]) == (np.uint8, [7])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Runs(os.mkdir, "made"), "the name 'posix.mkdir'"),
        (Runs(eval, "1"), "eval'"),
        (Runs(bytes, 10**12), "a call of builtins.bytes"),
        (Path("x"), "the name 'pathlib."),
        (np.array([{}], dtype=object), "an array of dtype 'O8'"),
        (np.zeros(1, "f4,f4"), "an array of dtype 'V8'"),
        ({1, 2}, "an object (opcode EMPTY_SET)"),
    ],
)
def test_other_objects_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object, expected: str
):
    monkeypatch.chdir(tmp_path)
    sentence = refused(tmp_path, pickle.dumps({"data": value}, 4))
    assert expected in sentence
    assert sentence.endswith("; nothing of it was run")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # 2**40 bytes declared.
        (b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"xx.", "a damaged or another file"),
        (b"\x80\x02}r\xff\xff\xff\x7f.", None),
        (b"\x80\x02]q\x00K\x01s.", "a damaged or another file"),
        (b"\x80\x02Vname\nQ.", "an object (opcode BINPERSID)"),
        (b"\x80\x02}", "a damaged or another file"),
        (b"\x80\x02]" + b"\x85" * 20_000 + b".", "tuple instead of dict"),
        (b"\x80\x02}" + b")" + b"\x85" * 20_000 + b"K\x01s.", "tuple instead of str"),
        (b"", "a damaged or another file"),
        (PYTHON2.replace(b"K\x01K\x02\x86", b"K\x09K\x02\x86"), "another shape"),
        (PYTHON2.replace(b"K\x00\x85", b"M\xff\xff\x85"), "another class"),
    ],
)
def test_bytes_that_declare_too_much(tmp_path: Path, data: bytes, expected: str | None):
    if expected is None:
        # The memo is a dictionary: its largest number costs nothing.
        (tmp_path / "batch").write_bytes(data)
        assert read_pickle(tmp_path / "batch") == {}
    else:
        assert expected in refused(tmp_path, data)


def test_no_sequence_of_opcodes_runs_or_raises_anything_else(tmp_path_factory):
    path = tmp_path_factory.mktemp("pickles") / "batch"
    codes = sorted(ord(opcode.code) for opcode in pickletools.opcodes)
    good = pickle.dumps(BATCH, 4)

    @given(
        st.lists(st.tuples(st.integers(0, len(good) - 1), st.sampled_from(codes)), max_size=4),
        st.lists(st.sampled_from(codes), max_size=20).map(bytes),
    )
    def check(changes: list[tuple[int, int]], tail: bytes):
        damaged = bytearray(good)
        for position, code in changes:
            damaged[position] = code
        for data in (bytes(damaged), b"\x80\x04" + tail + b"."):
            path.write_bytes(data)
            try:
                assert isinstance(read_pickle(path), dict)
            except DataError as error:
                assert "\n" not in str(error)

    check()
