import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from tinygrad_ckn.data.matlab_tags import check_numbers

ARRAYS = {
    "X": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "a_longer_name": "text",
    "y": np.array([[2.0]]),
    "cell": {"X": 1j},
}
ORDERS = {"<": b"IM", ">": b"MI"}


def stored(arrays: dict, zipped: bool = False) -> bytes:
    content = io.BytesIO()
    savemat(content, arrays, do_compression=zipped)
    return content.getvalue()


def element(order: str, kind: int, content: bytes) -> bytes:
    tag = struct.pack(f"{order}II", kind, len(content))
    return tag + content + bytes(-len(content) % 8)


def array(order: str, numbers: int, flags: int = 9, kind: int = 6) -> bytes:
    """A file of a uint8 array X of shape (2, 4), with some type of its numbers."""
    parts = (
        element(order, kind, struct.pack(f"{order}II", flags, 0)),
        element(order, 5, struct.pack(f"{order}ii", 2, 4)),
        struct.pack(f"{order}I", 1 << 16 | 1) + b"X\0\0\0",
        element(order, numbers, bytes(8)),
    )
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", 0x100) + ORDERS[order]
    return header + element(order, 14, b"".join(parts))


@pytest.mark.parametrize(
    "content",
    [
        stored(ARRAYS),
        stored(ARRAYS, zipped=True),
        stored({"z": np.ones(2) * 1j}),
        array("<", 2),
        array(">", 2),
    ],
)
def test_sound_files_pass(tmp_path: Path, content: bytes):
    (tmp_path / "a.mat").write_bytes(content)
    check_numbers(tmp_path / "a.mat", ("X", "y"))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"numbers": 0}, r"another type than reals \(0\)"),
        ({"numbers": 258}, r"another type than reals \(258\)"),
        ({"numbers": 8}, r"another type than reals \(8\)"),
        ({"flags": 0x809}, "another type than reals"),
        ({"kind": 5}, "does not start with its flags"),
    ],
)
def test_numbers_that_would_end_the_process_are_refused(
    tmp_path: Path, order: str, zipped: bool, changes: dict[str, int], message: str
):
    content = array(order, **{"numbers": 2, **changes})
    if zipped:
        content = content[:128] + element(order, 15, zlib.compress(content[128:]))
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        check_numbers(tmp_path / "a.mat", ("X",))
    if "kind" not in changes:
        # Arrays that are not read may have any numbers.
        check_numbers(tmp_path / "a.mat", ("y",))


def test_a_file_without_a_byte_order_is_refused(tmp_path: Path):
    (tmp_path / "a.mat").write_bytes(array("<", 2)[:127])
    with pytest.raises(ValueError, match="byte order"):
        check_numbers(tmp_path / "a.mat", ("X",))
