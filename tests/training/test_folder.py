"""Folders that a training may write to, and the files that it leaves."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.training import Run
from tinygrad_ckn.training import folder as _folder
from tinygrad_ckn.training.config import read_config
from tinygrad_ckn.training.folder import claim
from tinygrad_ckn.training.lock import LOCK


def test_a_claimed_folder_is_exclusive_and_is_removed_if_empty(
    tmp_path: Path,
) -> None:
    with claim(tmp_path / "a" / "run", "run") as claimed:
        assert claimed.made
        with pytest.raises(ConfigError, match="is in use by process"):
            claim(tmp_path / "a" / "run", "run")
        assert {path.name for path in claimed.folder.iterdir()} == {LOCK}
    assert not (tmp_path / "a" / "run").exists()
    claimed.release()
    with claim(tmp_path / "a" / "run", "run") as claimed:
        (claimed.folder / "file").touch()
    assert [path.name for path in claimed.folder.iterdir()] == ["file"]


def test_an_empty_folder_that_was_there_stays(tmp_path: Path) -> None:
    with claim(tmp_path, "run") as claimed:
        assert not claimed.made
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_trainings_are_cleaned_and_nothing_else(tmp_path: Path) -> None:
    Run.create(tmp_path, {})
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    (tmp_path / LOCK).write_text("")
    for name in ("config.json", "checkpoint.safetensors", "model.safetensors", "filters.png"):
        (tmp_path / f".{name}.0123abcd.partial").touch()
    with claim(tmp_path, "run"):
        assert {path.name for path in tmp_path.iterdir()} == {LOCK}


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        ".notes.0123.partial",
        "model.safetensors",
        ".checkpoint.safetensors.partial",
        "checkpoint.safetensors",
    ],
)
def test_a_folder_with_other_files_is_refused_and_not_changed(tmp_path: Path, name: str) -> None:
    Run.create(tmp_path, {})
    (tmp_path / name).write_text("mine")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match="expected a new or empty folder for the run, got one "):
        claim(tmp_path, "run")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_files_of_a_training_without_its_config_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("mine")
    with pytest.raises(ConfigError, match="got one that holds files"):
        claim(tmp_path, "run")
    assert (tmp_path / "metrics.jsonl").read_text() == "mine"


def test_files_that_appear_while_the_lock_is_taken_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another training that finishes between the first look and the lock."""
    acquire = _folder.FolderLock.acquire

    def late(folder: Path) -> object:
        (folder / "model.safetensors").touch()
        return acquire(folder)

    monkeypatch.setattr(_folder.FolderLock, "acquire", late)
    with pytest.raises(ConfigError, match="got one that holds files"):
        claim(tmp_path, "run")
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_folder_that_another_training_has_just_removed_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire, calls = _folder.FolderLock.acquire, []

    def removed_once(folder: Path) -> object:
        calls.append(folder)
        if len(calls) == 1:
            folder.rmdir()
        return acquire(folder)

    monkeypatch.setattr(_folder.FolderLock, "acquire", removed_once)
    with claim(tmp_path / "run", "run"):
        assert len(calls) == 2


def test_a_lock_that_cannot_be_made_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_folder.FolderLock, "acquire", full)
    with pytest.raises(OSError, match="No space left"):
        claim(tmp_path / "run", "run")
    assert list(tmp_path.iterdir()) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\x1b[31m"),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
)
FIELDS = [
    "data",
    "data_dir",
    "name",
    "train",
    "test",
    "image_shape",
    "n_classes",
    "classes",
    "class_names",
]


@given(st.binary() | JSON.map(lambda x: json.dumps(x).encode()))
def test_any_config_is_read_or_refused_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("run")
    (folder / "config.json").write_bytes(content)
    with pytest.raises(DataError) as caught:
        Run.open(folder)
    assert str(caught.value).isprintable()


@given(field=st.sampled_from(FIELDS), value=JSON)
def test_any_value_of_a_field_is_of_its_kind_or_refused(
    tmp_path_factory: pytest.TempPathFactory, field: str, value: object
) -> None:
    folder = tmp_path_factory.mktemp("run")
    head = {"format": "tinygrad-ckn run", "format_version": 1}
    (folder / "config.json").write_text(json.dumps({**head, "data": {field: value}}))
    try:
        found = read_config(folder)["data"][field]
    except DataError as error:
        assert f"expected data.{field} to be" in str(error)
        assert str(error).isprintable()
        return
    texts = (
        [x for x in found if isinstance(x, str)]
        if field in ("class_names", "classes")
        else [found]
        if field == "name"
        else []
    )
    assert all(isinstance(text, str) and text.isprintable() for text in texts)


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b"9" * 5000, b'{"format": "tinygrad-ckn run", "format_version": true}'],
)
def test_content_that_breaks_parsers_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(DataError):
        Run.open(tmp_path)


@given(st.binary() | st.lists(JSON.map(json.dumps)).map(lambda lines: "\n".join(lines).encode()))
def test_any_metrics_are_read_or_refused_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    run = Run.create(tmp_path_factory.mktemp("parent") / "run", {})
    (run.folder / "metrics.jsonl").write_bytes(content)
    try:
        assert all(isinstance(record, dict) for record in run.records())
    except DataError as error:
        assert str(error).isprintable()
        assert "metrics.jsonl, line " in str(error)


def test_a_full_disk_leaves_the_previous_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.create(tmp_path / "run", {})
    run.log({"epoch": 1})
    write, calls = os.write, []

    def half(descriptor: int, content: bytes) -> int:
        calls.append(content)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write(descriptor, content[: len(content) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(OSError, match="No space left") as caught:
            run.log({"epoch": 2})
    assert caught.value.filename == str(run.folder / "metrics.jsonl")
    assert run.records() == [{"epoch": 1}]


def test_class_names_with_escape_codes_are_refused_before_training(
    tmp_path: Path,
) -> None:
    with pytest.raises(
        DataError, match=r"expected data\.class_names to be a list of texts that can be printed"
    ):
        Run.create(tmp_path / "run", {"data": {"class_names": ["a", "\x1b[2J"]}})
    assert list(tmp_path.iterdir()) == []


def test_an_empty_path_is_refused():
    with pytest.raises(ConfigError, match=r"^train: argument out expected the path of a folder"):
        _folder.claim("", "digits")
