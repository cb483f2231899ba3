from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import Dataset
from tinygrad_ckn.errors import TrainingWarning
from tinygrad_ckn.training import Result, result, train


def test_counts_are_those_of_the_confusion(few_digits: Dataset, tmp_path: Path) -> None:
    trained = train(few_digits, n_patches=300, iterations=1, out=tmp_path / "run")
    confusion = np.array([[3, 1], [0, 4]])
    measured = Result(trained.run, trained.model, confusion, {}, None)
    assert (measured.total, measured.correct, measured.accuracy) == (8, 7, 7 / 8)
    without = Result(trained.run, trained.model, None, {}, None)
    assert (without.total, without.correct, without.accuracy) == (0, 0, None)


def test_the_line_of_the_test_comes_after_the_other_files(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[bool] = []

    def refuse(runs: list[result.Run], **_: object) -> None:
        finished.append(runs[0].is_finished)
        raise OSError("no room")

    monkeypatch.setattr(result, "write_report", refuse)
    with pytest.warns(TrainingWarning, match="expected to write report.html in .*, got no room"):
        trained = train(few_digits, n_patches=300, iterations=1, out=tmp_path / "run")
    assert finished == [False]
    assert trained.run.is_finished
