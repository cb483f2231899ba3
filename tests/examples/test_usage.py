"""Scripts and benchmark modules: their help, and errors for wrong usage."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import warm_python

ROOT = Path(__file__).parents[2]
# Not scripts/fuzz_mutators.py, a module of fuzz.py.
SCRIPTS = sorted(
    path.relative_to(ROOT)
    for folder in ("examples", "examples/models", "scripts")
    for path in (ROOT / folder).glob("[!_]*.py")
    if "__main__" in path.read_text()
)
# Not benchmarks/worker.py, the other end of a pipe.
MODULES = [
    p
    for p in (ROOT / "benchmarks").glob("*.py")
    if "__main__" in p.stem + p.read_text() and p.stem != "worker"
]
COMMANDS = [[str(path)] for path in SCRIPTS]
COMMANDS += [
    ["-m", f"benchmarks.{path.stem}".removesuffix(".__main__")] for path in sorted(MODULES)
]
commands = pytest.mark.parametrize("command", COMMANDS, ids=" ".join)


def run(command: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return warm_python.run([*command, *arguments], cwd=ROOT)


def state() -> dict[Path, int]:
    """The files that a script might write, with the time when they were written."""
    files = [
        *ROOT.glob("*"),
        *(ROOT / "docs").glob("*"),
        *(ROOT / "tinygrad_ckn" / "data").glob("*"),
    ]
    return {path: path.stat().st_mtime_ns for path in files if path.is_file()}


def test_all_are_found():
    assert len(COMMANDS) >= 9
    assert {path.name for path in SCRIPTS} >= {"kernel_trick.py", "fuzz.py", "make_digits.py"}


@commands
def test_the_help_says_what_it_does_and_does_nothing(command: list[str]):
    before, finished = state(), run(command, "-h")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert re.match(r"usage: ", finished.stdout, re.IGNORECASE)
    assert len(finished.stdout.splitlines()) >= 5
    assert state() == before


@commands
@pytest.mark.parametrize("wrong", [["--nonsense"], ["a", "b", "c"]], ids=" ".join)
def test_wrong_usage_is_one_sentence_and_status_2(command: list[str], wrong: list[str]):
    before, finished = state(), run(command, *wrong)
    if command == ["-m", "benchmarks"] and not wrong[0].startswith("-"):
        # names of suites, refused as a value is
        assert (finished.returncode, finished.stderr.count("\n")) == (1, 1)
    else:
        assert finished.returncode == 2
    assert finished.stdout == ""
    assert "Traceback" not in finished.stderr
    assert sum("error:" in line.lower() for line in finished.stderr.splitlines()) == 1
    assert state() == before


@pytest.mark.parametrize("path", ["no/such/folder/file.png", "docs"])
def test_the_kernel_trick_refuses_what_it_cannot_write(path: str):
    pytest.importorskip("sklearn", reason="the support vector machine needs the extra [sklearn]")
    finished = run(["examples/kernel_trick.py"], path)
    assert finished.returncode == 2
    assert finished.stderr.endswith(
        f"expected a file to write, in a folder that exists, got {path}\n"
    )


def test_the_kernel_trick_needs_no_argument(tmp_path: Path):
    pytest.importorskip("sklearn", reason="the support vector machine needs the extra [sklearn]")
    shutil.copy(ROOT / "examples" / "kernel_trick.py", tmp_path)
    command = [sys.executable, "kernel_trick.py"]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert finished.stdout.splitlines()[-1] == "picture in kernel_trick.png"
    assert (tmp_path / "kernel_trick.png").read_bytes().startswith(b"\x89PNG")


def test_the_challenge_without_arguments_says_what_it_needs():
    finished = run(["examples/kernel_challenge.py"])
    assert finished.returncode == 2
    assert finished.stderr.splitlines()[-1] == "Error: Missing option '--train'."
