"""Atomic writes of files: a crash leaves the old file or the new one.

The bytes go to a temporary file `.NAME.TOKEN.partial` in the same folder, which is
forced to the disk and then renamed. The temporary file is created exclusively, never
opened through a link, and locked while it is written: one without a lock belongs to a
writer that was killed, and is removed at the next write of that name.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias

from tinygrad_ckn.errors import DataError

try:
    import fcntl
except ImportError:
    # Windows, where an open file cannot be removed, which serves as the lock.
    fcntl = None  # type: ignore[assignment]

PathLike: TypeAlias = str | os.PathLike[str]

_PARTIAL = re.compile(r"\.(.+)\.[0-9a-f]{1,16}\.partial", re.DOTALL)
# Bytes of a name in the name of its temporary file: file systems allow 255 in all.
_MAX_STEM = 220
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def atomic_write(path: PathLike, content: bytes) -> None:
    """Write a file, or replace it, in one step.

    Parameters
    ----------
    path
        The file; its folder must exist. A replaced file keeps its permissions.
    content
        Its bytes.

    Raises
    ------
    DataError
        If the folder does not exist, or the path is a folder itself.
    OSError
        If writing fails; an existing file is then unchanged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     atomic_write(f"{folder}/greeting", b"hello")
    ...     Path(folder, "greeting").read_bytes()
    b'hello'
    """
    with replacing(path) as stream:
        stream.write(content)


@contextmanager
def replacing(path: PathLike) -> Iterator[IO[bytes]]:
    """Yield a binary stream that becomes the file if the block ends without error.

    The stream can be read, too.

    Raises
    ------
    DataError
        If the folder does not exist, or the path is a folder itself.
    OSError
        If writing fails; an existing file is then unchanged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(f"{folder}/lines") as stream:
    ...         _ = stream.write(b"one") + stream.write(b"two")
    ...     Path(folder, "lines").read_bytes()
    b'onetwo'
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path}: expected a file to write to, got a folder; give a file in it")
    if not path.parent.is_dir():
        raise DataError(
            f"{path}: expected an existing folder to write to, got no folder {path.parent}; create "
            "it first"
        )
    if is_special(path):
        try:
            with path.open("wb") as stream:
                yield stream
        except BaseException as error:
            name_file(error, path)
            raise
        return
    remove_abandoned(path.parent, path.name)
    temporary, descriptor = _temporary(path)
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            if fcntl is not None:
                # While it is open it is locked, so that no process takes it for abandoned.
                os.replace(temporary, path)  # noqa: PTH105
        if fcntl is None:
            os.replace(temporary, path)  # noqa: PTH105
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        name_file(error, path)
        raise
    _sync_folder(path.parent)


def name_file(error: BaseException, path: PathLike) -> None:
    """Add a file name to an error of the system without one."""
    if isinstance(error, OSError) and error.errno is not None and error.filename is None:
        error.filename = os.fspath(path)


def remove_abandoned(folder: Path, *names: str) -> None:
    """Remove temporary files of killed writers, for some names or for all.

    Only regular files of this user in the folder, without a lock, are removed; errors of
    the system are ignored.
    """
    try:
        partial = [entry.name for entry in os.scandir(folder) if entry.name.endswith(".partial")]
    except OSError:
        return
    stems = {_stem(name) for name in names}
    for name in partial:
        match = _PARTIAL.fullmatch(name)
        if match is not None and (not stems or match[1] in stems):
            with contextlib.suppress(OSError):
                _remove_unless_held(folder / name)


def is_partial(name: str, *names: str) -> bool:
    """Return whether a file name is that of a temporary file for one of the names.

    Examples
    --------
    >>> is_partial(".config.json.1a2b.partial", "config.json")
    True
    >>> is_partial("notes.partial", "config.json")
    False
    """
    match = _PARTIAL.fullmatch(name)
    return match is not None and match[1] in {_stem(known) for known in names}


def locked(descriptor: int) -> bool:
    """Lock an open file without waiting; return False if another process holds it.

    The system releases the lock when the file is closed, and when the process ends.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks.
        return True
    return True


def _stem(name: str) -> str:
    """Return the part of a file's name that its temporary files begin with."""
    return os.fsdecode(os.fsencode(name)[:_MAX_STEM])


def is_special(path: Path) -> bool:
    """Return whether a path is a device, a pipe or a socket, not to be replaced.

    A name in /dev, such as /dev/stdout, is special whatever it refers to.
    """
    folder = os.path.realpath(path.parent)
    if folder == "/dev" or folder.startswith("/proc/"):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _temporary(path: Path) -> tuple[Path, int]:
    """Return a new locked temporary file for a path, and its descriptor."""
    try:
        mode: int | None = stat.S_IMODE(path.stat().st_mode) & 0o777
    except OSError:
        mode = None
    while True:
        temporary = path.with_name(f".{_stem(path.name)}.{secrets.token_hex(8)}.partial")
        try:
            # The mask of the process applies to a new file; a replaced file may be secret.
            descriptor = os.open(
                temporary,
                os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE,
                0o666 if mode is None else 0o600,
            )
        except FileExistsError:
            continue
        # Between the two calls another process may have taken it for abandoned.
        if locked(descriptor) and os.fstat(descriptor).st_nlink:
            break
        os.close(descriptor)
    if mode is not None and hasattr(os, "fchmod"):
        try:
            os.fchmod(descriptor, mode)
        except BaseException:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)
            raise
    return temporary, descriptor


def _remove_unless_held(path: Path) -> None:
    """Remove a file of this user, unless another process writes it."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _SAFE)
    try:
        status = os.fstat(descriptor)
        is_owner = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
        if fcntl is not None and stat.S_ISREG(status.st_mode) and is_owner and locked(descriptor):
            path.unlink()
            return
    finally:
        os.close(descriptor)
    if fcntl is None:
        path.unlink()


def _sync_folder(folder: Path) -> None:
    """Force the list of names of a folder to the disk, if the system can open folders."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
