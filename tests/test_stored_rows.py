"""Arrays in files, read by rows."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import stored_rows
from tinygrad_ckn.errors import CKNError, DataError, OpIndexError, StorageError
from tinygrad_ckn.stored_rows import StoredRows, indices_of


def stored(array: np.ndarray) -> StoredRows:
    rows = StoredRows.temporary(array.shape, array.dtype, "a test")
    rows[:] = array
    return rows


@st.composite
def keys(draw: st.DrawFn) -> tuple[int, object]:
    n = draw(st.integers(1, 9))
    index = st.integers(-n, n - 1)
    key = draw(
        st.slices(n)
        | st.lists(index, max_size=12).map(lambda chosen: np.array(chosen, np.intp))
        | st.lists(st.booleans(), min_size=n, max_size=n).map(np.array)
    )
    return n, key


@given(keys(), st.sampled_from(["float32", ">u2", "uint8"]))
def test_rows_are_those_of_an_array(drawn: tuple[int, object], dtype: str) -> None:
    n, key = drawn
    array = np.arange(n * 6).reshape(n, 2, 3).astype(dtype)
    found = stored(array)[key]
    np.testing.assert_array_equal(found, array[key])
    assert found.dtype == dtype
    assert found.flags.c_contiguous


@pytest.mark.parametrize(
    "wrong", [np.array([3]), np.array([-4]), np.array([0.5]), np.array([True]), np.array([[0]])]
)
def test_other_indices_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(OpIndexError, match="n = 3 rows"):
        indices_of(wrong, 3)


def test_consecutive_rows_are_read_by_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, calls = stored(np.arange(12.0).reshape(6, 2)), []
    through = stored_rows._read_at

    def counting(descriptor: int, view: memoryview, at: int) -> int:
        calls.append(len(view))
        return through(descriptor, view, at)

    monkeypatch.setattr(stored_rows, "_read_at", counting)
    assert rows[np.array([4, 5, 0, 1, 2])].tolist() == [[8, 9], [10, 11], [0, 1], [2, 3], [4, 5]]
    assert calls == [32, 48]


def test_a_system_without_reads_at_an_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("preadv", "pwrite", "posix_fallocate"):
        monkeypatch.delattr(os, name)
    rows = stored(np.arange(6.0).reshape(3, 2))
    rows[1:2] = np.array([[7, 8]])
    assert rows[::-1].tolist() == [[4, 5], [7, 8], [0, 1]]


def test_part_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_bytes(b"head" + np.arange(6, dtype="uint8").tobytes())
    rows = StoredRows.of_file(path, (3, 2), "uint8", 4)
    assert rows[np.array([2, 0])].tolist() == [[4, 5], [0, 1]]
    assert (len(rows), rows.ndim, rows.nbytes, rows.itemsize) == (3, 2, 6, 1)
    assert repr(rows) == f"StoredRows((3, 2), uint8, in {path})"


def test_a_file_that_changes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_bytes(bytes(6))
    rows = StoredRows.of_file(path, (3, 2), "uint8", 0)
    path.write_bytes(bytes(7))
    with pytest.raises(DataError, match=r"numbers: expected a file that does not change"):
        _ = rows[:]


def test_a_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_bytes(bytes(5))
    rows = StoredRows.of_file(path, (3, 2), "uint8", 0)
    assert rows[:2].tolist() == [[0, 0], [0, 0]]
    with pytest.raises(DataError, match="expected 1 bytes more at byte 5, got the end"):
        _ = rows[:]


def test_a_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(StorageError) as caught:
        StoredRows.temporary((2**20, 2**10), "float32", "features")
    message = str(caught.value)
    assert message.startswith(
        f"features: expected 4.0 GiB for a temporary file in {tmp_path}, got "
    )
    assert "set the environment variable TMPDIR" in message
    assert isinstance(caught.value, CKNError)


def test_the_file_is_closed_with_the_rows() -> None:
    rows = stored(np.zeros((1, 1)))
    descriptor = rows._descriptor
    del rows
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
