from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Invoke = Callable[..., Result]


def test_train_wrote_the_report_that_the_command_writes(
    invoke: Invoke, run_folder: Path, tmp_path: Path
):
    path = tmp_path / "page.html"
    result = invoke("report", run_folder, "-o", path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"wrote the report of 1 run to {path}\n"
    assert path.read_bytes() == (run_folder / "report.html").read_bytes()


def test_several_runs(
    invoke: Invoke, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    result = invoke("report", run_folder, run_folder)
    assert result.stdout == "wrote the report of 2 runs to report.html\n"
    assert "Side by side" in Path("report.html").read_text()
    # A report is replaced.
    assert invoke("report", run_folder, run_folder).exit_code == 0


def test_other_files_are_not_overwritten(invoke: Invoke, run_folder: Path, tmp_path: Path):
    path = tmp_path / "thesis.html"
    path.write_text("years of work")
    result = invoke("report", run_folder, "-o", path)
    assert result.exit_code == 1
    assert f"error: {path}: expected a new file, or a report" in result.stderr
    assert "choose another with --output" in result.stderr
    assert path.read_text() == "years of work"
    assert "got a folder" in invoke("report", run_folder, "-o", tmp_path).stderr


def test_a_folder_without_a_run_is_named(invoke: Invoke, tmp_path: Path):
    result = invoke("report", tmp_path)
    assert result.exit_code == 1
    assert f"error: {tmp_path}: expected the folder of a run" in result.stderr
