import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from benchmarks import run
from benchmarks.suites import SUITES
from tinygrad_ckn.cli import bench as _bench

Invoke = Callable[..., Result]


def test_a_sentence_without_a_checkout(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(_bench, "ROOT", tmp_path)
    result = invoke("bench", "ckn5")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: bench: expected the folder benchmarks next to the package, got none in "
        f"{tmp_path}; benchmarks are not part of the installed package: run `python -m benchmarks` "
        "in a checkout\n"
    )


def test_the_checkout_is_found_from_anywhere(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(_bench.ROOT)])
    assert invoke("bench", "--list").exit_code == 0
    assert sys.path[0] == str(_bench.ROOT)


def test_the_list_names_every_suite(invoke: Invoke):
    lines = invoke("bench", "--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(SUITES)


def test_the_same_by_module(tmp_path: Path):
    command = [sys.executable, "-m", "benchmarks", "--list"]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=_bench.ROOT, check=True)
    assert finished.stdout.splitlines()[0].startswith("ckn5 ")


def test_an_unknown_suite_is_one_sentence(invoke: Invoke):
    result = invoke("bench", "fast")
    assert result.exit_code == 1
    assert (
        result.stderr
        == f"error: bench: argument SUITE expected one of {', '.join(SUITES)}, got 'fast'\n"
    )


@pytest.mark.parametrize(("failures", "status"), [({}, 0), ({"mlp": "it failed"}, 1)])
def test_options_reach_the_benchmarks(
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    failures: dict[str, str],
    status: int,
):
    given = []

    def instead(suites, settings, out, console):
        given.append(([suite.name for suite in suites], settings, out))
        return failures

    monkeypatch.setattr(run, "run", instead)
    result = invoke("bench", "mlp", "ckn5", "--threads", 3, "--rounds", 4, "--out", tmp_path / "x")
    assert result.exit_code == status
    ((names, settings, out),) = given
    assert names == ["mlp", "ckn5"]
    assert (settings.device, settings.threads, settings.rounds) == ("cpu", 3, 4)
    assert out == tmp_path / "x"


def test_the_folder_is_one_of_the_runs_by_default(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    given = []
    monkeypatch.setattr(run, "run", lambda suites, settings, out, console: given.append(out) or {})
    assert invoke("bench").exit_code == 0
    assert given[0].parts[0] == "runs"
    assert given[0].name.endswith("-bench")


def test_zero_threads_are_wrong_usage(invoke: Invoke):
    assert invoke("bench", "--threads", 0).exit_code == 2
