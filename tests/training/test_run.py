import json
import platform
from datetime import datetime
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import tinygrad_ckn
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.models import CKN
from tinygrad_ckn.training import Run
from tinygrad_ckn.training import folder as _folder
from tinygrad_ckn.training import run as module


def test_config_holds_the_options_with_time_and_versions(tmp_path: Path):
    run = Run.create(tmp_path / "a" / "b", {"options": {"seed": 3}})
    config = json.loads((tmp_path / "a" / "b" / "config.json").read_text())
    assert config == run.config == Run.open(run.folder).config
    assert config["options"] == {"seed": 3}
    assert datetime.fromisoformat(config["created"]).tzinfo is not None
    assert config["versions"] == {
        "tinygrad-ckn": tinygrad_ckn.__version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("numpy", "scipy", "safetensors")},
    }


def test_a_version_that_is_not_installed(monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", missing)
    assert module.versions()["scipy"] is None


def test_default_folders_never_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    class Noon(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Noon":
            return cls(2026, 1, 2, 12, 0, 0)

    monkeypatch.setattr(_folder, "datetime", Noon)
    folders = [Run.create(None, {}, name="digits-ckn5").folder.as_posix() for _ in range(3)]
    start = "runs/20260102-120000-digits-ckn5"
    assert folders == [start, f"{start}-2", f"{start}-3"]


def test_an_existing_folder_is_taken_only_when_empty(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    Run.create(tmp_path / "empty", {})
    (tmp_path / "empty" / "model.safetensors").touch()
    before = (tmp_path / "empty" / "config.json").read_bytes()
    with pytest.raises(
        ConfigError, match="expected a new or empty folder for the run, got one with a finished run"
    ):
        Run.create(tmp_path / "empty", {"other": 1})
    assert (tmp_path / "empty" / "config.json").read_bytes() == before
    with pytest.raises(ConfigError, match="got a file"):
        Run.create(tmp_path / "empty" / "config.json", {})


@pytest.mark.parametrize(
    ("name", "content"), [("config.json", "{}"), ("metrics.jsonl", ""), ("notes.txt", "")]
)
def test_files_that_are_not_of_a_broken_off_run_are_kept(tmp_path: Path, name: str, content: str):
    if name == "notes.txt":
        Run.create(tmp_path, {})
    (tmp_path / name).write_text(content)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match="got one that holds files"):
        Run.create(tmp_path, {})
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_run_with_a_model_is_not_discarded(tmp_path: Path, model: CKN):
    run = Run.create(tmp_path / "run", {})
    run.save(model)
    run.discard()
    assert {path.name for path in run.folder.iterdir()} == {"config.json", "model.safetensors"}


def test_every_line_is_in_the_file_at_once(tmp_path: Path):
    run = Run.create(tmp_path / "run", {})
    assert run.records() == []
    for epoch in range(3):
        run.log({"epoch": epoch})
        lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
        assert json.loads(lines[-1]) == {"epoch": epoch}
    assert run.records() == [{"epoch": 0}, {"epoch": 1}, {"epoch": 2}]


def test_a_damaged_line_is_named(tmp_path: Path):
    run = Run.create(tmp_path / "run", {})
    run.log({"epoch": 1})
    with (run.folder / "metrics.jsonl").open("a") as stream:
        stream.write('{"epoch": \n')
    with pytest.raises(
        DataError,
        match=r"metrics.jsonl, line 2: expected a JSON object, got '{\"epoch\": '; remove",
    ):
        run.records()


def test_a_last_line_that_a_crash_cut_off_is_left_out(tmp_path: Path):
    run = Run.create(tmp_path / "run", {})
    run.log({"epoch": 1})
    with (run.folder / "metrics.jsonl").open("a") as stream:
        stream.write('{"epoch": ')
    assert run.records() == [{"epoch": 1}]


def test_model_goes_in_and_out(tmp_path: Path, model: CKN):
    run = Run.create(tmp_path / "run", {})
    with pytest.raises(DataError, match=r"expected model.safetensors in a finished run, got none"):
        run.load()
    run.save(model)
    np.testing.assert_array_equal(run.load().classifier.weight.data, model.classifier.weight.data)
