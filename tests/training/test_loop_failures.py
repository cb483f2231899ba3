"""Files that a refused, failed or interrupted training leaves."""

from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn import plots
from tinygrad_ckn.data import Dataset, Split
from tinygrad_ckn.errors import ConfigError, DataError, TrainingWarning
from tinygrad_ckn.models import Progress
from tinygrad_ckn.training import Run, checkpoint, load_model, resume, train
from tinygrad_ckn.training import run as run_module

FAST = {"n_patches": 1000}


def test_a_folder_with_files_is_refused_before_anything_is_learned(
    few_digits: Dataset, tmp_path: Path
):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(ConfigError, match="expected a new or empty folder"):
        train(few_digits, out=tmp_path, report=lambda progress: pytest.fail("it learned"))
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_one_class_is_refused_before_anything_is_learned(few_digits: Dataset, tmp_path: Path):
    told: list[Progress] = []
    zeros = Split(few_digits.train.images, np.zeros(len(few_digits.train), dtype=np.int64))
    data = Dataset("zeros", zeros, few_digits.test, 10, few_digits.class_names)
    with pytest.raises(
        DataError, match="expected two or more classes to train on, got class 0 alone"
    ):
        train(data, out=tmp_path / "run", report=told.append)
    assert [(progress.phase, progress.done) for progress in told] == [("filters", 0)]


@pytest.mark.parametrize("there", [False, True])
def test_a_failed_training_leaves_nothing(few_digits: Dataset, tmp_path: Path, there: bool):
    out = tmp_path / "run"
    if there:
        out.mkdir()
    with pytest.raises(DataError, match="expected at least 32 distinct nonzero points"):
        train(few_digits, n_patches=10, out=out)
    assert list(tmp_path.rglob("*")) == ([out] if there else [])
    train(few_digits, **FAST, out=out)


@pytest.mark.parametrize("error", [MemoryError, OSError, ZeroDivisionError])
def test_a_training_that_fails_later_leaves_its_filters(
    few_digits: Dataset, tmp_path: Path, error: type[Exception]
):
    def fail(progress: Progress) -> None:
        if progress.phase == "classifier":
            raise error

    with pytest.raises(error):
        train(few_digits, **FAST, out=tmp_path / "run", report=fail)
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {"config.json", "last.safetensors", "metrics.jsonl"}


def test_a_failed_training_removes_only_its_own_files(few_digits: Dataset, tmp_path: Path):
    def write(progress: Progress) -> None:
        (tmp_path / "run" / "notes.txt").write_text("mine")

    with pytest.raises(DataError):
        train(few_digits, n_patches=10, out=tmp_path / "run", report=write)
    assert list((tmp_path / "run").iterdir()) == [tmp_path / "run" / "notes.txt"]


def test_a_training_broken_off_can_be_resumed_but_not_started_again(
    few_digits: Dataset, tmp_path: Path
):
    def stop(progress: Progress) -> None:
        if progress.phase == "filters" and progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(few_digits, **FAST, out=tmp_path, report=stop)
    left = {"config.json", "last.safetensors", "metrics.jsonl"}
    assert {path.name for path in tmp_path.iterdir()} == left
    with pytest.raises(ConfigError, match="an interrupted run; go on with argument resume"):
        train(few_digits, **FAST, seed=1, out=tmp_path)
    result = resume(tmp_path, dataset=few_digits)
    assert [record["phase"] for record in result.run.records()] == [
        "filters",
        "filters",
        "classifier",
        "test",
    ]
    assert Run.open(tmp_path).config["options"]["seed"] == 0


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), MemoryError(), ValueError("no font")]
)
def test_a_picture_that_cannot_be_drawn_is_a_warning_and_the_result_is_there(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(plots, "filters", fail)
    with pytest.warns(
        TrainingWarning, match=r"expected to write filters\.png in .*, got .*; the model is saved"
    ):
        result = train(few_digits, **FAST, out=tmp_path / "run")
    assert result.accuracy > 0.5
    assert (
        load_model(tmp_path / "run").accuracy(few_digits.test.images, few_digits.test.labels)
        == result.accuracy
    )
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "README.txt",
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "report.html",
        "test.json",
    }


def test_a_last_line_that_cannot_be_written_is_a_warning_and_the_result_is_there(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    log = Run.log

    def full(self: Run, record: dict[str, object]) -> None:
        if record["phase"] == "test":
            raise OSError(28, "No space left on device", str(self.folder / "metrics.jsonl"))
        log(self, record)

    monkeypatch.setattr(Run, "log", full)
    with pytest.warns(
        TrainingWarning, match=r"the line of the test in metrics\.jsonl in .*No space left"
    ):
        result = train(few_digits, **FAST, out=tmp_path / "run")
    assert result.accuracy > 0.5
    assert (tmp_path / "run" / "filters.png").exists()


def test_a_last_epoch_that_cannot_be_written_is_a_warning_and_the_training_goes_on(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write = checkpoint.write_model

    def full(model: object, path: Path, *rest: object) -> None:
        if path.name == "last.safetensors":
            raise OSError(28, "No space left on device")
        write(model, path, *rest)

    monkeypatch.setattr(checkpoint, "write_model", full)
    options = {**FAST, "mode": "supervised", "epochs": 1, "lr": 1e-5}
    with pytest.warns(
        TrainingWarning, match=r"expected to write .*last\.safetensors, got No space left on"
    ):
        result = train(few_digits, **options, out=tmp_path / "run")
    assert result.accuracy > 0.5


def test_a_model_that_cannot_be_saved_leaves_the_best_epoch_and_says_so(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(model: object, path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(run_module, "save_model", full)
    options = {**FAST, "mode": "supervised", "epochs": 1, "lr": 1e-5}
    with pytest.raises(OSError, match="No space left") as caught:
        train(few_digits, **options, out=tmp_path / "run")
    assert caught.value.__notes__[0].startswith(
        f"kept in {tmp_path / 'run'}: checkpoint.safetensors ("
    )
    for name in ("checkpoint.safetensors", "last.safetensors"):
        load_model(tmp_path / "run" / name)


def test_two_trainings_do_not_share_a_folder(few_digits: Dataset, tmp_path: Path):
    refused: list[str] = []

    def another(progress: Progress) -> None:
        if progress.phase == "filters" and progress.done == 1:
            with pytest.raises(ConfigError, match=r"in use by process \d+") as caught:
                train(few_digits, **FAST, seed=5, out=tmp_path / "run")
            refused.append(str(caught.value))

    train(few_digits, **FAST, seed=1, out=tmp_path / "run", report=another)
    assert len(refused) == 1
    assert Run.open(tmp_path / "run").config["options"]["seed"] == 1
    with pytest.raises(ConfigError, match="got one with a finished run"):
        train(few_digits, **FAST, out=tmp_path / "run")
