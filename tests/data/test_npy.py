import re
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_ckn.data.npy import read_npy, read_npz
from tinygrad_ckn.errors import DataError


def member(header: str, content: bytes = b"") -> bytes:
    """An .npy file with a given header."""
    text = header.encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + content


def head(shape: str, descr: str = "'|u1'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}"


@given(
    array=hnp.arrays(
        st.sampled_from(["u1", "<i8", ">i4", "<f4", ">f8", "?", "<U3", "S2"]),
        hnp.array_shapes(min_dims=0, min_side=0, max_side=4),
    ),
    fortran=st.booleans(),
    compressed=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_arrays_written_by_numpy_are_read(
    tmp_path: Path, array: np.ndarray, fortran: bool, compressed: bool
) -> None:
    array = np.asarray(array, order="F" if fortran else "C")
    np.save(tmp_path / "a.npy", array)
    (np.savez_compressed if compressed else np.savez)(tmp_path / "a.npz", x=array, other=1)
    for found in (read_npy(tmp_path / "a.npy"), read_npz(tmp_path / "a.npz", ["x"])["x"]):
        assert found.dtype == array.dtype
        assert found.tobytes() == array.tobytes()
        assert found.shape == array.shape
    assert set(read_npz(tmp_path / "a.npz", [], ["other", "absent"])) == {"other"}


BAD = [
    (b"hello", ""),
    (b"", ""),
    (member(head("(60, True, 36)"), bytes(2160)), "it says shape (60, True, 36)"),
    (member(head("(-1,)"), bytes(1)), "it says shape (-1,)"),
    (member(head("(2, 3)"), bytes(5)), "it says 6 bytes of shape (2, 3) and has"),
    (member(head("(2, 3)"), bytes(7)), "it says 6 bytes of shape (2, 3) and has more"),
    (member(head("(10**12,)"), bytes(7)), ""),
    (
        member(head("(1000000000000,)"), bytes(7)),
        "it says 1,000,000,000,000 bytes of shape (1000000000000,) and has no",
    ),
    (member(head("(1,)", "'|O'"), bytes(8)), "it holds object, not numbers or strings"),
    (member(head("(1,)", "[('a', '<f4')]"), bytes(4)), "not numbers or strings"),
    (member(head("(1,)", "'<M8[s]'"), bytes(8)), "not numbers or strings"),
    (member("(" * 3000, bytes(9)), ""),
    (member("[" * 60000, bytes(9)), ""),
    (b"\x93NUMPY\3\0" + bytes(100), "format version (3, 0) is for arrays with named fields"),
    (b"\x93NUMPY\2\0\xff\xff\xff\xff" + bytes(100), ""),
]


@pytest.mark.parametrize(("content", "reason"), BAD)
def test_any_bytes_get_one_sentence_and_no_memory(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "bad.npy"
    path.write_bytes(content)
    archive = tmp_path / "bad.npz"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("images.npy", content)
    tracemalloc.start()
    for read, where in (
        (lambda: read_npy(path), path),
        (lambda: read_npz(archive, ["images"]), archive),
    ):
        with pytest.raises(DataError, match=re.escape(f"{where}: expected")) as caught:
            read()
        assert "\n" not in str(caught.value)
        assert reason in str(caught.value)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_an_archive_that_claims_more_than_it_can_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, images=np.zeros(10**6, np.uint8))
    assert read_npz(path, ["images"])["images"].shape == (10**6,)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("images.npy", member(head("(1000000,)"), bytes(10)))
    with pytest.raises(DataError, match="it says 1,000,000 bytes of shape"):
        read_npz(path, ["images"])


def test_compressions_that_numpy_does_not_write_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as stream:
        stream.writestr("images.npy", member(head("(1,)"), bytes(1)))
    with pytest.raises(
        DataError, match=r"images\.npy is compressed by a method that NumPy does not use"
    ):
        read_npz(path, ["images"])
