import os
from pathlib import Path

import pytest

from tinygrad_ckn import _files
from tinygrad_ckn._files import atomic_write
from tinygrad_ckn.errors import DataError


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


def test_bytes_are_on_the_disk_before_the_name_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
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
    assert calls == ["fsync", "replace", "fsync"]  # of the file, then of the folder


def test_folders_are_not_synced_where_they_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object) -> int:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(PermissionError):
            _files._sync_folder(tmp_path)
        patch.setattr(_files.os, "name", "nt")
        _files._sync_folder(tmp_path)


def test_missing_folder(tmp_path: Path):
    with pytest.raises(DataError, match=r"expected an existing folder to write to, got no folder .*none; create it"):
        atomic_write(tmp_path / "none" / "file", b"")
