"""Writing a file so that a crash leaves either the old one or the new one, whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from tinygrad_ckn.errors import DataError

PathLike: TypeAlias = str | os.PathLike[str]


def atomic_write(path: PathLike, content: bytes) -> None:
    """Write a file, or replace it, in one step.

    The bytes go to a temporary file in the same folder, are forced to the disk, and only then take the name.

    Parameters
    ----------
    path
        The file; its folder must exist.
    content
        Its bytes.

    Raises
    ------
    DataError
        If the folder does not exist.
    OSError
        If writing fails; a file that was there before is untouched then.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     atomic_write(f"{folder}/greeting", b"hello")
    ...     Path(folder, "greeting").read_bytes()
    b'hello'
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise DataError(
            f"{path}: expected an existing folder to write to, got no folder {path.parent}; create it first"
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)  # noqa: PTH105  # the call that the test of a crash stands in for
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Force a folder's list of names to the disk, where the system lets folders be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
