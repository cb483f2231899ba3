"""Effect of NO_COLOR, FORCE_COLOR, TERM and COLUMNS on all output."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.cli import console
from tools import warm_python

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# Each prints with another part of the code: an error, a verdict, a help, wrong usage, a
# bar, a table, a profile.
COMMANDS = {
    "error": ["train", "--model", "x"],
    "verdict": ["gradcheck", "--primitive", "exp", "--examples", "2"],
    "help": ["train", "--help"],
    "overview": ["--help"],
    "usage": ["train", "--profil"],
    "missing": ["predict"],
    "bar": [
        "train",
        "--n-patches",
        "500",
        "--iterations",
        "2",
        "--mode",
        "supervised",
        "--epochs",
        "1",
        "--out",
        "run",
    ],
    "profile": ["train", "--n-patches", "500", "--iterations", "2", "--profile", "--out", "run"],
    "table": [
        "compare",
        "unsup-32-64",
        "lenet",
        "--n-patches",
        "500",
        "--epochs",
        "1",
        "--out",
        "run",
    ],
    "suites": ["bench", "--list"],
}


def environment_of(**variables: str) -> dict[str, str]:
    unset = {
        "NO_COLOR",
        "FORCE_COLOR",
        "COLUMNS",
        "TERM",
        "PYTHONIOENCODING",
        "GITHUB_ACTIONS",
        "PY_COLORS",
    }
    return (
        {name: value for name, value in os.environ.items() if name not in unset}
        | {"OMP_NUM_THREADS": "1"}
        | variables
    )


def on_terminal(arguments: list[str], folder: Path, columns: int = 80, **variables: str) -> str:
    """Return the output of a command on a terminal with a number of columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    command = ["-m", "tinygrad_ckn", *arguments]
    environment = environment_of(**variables)
    chunks = []
    # stdin too: Python and rich read the size of the terminal from it when the
    # output is redirected.
    if needs_new_interpreter(variables):
        process = subprocess.Popen(
            [sys.executable, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=environment,
        )
    else:
        process = warm_python.start(command, (slave, slave, slave), cwd=folder, env=environment)
    os.close(slave)
    try:
        while chunk := os.read(master, 65536):
            chunks.append(chunk)
    except OSError:
        # Linux: the other end is closed
        pass
    process.wait()
    os.close(master)
    return b"".join(chunks).decode()


def into_pipe(
    arguments: list[str], folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    command = ["-m", "tinygrad_ckn", *arguments]
    environment = environment_of(**variables)
    if not needs_new_interpreter(variables):
        return warm_python.run(command, cwd=folder, env=environment)
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def needs_new_interpreter(variables: Mapping[str, str]) -> bool:
    """Return whether Python itself reads one of the variables when it starts."""
    return any(name.startswith("PYTHON") for name in variables)


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("variables", "terminal", "pipe", "cursor"),
    [
        ({"TERM": "xterm"}, True, False, True),
        ({}, True, False, True),
        ({"TERM": "dumb"}, False, False, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, False, True),
        (
            {"TERM": "xterm", "NO_COLOR": ""},
            True,
            False,
            True,
        ),  # https://no-color.org: and not empty
        ({"TERM": "xterm", "NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False, True),
        ({"TERM": "xterm", "FORCE_COLOR": "1"}, True, True, True),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, True, False),
    ],
    ids=str,
)
def test_which_streams_get_colours_and_a_cursor(
    variables: Mapping[str, str],
    terminal: bool,
    pipe: bool,
    cursor: bool,
    monkeypatch: pytest.MonkeyPatch,
):
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (console.has_colors(Stream(True)), console.has_colors(Stream(False))) == (
        terminal,
        pipe,
    )
    assert (console.has_cursor(Stream(True)), console.has_cursor(Stream(False))) == (
        cursor,
        False,
    )
    for stream, coloured in ((Stream(True), terminal), (Stream(False), pipe)):
        monkeypatch.setattr(sys, "stdout", stream)
        console.echo(console.style("ok", fg="green"))
        console.console().print("[red]no[/red]")
        text = stream.getvalue()
        assert ESCAPE.sub("", text) == "ok\nno\n"
        assert len(COLOUR.findall(text)) == (4 if coloured else 0)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_color_on_a_terminal(name: str, tmp_path: Path):
    text = on_terminal(COMMANDS[name], tmp_path, TERM="xterm", NO_COLOR="1")
    assert COLOUR.findall(text) == []
    # A bar is redrawn in place.
    if name not in ("bar", "profile", "table"):
        assert "\x1b" not in text


@pytest.mark.parametrize("name", ["error", "verdict", "help", "usage", "bar"])
def test_a_dumb_terminal_gets_no_escape_codes(name: str, tmp_path: Path):
    assert "\x1b" not in on_terminal(COMMANDS[name], tmp_path, TERM="dumb")


@pytest.mark.parametrize("name", ["error", "verdict", "bar"])
def test_a_pipe_gets_forced_colours_but_never_a_cursor(name: str, tmp_path: Path):
    plain = into_pipe(COMMANDS[name], tmp_path, TERM="xterm")
    assert "\x1b" not in plain.stdout + plain.stderr
    forced = into_pipe(
        [part.replace("run", "other") for part in COMMANDS[name]], tmp_path, FORCE_COLOR="1"
    )
    text = forced.stdout + forced.stderr
    assert ESCAPE.findall(text) == COLOUR.findall(text)
    assert ("\x1b" in text) == (name != "bar")


def test_a_terminal_has_colours_otherwise(tmp_path: Path):
    assert "\x1b[31m\x1b[1merror:\x1b[0m " in on_terminal(COMMANDS["error"], tmp_path, TERM="xterm")
    assert "\x1b[32mok\x1b[0m" in on_terminal(COMMANDS["verdict"], tmp_path, TERM="xterm")


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("name", ["help", "bar"])
def test_lines_fit_the_terminal(name: str, columns: int, tmp_path: Path):
    text = ESCAPE.sub("", on_terminal(COMMANDS[name], tmp_path, columns, TERM="xterm"))
    lines = [line for line in re.split(r"[\r\n]+", text) if "run folder" not in line]
    assert max(map(len, lines)) <= columns
    assert columns > 40 or max(map(len, lines)) > 30
    # Numbers are not cut: a line break is never between digits or points.
    assert not re.search(r"\d\.\r?\n\s*\d|\d\r?\n\s*\.\d", text)


@given(
    st.lists(st.text("abc0.:", min_size=1, max_size=9), min_size=1, max_size=20).map(" ".join),
    st.integers(min_value=12, max_value=40),
)
def test_wrapping_keeps_the_words_and_the_width(line: str, width: int):
    found = console.wrapped(line, width)
    assert found.split() == line.split()
    assert max(map(len, found.splitlines())) <= width


@pytest.mark.parametrize(
    "variables",
    [{"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}, {"PYTHONUTF8": "1"}],
    ids=str,
)
def test_names_that_an_encoding_lacks_are_escaped(variables: Mapping[str, str], tmp_path: Path):
    path = os.fsdecode("nö ".encode() + b"\xff.npz")
    finished = into_pipe(["evaluate", path], tmp_path, **variables)
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: n")
    assert finished.stderr.count("\n") == 1
    assert "Traceback" not in into_pipe(COMMANDS["help"], tmp_path, **variables).stderr


def test_a_closed_stream_is_not_written_to(tmp_path: Path):
    for redirection, status in ((">&-", 1), ("2>&-", 1)):
        shell = f"{sys.executable} -m tinygrad_ckn train --model x {redirection}"
        finished = subprocess.run(
            ["sh", "-c", shell],
            cwd=tmp_path,
            env=environment_of(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == status
        assert "Traceback" not in finished.stdout + finished.stderr
    assert not console.has_colors(None)
    assert not console.has_cursor(None)


def test_a_bar_in_ascii(tmp_path: Path):
    text = on_terminal(COMMANDS["bar"], tmp_path, TERM="xterm", PYTHONIOENCODING="ascii")
    assert text.isascii()
    assert "Traceback" not in text


@pytest.mark.parametrize("name", ["help", "bar"])
def test_a_reader_that_leaves_early_sees_no_traceback(name: str, tmp_path: Path):
    command = [sys.executable, "-m", "tinygrad_ckn", *COMMANDS[name]]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment_of(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
