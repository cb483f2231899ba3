import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import files
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.files import atomic_write, is_special


def test_writes_and_replaces(tmp_path: Path):
    path = tmp_path / "file"
    atomic_write(path, b"old")
    atomic_write(str(path), b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_has_the_permissions_of_an_ordinary_file(tmp_path: Path):
    (tmp_path / "ordinary").write_bytes(b"")
    atomic_write(tmp_path / "file", b"")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_a_crash_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, failure: BaseException
):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def crash(*args: object) -> None:
        raise failure

    monkeypatch.setattr(os, step, crash)
    with pytest.raises(type(failure)):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_bytes_are_on_the_disk_before_the_name_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    calls = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        calls.append("fsync")
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        assert source.read_bytes() == b"new"
        assert source.parent == target.parent
        calls.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    atomic_write(tmp_path / "file", b"new")
    # of the file, then of the folder
    assert calls == ["fsync", "replace", "fsync"]


def test_folders_are_not_synced_where_they_cannot_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*args: object) -> int:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(PermissionError):
            files._sync_folder(tmp_path)
        patch.setattr(files.os, "name", "nt")
        files._sync_folder(tmp_path)


def test_missing_folder(tmp_path: Path):
    with pytest.raises(
        DataError, match=r"expected an existing folder to write to, got no folder .*none; create it"
    ):
        atomic_write(tmp_path / "none" / "file", b"")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o444])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path, mode: int):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "file").chmod(mode)
    atomic_write(tmp_path / "file", b"new")
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode
    assert (tmp_path / "file").read_bytes() == b"new"


@given(names=st.lists(st.text("abc.", min_size=1, max_size=5), max_size=4, unique=True))
def test_a_link_is_replaced_and_not_written_through(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
):
    folder = tmp_path_factory.mktemp("links")
    (folder / "victim").write_text("precious")
    (folder / "file").symlink_to(folder / "victim")
    # guesses of the temporary file's name
    for name in names:
        (folder / f".file.{name}.partial").symlink_to(folder / "victim")
    atomic_write(folder / "file", b"new")
    assert not (folder / "file").is_symlink()
    assert (folder / "file").read_bytes() == b"new"
    assert (folder / "victim").read_text() == "precious"


def test_a_name_that_was_foreseen_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".file.abcd.partial").symlink_to(tmp_path / "victim")
    tokens = iter(["abcd", "abcd", "0123"])
    monkeypatch.setattr(files.secrets, "token_hex", lambda n: next(tokens))
    atomic_write(tmp_path / "file", b"new")
    assert next(tokens, None) is None
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / "file").read_bytes() == b"new"


def test_two_writers_do_not_meet_and_the_last_one_wins(tmp_path: Path):
    with files.replacing(tmp_path / "file") as first:
        first.write(b"first")
        with files.replacing(tmp_path / "file") as second:
            second.write(b"second")
            assert len(list(tmp_path.iterdir())) == 2
        assert (tmp_path / "file").read_bytes() == b"second"
    assert (tmp_path / "file").read_bytes() == b"first"


def test_only_files_of_killed_writers_of_this_user_are_removed(tmp_path: Path):
    program = (
        "import os, sys; from tinygrad_ckn.files import replacing\n"
        "with replacing(sys.argv[1]): os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "file"], check=False)
    (abandoned,) = tmp_path.iterdir()
    assert files.is_partial(abandoned.name, "file")
    (tmp_path / ".file.0123.partial.keep").touch()
    (tmp_path / ".other.0123.partial").touch()
    (tmp_path / "file.0123.partial").touch()
    os.mkfifo(tmp_path / ".file.0.partial")
    with files.replacing(tmp_path / "file"):
        # another writer, who cleans up before
        atomic_write(tmp_path / "file", b"new")
        left = {path.name for path in tmp_path.iterdir()} - {abandoned.name}
    assert not abandoned.exists()
    # with the temporary file of the writer under way
    assert len(left) == 6
    assert {path.name for path in tmp_path.iterdir()} == {
        ".file.0123.partial.keep",
        ".other.0123.partial",
        "file.0123.partial",
        ".file.0.partial",
        "file",
    }
    files.remove_abandoned(tmp_path)
    assert not (tmp_path / ".other.0123.partial").exists()
    files.remove_abandoned(tmp_path / "nowhere")


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path):
    """Stands for a device, since a test must not write to a real one."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    atomic_write(tmp_path / "pipe", b"content")
    assert os.read(reader, 100) == b"content"
    os.close(reader)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "a b\n.csv"])
def test_any_name_that_a_file_may_have(tmp_path: Path, name: str):
    atomic_write(tmp_path / name, b"content")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_full_disk_is_reported_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        atomic_write(tmp_path / "file", b"")
    assert caught.value.filename == str(tmp_path / "file")


def test_nothing_writes_a_file_in_place():
    """Every result goes through files.py: a crash leaves the old file or the new one."""
    package = Path(files.__file__).parent
    calls = re.compile(
        r"write_text\(|write_bytes\(|\bnp\.save\(|xp\.save\(|savetxt|open\([^)]*[\"']w|mode=\"w"
    )
    found = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in sorted(package.rglob("*.py"))
        for line in path.read_text().splitlines()
        if calls.search(line)
        and ">>>" not in line
        and "..." not in line
        and path.name != "files.py"
    ]
    assert found == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Linux has it")
def test_a_name_of_an_open_file_is_written_to_and_never_replaced(tmp_path: Path):
    path = tmp_path / "out"
    script = (
        "from tinygrad_ckn.files import atomic_write; atomic_write('/proc/self/fd/1', b'hello')"
    )
    with path.open("wb") as stream:
        subprocess.run([sys.executable, "-c", script], stdout=stream, check=True, timeout=60)
    assert path.read_bytes() == b"hello"
    assert is_special(Path("/dev/stdout"))
    assert not is_special(Path("/dev/shm/x"))
    assert not is_special(tmp_path / "dev")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_full_device_is_named():
    with pytest.raises(OSError, match="/dev/full"):
        atomic_write("/dev/full", b"hello")


@pytest.mark.parametrize("name", ["", ".", "folder"])
def test_a_folder_is_not_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    with pytest.raises(
        DataError, match="expected a file to write to, got a folder; give a file in it"
    ):
        atomic_write(name, b"hello")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
