"""A lock file that admits one writer per folder.

The lock has no effect once its writer is killed. The file holds JSON: the process id,
the host, when the process started, and when it took the lock. It is created exclusively.
A process that finds a lock file decides under the system's own lock on it (flock), which
ends with the process that holds it, so that only one of two processes takes over a stale
lock file.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import subprocess
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.files import locked

LOCK = "training.lock"
# Bytes read of a lock file; a process writes about 150.
_MAX_BYTES = 4096
# Attempts to open a lock file that other processes remove again and again.
_MAX_TRIES = 1000
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True)
class Holder:
    """The process that a lock file names.

    Attributes
    ----------
    pid, host
        The process id, and the name of its machine.
    started
        When that process started, in the system's own terms: process ids are reused,
        this is not. Empty if the system does not say.
    since
        When it took the lock, for people to read.
    """

    pid: int
    host: str
    started: str
    since: str

    @classmethod
    def this_process(cls) -> Self:
        """Return this process as a holder."""
        now = datetime.now().astimezone()
        return cls(
            os.getpid(),
            socket.gethostname(),
            started(os.getpid()) or "",
            now.isoformat(timespec="seconds"),
        )

    @classmethod
    def read(cls, content: bytes) -> Self | None:
        """Return the holder that a lock file names, or None."""
        try:
            record = json.loads(content)
            holder = cls(record["pid"], record["host"], record["started"], record["since"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        texts = (holder.host, holder.started, holder.since)
        return (
            holder
            if type(holder.pid) is int and all(isinstance(text, str) for text in texts)
            else None
        )

    def is_elsewhere(self) -> bool:
        """Return whether it is a process of another host."""
        return self.host != socket.gethostname()

    def is_running(self) -> bool:
        """Return whether exactly this process is still running, on this host."""
        now = started(self.pid)
        return now is not None and (not now or not self.started or now == self.started)


class FolderLock:
    """The lock of a folder, until `release` or the end of a `with` block.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with FolderLock.acquire(Path(folder)):
    ...         [path.name for path in Path(folder).iterdir()]
    ['training.lock']
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, folder: Path) -> Self:
        """Take the lock of an existing folder.

        Raises
        ------
        ConfigError
            If another process has it, if a process of another host may have it, or if
            the lock is not a regular file.
        OSError
            If the lock file cannot be written.
        """
        path = folder / LOCK
        for _ in range(_MAX_TRIES):
            descriptor = _opened(path)
            try:
                if not locked(descriptor):
                    raise _refused(path, Holder.read(_content(descriptor)), "is in use by")
                if not _is_still_there(path, descriptor):
                    os.close(descriptor)
                    continue
                holder = Holder.read(_content(descriptor))
                if holder is not None and holder.is_elsewhere():
                    raise _refused(path, holder, "may be in use by")
                if holder is not None and holder.is_running():
                    raise _refused(path, holder, "is in use by")
                try:
                    _write(descriptor, json.dumps(asdict(Holder.this_process())).encode())
                except BaseException:
                    path.unlink(missing_ok=True)
                    raise
            except BaseException:
                os.close(descriptor)
                raise
            return cls(path, descriptor)
        raise _refused(path, None, "is locked and unlocked again and again by")

    def release(self) -> None:
        """Give the lock back; a second call has no effect."""
        descriptor = self._descriptor
        if descriptor is None:
            return
        self._descriptor = None
        # Before the file is closed: afterwards it may belong to another process.
        if _is_still_there(self.path, descriptor):
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.release()


def started(pid: int) -> str | None:
    """Return when a process started, in the system's own terms.

    The result is "" if the system does not say, and None if there is no such process.

    Examples
    --------
    >>> started(os.getpid()) == started(os.getpid()) is not None
    True
    """
    if pid <= 0:
        return None
    if Path("/proc/self/stat").exists():
        try:
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        # Fields after the name, which is in parentheses and may hold anything: the state
        # is the 1st, the start the 20th.
        fields = status.rpartition(")")[2].split()
        boot = ""
        with contextlib.suppress(OSError):
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return None if fields[0] in ("Z", "X") else f"{boot}:{fields[19]}"
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except OSError:
        # It belongs to another user.
        pass
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        listing = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
        return listing.stdout.strip()
    return ""


def _opened(path: Path) -> int:
    """Open the lock file for reading and writing, made if it does not exist."""
    while True:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE, 0o644)
        except FileExistsError:
            pass
        try:
            descriptor = os.open(path, os.O_RDWR | _SAFE)
        except FileNotFoundError:
            continue
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        raise ConfigError(f"{path}: expected a regular file as lock, got another kind; remove it")


def _is_still_there(path: Path, descriptor: int) -> bool:
    """Return whether the path still leads to the open file."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except OSError:
        return False


def _content(descriptor: int) -> bytes:
    """Return the content of an open lock file."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, _MAX_BYTES)


def _write(descriptor: int, content: bytes) -> None:
    """Replace the content of an open lock file, on the disk when this returns."""
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, content)
    os.fsync(descriptor)


def _refused(path: Path, holder: Holder | None, how: str) -> ConfigError:
    """Return the error that names the holder of the lock."""
    hint = "wait until it has ended"
    if holder is None:
        who = "another process"
    elif holder.is_elsewhere():
        who = f"process {holder.pid} of host {holder.host!r}, which cannot be seen from here"
        hint = f"if no training runs there any more, remove {path}"
    else:
        who = f"process {holder.pid}, since {holder.since!r}"
    return ConfigError(
        f"{path.parent}: expected a folder that no other run writes to, got one that {how} "
        f"{who}; {hint}, or choose another folder with argument out"
    )
