import re
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from tinygrad_ckn.cli import app

Invoke = Callable[..., Result]


def test_help_names_every_command_and_what_they_take(invoke: Invoke):
    overview = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100"}).stdout
    for command, option in (
        ("train", "--batch-size"),
        ("evaluate", "--data-dir"),
        ("predict", "--output"),
        ("info", "--help"),
        ("gradcheck", "--primitive"),
    ):
        assert command in overview
        result = invoke(command, "--help")
        assert result.exit_code == 0
        assert option in result.stdout
    assert "\x1b" not in overview
    assert "runs/TIME-DATA-MODEL" in overview


@pytest.mark.parametrize(
    "command", ["", "train", "compare", "evaluate", "predict", "info", "gradcheck", "bench"]
)
@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_a_help_fits_the_terminal_and_shows_flags_without_a_value(command: str, columns: int):
    result = CliRunner().invoke(app, [*command.split(), "-h"], env={"COLUMNS": str(columns)})
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert max(map(len, lines)) <= columns
    assert "bool" not in result.stdout
    # No line is cut short.
    assert not any(re.search(r"[a-z,]\.\.\.$", line) for line in lines)
    assert any(line.split()[:2] == ["-h,", "--help"] for line in lines)


def test_a_help_groups_options(invoke: Invoke):
    text = invoke("train", "--help").stdout
    assert (
        text.index("Data:")
        < text.index("--data NAME|PATH")
        < text.index("Model:")
        < text.index("--preprocessing NAME")
        < text.index("Learning:")
        < text.index("--seed <int>")
        < text.index("Learning: fine-tuning")
        < text.index("--epochs <int>")
        < text.index("Output:")
        < text.index("--out <path>")
    )
    assert "Arguments:\n  RUN " in invoke("evaluate", "--help").stdout
