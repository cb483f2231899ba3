import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from typer.testing import CliRunner

import tinygrad_ckn
from tinygrad_ckn.cli.fields import Given, OptionsOf, options_from_fields, with_option_names
from tinygrad_ckn.cli.help import Command


@dataclass
class Baking:
    """Every kind of field that an option can be made of."""

    minutes: Annotated[int, "Time in the oven in minutes."] = 30
    oven_heat: Annotated[float | None, "Temperature in °C."] = None
    covered: Annotated[bool, "Cover the tin."] = False
    flour: Annotated[Literal["wheat", "rye"], "Kind of flour.", "Ingredients"] = "rye"
    tin_shape: Annotated[tuple[int, int, int] | None, "Size of the tin."] = None
    finish: Annotated[Callable[[int], int] | None, "Name of a glaze."] = None
    secret: int = 3


@pytest.fixture
def bake() -> Callable[..., object]:
    """A function that runs a command with the options of `Baking`, except `finish`."""
    app = typer.Typer(rich_markup_mode=None)

    @app.command(cls=Command)
    @options_from_fields
    def bake(
        name: str, *, baking: Annotated[Given, OptionsOf(Baking, "Oven", without=("finish",))]
    ) -> None:
        typer.echo(f"{name} {baking}")

    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


def test_only_the_options_that_were_given_reach_the_command(bake):
    assert bake("loaf").stdout == "loaf {}\n"
    given = ("--minutes", 0, "--oven-heat", "1.5", "--no-covered", "--tin-shape", "3x4x5")
    expected = {"minutes": 0, "oven_heat": 1.5, "covered": False, "tin_shape": (3, 4, 5)}
    assert bake("loaf", *given).stdout == f"loaf {expected}\n"


@pytest.mark.parametrize(
    "wrong", [("--minutes", "x"), ("--tin-shape", "3"), ("--secret", "1"), ("--finish", "egg")]
)
def test_wrong_usage(bake, wrong):
    assert bake("loaf", *wrong).exit_code == 2


def test_the_help_groups_options_and_shows_defaults(bake):
    lines = [" ".join(line.split()) for line in bake("--help").stdout.splitlines()]
    start = lines.index("Oven:")
    assert lines[start + 1 : lines.index("Options:")] == [
        "--minutes <int> Time in the oven in minutes. [default: 30]",
        "--oven-heat <float> Temperature in °C.",
        "--covered / --no-covered Cover the tin. [default: no-covered]",
        "--tin-shape C,H,W Size of the tin.",
        "",
        "Ingredients:",
        "--flour wheat|rye Kind of flour. [default: rye]",
        "",
    ]


def test_arguments_are_named_as_options():
    message = "fit: argument n_patches expected 3, got 2; leave out argument seed or argument other"
    assert with_option_names(message, {"n_patches", "seed"}) == (
        "fit: --n-patches expected 3, got 2; leave out --seed or argument other"
    )


def test_adding_an_option_to_the_training_is_one_edit(tmp_path: Path):
    """The walk in CONTRIBUTING.md: a field of FineTuning, and nothing else."""
    package = Path(tinygrad_ckn.__file__).parent
    shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    source = tmp_path / package.name / "models" / "learning" / "finetuning_options.py"
    text = source.read_text()
    field = '    label_smoothing: Annotated[float, "Weight of the uniform distribution."] = 0.0\n'
    assert text.count("    def __post_init__") == 1
    source.write_text(text.replace("    def __post_init__", f"{field}\n    def __post_init__"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tinygrad_ckn", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    for command in ("train", "compare"):
        lines = " ".join(run(command, "--help").stdout.split())
        assert (
            "--label-smoothing <float> Weight of the uniform distribution. [default: 0.0]" in lines
        )
    fast = ("--n-patches", "500", "--iterations", "1", "--epochs", "0", "--threads", "1")
    finished = run(
        *("train", "--mode", "supervised", "--label-smoothing", "0.25", "--out", "run"), *fast
    )
    assert finished.returncode == 0, finished.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["options"]["descent"]["label_smoothing"] == 0.25
