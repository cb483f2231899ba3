import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import tinygrad_ckn
from tinygrad_ckn import cli, errors
from tinygrad_ckn.cli import app
from tinygrad_ckn.cli import train as _train
from tools import warm_python

Invoke = Callable[..., Result]


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*args: Any, **options: Any) -> None:
        raise error

    return fail


def test_version_and_module(tinygrad_ckn: Callable[..., subprocess.CompletedProcess[str]]):
    finished = tinygrad_ckn("--version")
    assert (finished.returncode, finished.stdout, finished.stderr) == (
        0,
        f"tinygrad-ckn {VERSION}\n",
        "",
    )


VERSION = tinygrad_ckn.__version__


def test_entry_point(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(sys, "argv", ["whatever", "--version"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"tinygrad-ckn {VERSION}\n"


def test_the_module_is_the_command():
    script = Path(sys.executable).with_name("tinygrad-ckn")
    if not script.exists():
        pytest.skip("the package is not installed as a command")

    def anew(arguments: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(arguments, capture_output=True, text=True, check=False)

    starts = ["-m", "tinygrad_ckn"], [str(script)]
    for arguments in (["--help"], ["train", "--model", "x"], ["nonsense"]):
        if arguments == ["nonsense"]:
            # in processes that start anew, so that the system runs the command
            module, command = (
                anew([sys.executable, *starts[0], *arguments]),
                anew([*starts[1], *arguments]),
            )
        else:
            module, command = (warm_python.run([*start, *arguments]) for start in starts)
        assert (command.returncode, command.stdout, command.stderr) == (
            module.returncode,
            module.stdout,
            module.stderr,
        )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str):
    """The completion of `tinygrad-ckn tr<TAB>`, and the script that a shell sources."""
    command = ["-m", "tinygrad_ckn"]
    ask = {
        "_TINYGRAD_CKN_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "tinygrad-ckn tr",
        "COMP_CWORD": "1",
    }
    ask |= {"_TYPER_COMPLETE_ARGS": "tinygrad-ckn tr", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    completions = warm_python.run(command, env=os.environ | ask).stdout
    assert "train" in completions
    assert "gradcheck" not in completions
    script = os.environ | {"_TINYGRAD_CKN_COMPLETE": f"source_{shell}"}
    assert "tinygrad-ckn" in warm_python.run(command, env=script).stdout


def test_wrong_usage_is_status_2(invoke: Invoke):
    assert invoke("train", "--colour").exit_code == 2
    assert invoke("train", "--epochs", "many").exit_code == 2
    assert invoke("fly").exit_code == 2


@pytest.mark.parametrize(
    "error",
    [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.CKNError)
    ],
)
def test_every_error_of_the_library_is_one_sentence(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
):
    monkeypatch.setattr(_train.loop, "train", failing(error("this: expected that, got another")))
    result = invoke("train")
    assert (result.exit_code, result.stderr) == (1, "error: this: expected that, got another\n")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError(13, "Permission denied", "runs/x"), "runs/x: Permission denied"),
        (OSError("no more"), "no more"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_errors_of_the_machine(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
):
    monkeypatch.setattr(_train.loop, "train", failing(error))
    result = invoke("train")
    assert (result.exit_code, result.stderr) == (1, f"error: {sentence}\n")


def test_the_prefix_is_red_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_train.loop, "train", failing(errors.DataError("this")))
    result = CliRunner().invoke(app, ["train"], env={"FORCE_COLOR": "1"})
    assert result.stderr == "\x1b[31m\x1b[1merror:\x1b[0m this\n"


def test_bugs_are_not_caught(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_train.loop, "train", failing(ZeroDivisionError("a bug")))
    assert isinstance(invoke("train").exception, ZeroDivisionError)


def test_traceback_on_request(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_train.loop, "train", failing(errors.DataError("this")))
    assert isinstance(invoke("--traceback", "train").exception, errors.DataError)
    monkeypatch.setenv("TINYGRAD_CKN_TRACEBACK", "1")
    assert isinstance(invoke("train").exception, errors.DataError)


def test_a_reader_that_has_gone_is_left_to_typer(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_train.loop, "train", failing(BrokenPipeError(32, "Broken pipe")))
    result = invoke("train")
    assert (result.exit_code, result.stderr) == (1, "")


def test_interrupted(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_train.loop, "train", failing(KeyboardInterrupt()))
    result = invoke("train")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_ctrl_c_in_a_process(tmp_path: Path):
    command = [sys.executable, "-u", "-m", "tinygrad_ckn", "train", "--out", str(tmp_path / "run")]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A background job of a shell ignores Ctrl-C, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # no threads here
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        # The filters of the first layer have been learned.
        process.stdout.readline()
        os.kill(process.pid, signal.SIGINT)
        assert process.wait() == 130
        errors = process.stderr.read()
        assert errors.startswith("interrupted\nkept in ")
        assert errors.endswith(
            f"`tinygrad-ckn train --resume {tmp_path / 'run'}` continues the training\n"
        )
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert (tmp_path / "run" / "metrics.jsonl").exists()
