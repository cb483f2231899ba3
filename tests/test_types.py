"""A user's program under mypy --strict and pyright: no Any in it, and its mistakes are found."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "typing"
ROOT = FOLDER.parent.parent


def mypy():
    pytest.importorskip("mypy", reason="mypy is not installed (pip install -e '.[dev]')")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    command += [f"--cache-dir={ROOT / '.mypy_cache'}"]
    return run([*command, "program.py", "mistakes.py"], {"MYPYPATH": str(ROOT)})


def pyright():
    script = shutil.which("pyright", path=str(Path(sys.executable).parent))
    if script is None:
        pytest.skip("pyright is not installed (pip install -e '.[dev]')")
    return run([script, "--pythonpath", sys.executable], {})


def run(command, variables):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=FOLDER, env=environment, check=False
    )
    if "rror" in done.stderr and not done.stdout:
        pytest.skip(f"{Path(command[0]).name} does not run here: {done.stderr.splitlines()[-1]}")
    return done.stdout


def lines_with_errors(output, file):
    return {int(n) for n in re.findall(rf"{file}:(\d+)[:\d]*:?(?: -)? error", output)}


def marked(file):
    lines = (FOLDER / file).read_text().splitlines()
    return {i for i, line in enumerate(lines, 1) if line.endswith("# error")}


@pytest.mark.parametrize("check", [mypy, pyright])
def test_a_correct_program_passes_and_each_mistake_is_found(check):
    output = check()
    assert lines_with_errors(output, "program.py") == set(), output
    assert lines_with_errors(output, "mistakes.py") == marked("mistakes.py"), output


@pytest.mark.parametrize("check", [mypy, pyright])
def test_no_any_is_revealed(check):
    revealed = re.findall(r"program.py.*?(?:Revealed type|Type of \".*?\") is (.*)", check())
    assert len(revealed) >= 5
    assert not [text for text in revealed if text.strip('"') in ("Any", "Unknown")]


def test_the_program_runs():
    assert "Runtime type is 'Tensor'" in run_program()


def run_program():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "program.py"],
        capture_output=True,
        text=True,
        cwd=FOLDER,
        env=environment,
        check=True,
    )
    return done.stderr
