"""One writer a folder: who has the lock, whose lock is stale, and that only one takes it over."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.training import lock as _lock
from tinygrad_ckn.training.lock import LOCK, FolderLock, Holder, started

MINE = Holder.this_process()


def write(folder: Path, **changes: object) -> None:
    (folder / LOCK).write_text(json.dumps(asdict(MINE) | changes))


@pytest.fixture
def sleeper():
    """A process that does nothing until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    yield process
    process.kill()
    process.wait()


def test_a_second_one_is_refused_with_the_first_one_named_and_then_has_it(tmp_path: Path):
    with FolderLock.acquire(tmp_path) as first:
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
        with pytest.raises(
            ConfigError, match=rf"got one that is in use by process {os.getpid()}, since '.*; wait"
        ):
            FolderLock.acquire(tmp_path)
    assert list(tmp_path.iterdir()) == []
    first.release()
    with FolderLock.acquire(tmp_path):
        # It no longer belongs to this process.
        first.release()
        assert (tmp_path / LOCK).exists()


def test_a_lock_of_a_running_process_that_does_not_hold_it_is_respected(
    tmp_path: Path, sleeper: subprocess.Popen
):
    """As on a file system without locks."""
    write(tmp_path, pid=sleeper.pid, started=started(sleeper.pid))
    with pytest.raises(ConfigError, match=f"is in use by process {sleeper.pid}"):
        FolderLock.acquire(tmp_path)
    assert (tmp_path / LOCK).exists()


@pytest.mark.parametrize("reaped", [False, True])
def test_the_lock_of_a_killed_process_is_taken_over(
    tmp_path: Path, sleeper: subprocess.Popen, reaped: bool
):
    write(tmp_path, pid=sleeper.pid, started=started(sleeper.pid))
    sleeper.send_signal(signal.SIGKILL)
    if reaped:
        sleeper.wait()
    else:
        # The process stays as a zombie.
        os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    with FolderLock.acquire(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text()) == asdict(MINE) | {
            "since": json.loads((tmp_path / LOCK).read_text())["since"]
        }


def test_a_process_id_that_is_used_again_is_not_the_holder(tmp_path: Path):
    write(tmp_path, started="another boot:1")
    FolderLock.acquire(tmp_path).release()


def test_a_lock_of_another_host_is_never_taken_over(tmp_path: Path):
    write(tmp_path, host="elsewhere", pid=2**22 + 1)
    message = (
        rf"may be in use by process {2**22 + 1} of host 'elsewhere', .*; if no .*, "
        rf"remove {tmp_path / LOCK}, or"
    )
    with pytest.raises(ConfigError, match=message):
        FolderLock.acquire(tmp_path)
    assert (tmp_path / LOCK).exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[" * 10_000,
        b"\xff",
        b"[]",
        b"{}",
        b'{"pid": true, "host": "", "started": "", "since": ""}',
    ],
)
def test_a_lock_without_a_holder_is_taken_over(tmp_path: Path, content: bytes):
    (tmp_path / LOCK).write_bytes(content)
    with FolderLock.acquire(tmp_path):
        assert Holder.read((tmp_path / LOCK).read_bytes()) is not None


def test_a_link_is_not_followed(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "folder" / LOCK).symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic"):
        FolderLock.acquire(tmp_path / "folder")
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_lock_that_somebody_holds_is_respected_whoever_it_names(tmp_path: Path):
    """As one whose holder has forked, or is of another process namespace."""
    write(tmp_path, started="another boot:1")
    with (tmp_path / LOCK).open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match=rf"is in use by process {os.getpid()}"):
            FolderLock.acquire(tmp_path)
        assert json.loads(held.read())["started"] == "another boot:1"
    FolderLock.acquire(tmp_path).release()


def test_a_lock_that_is_another_file_each_time_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_lock, "_is_still_there", lambda path, descriptor: False)
    with pytest.raises(
        ConfigError, match="is locked and unlocked again and again by another process"
    ):
        FolderLock.acquire(tmp_path)


def test_a_failed_write_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        FolderLock.acquire(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_of_many_that_find_a_stale_lock_one_takes_it_over(tmp_path: Path):
    """Each process says whether it has it, and keeps it until all have tried."""
    write(tmp_path, started="another boot:1")
    program = (
        "import sys, pathlib; from tinygrad_ckn.training.lock import FolderLock, ConfigError\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "try: lock = FolderLock.acquire(pathlib.Path(sys.argv[1])); print('mine', flush=True)\n"
        "except ConfigError: print('refused', flush=True)\n"
        "sys.stdin.readline()"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    try:
        assert all(racer.stdout.readline() == "ready\n" for racer in racers)
        for racer in racers:
            racer.stdin.write("\n")
            racer.stdin.flush()
        assert sorted(racer.stdout.readline() for racer in racers) == ["mine\n", *["refused\n"] * 3]
    finally:
        for racer in racers:
            racer.communicate("\n")
    # The holder ended without releasing it.
    FolderLock.acquire(tmp_path).release()


def test_when_a_process_started():
    assert started(os.getpid()) == started(os.getpid()) != started(1)
    assert started(0) is started(-1) is started(2**22 + 1) is None


def test_where_the_system_does_not_say_a_process_that_is_there_has_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_lock, "started", lambda pid: "")
    assert MINE.is_running()
    assert not MINE.is_elsewhere()
    assert Holder(1, socket.gethostname() + "x", "", "").is_elsewhere()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_lock_that_is_not_a_file_is_refused_in_one_sentence(tmp_path: Path):
    os.mkfifo(tmp_path / "training.lock")
    with pytest.raises(ConfigError, match=r"training\.lock: expected a regular file as lock, got"):
        FolderLock.acquire(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["training.lock"]
