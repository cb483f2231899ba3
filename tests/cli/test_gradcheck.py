import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tinygrad_ckn.cli import app
from tinygrad_ckn.testing import runner

Invoke = Callable[..., Result]


@dataclass
class Checked:
    name: str
    order1: float | None = 1e-9
    order2: float | None = None
    adjoint: float | None = None
    cases: int = 4
    verdict: str = "ok"
    message: str = ""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Arguments of the runner; one of its two primitives fails if "results" says so."""
    asked: dict[str, Any] = {
        "results": [Checked("exp"), Checked("unfold", 2.5e-8, 1e-7, 3e-16, 12)]
    }

    def run_cases(
        names: Sequence[str] | None,
        *,
        examples: int,
        device: str,
        on_result: Callable[[Checked], None],
    ) -> list[Checked]:
        asked.update(names=names, examples=examples, device=device)
        for result in asked["results"]:
            on_result(result)
        return list(asked["results"])

    monkeypatch.setattr(runner, "run_cases", run_cases)
    return asked


def test_a_line_for_each_primitive(invoke: Invoke, asked: dict[str, Any]):
    result = invoke("gradcheck")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["primitive", "order", "1", "order", "2", "adjoint", "cases", "verdict"],
        ["exp", "1.0e-09", "-", "-", "4", "ok"],
        ["unfold", "2.5e-08", "1.0e-07", "3.0e-16", "12", "ok"],
        ["2", "primitives", "checked,", "0", "failed"],
    ]
    columns = {line.index(line.split()[-1]) for line in result.stdout.splitlines()[:-1]}
    # Columns are aligned.
    assert len(columns) == 1
    assert (asked["names"], asked["device"]) == (None, "cpu")
    assert asked["examples"] >= 1


def test_options_reach_the_runner(invoke: Invoke, asked: dict[str, Any]):
    invoke(
        "gradcheck", "--primitive", "exp", "--primitive", "log", "--examples", 7, "--device", "cuda"
    )
    assert (asked["names"], asked["examples"], asked["device"]) == (["exp", "log"], 7, "cuda")


def test_failures_are_explained_and_are_status_1(invoke: Invoke, asked: dict[str, Any]):
    asked["results"].append(
        Checked("sqrt", 0.5, verdict="FAIL", message="input x at [0]: numeric 1, analytic 2")
    )
    result = invoke("gradcheck")
    assert result.exit_code == 1
    *table, blank, message, closing = result.stdout.splitlines()
    assert table[-1].split() == ["sqrt", "5.0e-01", "-", "-", "4", "FAIL"]
    assert (blank, message) == ("", "sqrt: input x at [0]: numeric 1, analytic 2")
    assert closing == "3 primitives checked, 1 failed"
    assert result.stderr == ""


def test_verdicts_have_colours_on_a_terminal(asked: dict[str, Any]):
    asked["results"] = [Checked("exp"), Checked("sqrt", verdict="FAIL")]
    output = CliRunner().invoke(app, ["gradcheck"], env={"FORCE_COLOR": "1"}).stdout
    assert "\x1b[32mok" in output
    assert "\x1b[31mFAIL" in output


def test_real_primitives(invoke: Invoke):
    result = invoke("gradcheck", "--primitive", "exp", "--examples", 2)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "1 primitives checked, 0 failed"


def test_unknown_primitive(invoke: Invoke):
    result = invoke("gradcheck", "--primitive", "frobnicate")
    assert result.exit_code == 1
    assert "got frobnicate" in result.stderr


def forget_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    import tinygrad_ckn.testing

    monkeypatch.delitem(sys.modules, "tinygrad_ckn.testing.runner")
    monkeypatch.delattr(tinygrad_ckn.testing, "runner")


def test_without_hypothesis(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    forget_runner(monkeypatch)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    result = invoke("gradcheck")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: gradcheck: expected the packages for testing, got no hypothesis; pip install -e "
        "'.[test]' in a checkout of tinygrad-ckn\n"
    )


def test_another_missing_module_is_a_bug(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    forget_runner(monkeypatch)
    monkeypatch.setitem(sys.modules, "tinygrad_ckn.testing.runner", None)
    assert isinstance(invoke("gradcheck").exception, ModuleNotFoundError)
