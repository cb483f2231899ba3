import json
from dataclasses import replace

import pytest
from rich.console import Console

from benchmarks import run
from benchmarks.suite import Settings, Side, Suite
from tinygrad_ckn.errors import ConfigError


@pytest.fixture
def suites(fakes, case_of):
    right = case_of(Side("ours", fakes.doubling), Side("peer", fakes.doubling))
    wrong = case_of(Side("ours", fakes.doubling), Side("peer", fakes.doubling, {"factor": 3}))
    return {
        "wrong": Suite(
            "wrong", "a peer that is wrong", lambda _: [replace(right, name="before"), wrong]
        ),
        "right": Suite(
            "right", "one thread", lambda _: [right], threads=1, devices=("cpu", "cuda")
        ),
    }


def test_suites_are_chosen_by_name(suites):
    assert run.chosen(["right"], "cpu", suites) == [suites["right"]]
    assert run.chosen([], "cpu", suites) == list(suites.values())
    assert run.chosen([], "cuda", suites) == [suites["right"]]
    with pytest.raises(
        ConfigError, match="bench: argument SUITE expected one of wrong, right, got 'left'"
    ):
        run.chosen(["left"], "cpu", suites)
    with pytest.raises(ConfigError, match="bench: suite wrong runs on cpu, got --device cuda"):
        run.chosen(["wrong"], "cuda", suites)


def test_a_failing_suite_does_not_stop_the_others(suites, tmp_path):
    console = Console(record=True, width=200)
    out = tmp_path / "new" / "folder"
    failures = run.run(list(suites.values()), Settings(threads=2), out, console)
    assert list(failures) == ["wrong"]
    assert "peer expected doubled within" in failures["wrong"]
    text = console.export_text()
    assert "wrong ends here: doubling: peer expected doubled" in text
    assert "before: 6 steps each, 2 threads" in text
    assert "doubling: 6 steps each, one thread" in text
    assert "processor" in text
    content = json.loads((out / "results.json").read_text())
    assert content["failures"] == failures
    assert {
        name: [case["name"] for case in cases] for name, cases in content["suites"].items()
    } == {
        "wrong": ["before"],
        "right": ["doubling"],
    }
    assert content["machine"]["device"] == "cpu"
    assert {"date", "numpy", "torch", "python", "platform"} <= set(content["machine"])


def test_charts_are_drawn(suites, tmp_path):
    run.run([suites["right"]], Settings(), tmp_path, Console(quiet=True))
    assert (tmp_path / "right.png").is_file()
