"""What a training that is refused, fails or is broken off leaves."""

from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import Dataset, Split
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.models import Progress
from tinygrad_ckn.training import Run, train

FAST = {"n_patches": 1000}


def test_a_folder_with_files_is_refused_before_anything_is_learned(few_digits: Dataset, tmp_path: Path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(ConfigError, match="expected a new or empty folder"):
        train(few_digits, out=tmp_path, report=lambda progress: pytest.fail("it learned"))
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_one_class_is_refused_before_anything_is_learned(few_digits: Dataset, tmp_path: Path):
    told: list[Progress] = []
    zeros = Split(few_digits.train.images, np.zeros(len(few_digits.train), dtype=np.int64))
    data = Dataset("zeros", zeros, few_digits.test, 10, few_digits.class_names)
    with pytest.raises(DataError, match="expected two or more classes to train on, got class 0 alone"):
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
def test_a_training_that_fails_otherwise_leaves_nothing_either(
    few_digits: Dataset, tmp_path: Path, error: type[Exception]
):
    def fail(progress: Progress) -> None:
        if progress.phase == "classifier":
            raise error

    with pytest.raises(error):
        train(few_digits, **FAST, out=tmp_path / "run", report=fail)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_training_removes_nothing_but_its_own_files(few_digits: Dataset, tmp_path: Path):
    def write(progress: Progress) -> None:
        (tmp_path / "run" / "notes.txt").write_text("mine")

    with pytest.raises(DataError):
        train(few_digits, n_patches=10, out=tmp_path / "run", report=write)
    assert list((tmp_path / "run").iterdir()) == [tmp_path / "run" / "notes.txt"]


def test_a_training_broken_off_can_be_started_again(few_digits: Dataset, tmp_path: Path):
    def stop(progress: Progress) -> None:
        if progress.phase == "filters" and progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(few_digits, **FAST, out=tmp_path, report=stop)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "metrics.jsonl"}
    result = train(few_digits, **FAST, seed=1, out=tmp_path)
    assert [record["phase"] for record in result.run.records()] == ["filters", "filters", "classifier", "test"]
    assert Run.open(tmp_path).config["options"]["seed"] == 1
