"""One writer a folder: a lock file that says who writes, and that a writer which was killed leaves without effect.

The file holds JSON: the process id, the host, when the process started, and when it
took the lock. It is created exclusively. Whoever finds one decides under the system's
own lock on it (flock), which ends with the process that holds it, so that of two who
find a stale one only one takes it over.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.files import locked

LOCK = "training.lock"
# Of a lock file that is read: a process writes some 150 bytes.
_MOST_BYTES = 4096
# Lock files that were removed between opening and looking at them.
_TRIES = 1000
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True)
class Holder:
    """The process that a lock file names.

    Attributes
    ----------
    pid, host
        The process id, and the name of the machine on which it means something.
    started
        When that process started, in the system's own terms: a process id is used
        again, this is not. Empty where the system does not say.
    since
        When it took the lock, for people to read.
    """

    pid: int
    host: str
    started: str
    since: str

    @classmethod
    def this_process(cls) -> Self:
        """Return the holder that this process is."""
        now = datetime.now().astimezone()
        return cls(
            os.getpid(),
            socket.gethostname(),
            started(os.getpid()) or "",
            now.isoformat(timespec="seconds"),
        )

    @classmethod
    def read(cls, content: bytes) -> Self | None:
        """Return the holder that a lock file names, or None where it names none."""
        try:
            found = json.loads(content)
            holder = cls(found["pid"], found["host"], found["started"], found["since"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        texts = (holder.host, holder.started, holder.since)
        return (
            holder
            if type(holder.pid) is int and all(isinstance(text, str) for text in texts)
            else None
        )

    def is_elsewhere(self) -> bool:
        """Return whether it is a process of another host, of which nothing is known here."""
        return self.host != socket.gethostname()

    def is_running(self) -> bool:
        """Return whether this very process, of this host, is still there."""
        now = started(self.pid)
        return now is not None and (not now or not self.started or now == self.started)


class FolderLock:
    """The right to write in a folder, from `acquire` to `release` or to the end of a `with` block.

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
        """Take the lock of a folder, which exists.

        Raises
        ------
        ConfigError
            If another process has it, or one of another host that may have it.
        OSError
            If the lock file cannot be written.
        """
        path = folder / LOCK
        for _ in range(_TRIES):
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
        """Give the lock back; once is enough, more do no harm."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        # Before the file is closed: from then on it may be another's.
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
    """Return when a process started, in the system's own terms; "" where it does not say, None if there is no such.

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
        # Fields after the name, which stands in parentheses and may hold anything:
        # state is the 1st, start the 20th.
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
        # it is somebody else's
        pass
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
        return found.stdout.strip()
    return ""


def _opened(path: Path) -> int:
    """Open the lock file for reading and writing, made where there is none."""
    while True:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE, 0o644)
        except FileExistsError:
            pass
        try:
            return os.open(path, os.O_RDWR | _SAFE)
        except FileNotFoundError:
            continue


def _is_still_there(path: Path, descriptor: int) -> bool:
    """Return whether the path leads to the open file; another process may have removed it."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except OSError:
        return False


def _content(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, _MOST_BYTES)


def _write(descriptor: int, content: bytes) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, content)
    os.fsync(descriptor)


def _refused(path: Path, holder: Holder | None, how: str) -> ConfigError:
    """Return the error that names who has the lock."""
    if holder is None:
        who, mend = "another process", "wait until it has ended"
    elif holder.is_elsewhere():
        who = f"process {holder.pid} of host {holder.host!r}, which cannot be seen from here"
        mend = f"if no training runs there any more, remove {path}"
    else:
        who, mend = f"process {holder.pid}, since {holder.since!r}", "wait until it has ended"
    return ConfigError(
        f"{path.parent}: expected a folder that no other training writes to, got one that {how} {who}; {mend}, or give "
        "another folder with argument out"
    )
