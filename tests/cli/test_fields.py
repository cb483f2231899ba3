from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
import typer
from typer.testing import CliRunner

from tinygrad_ckn.cli.fields import Given, OptionsOf, options_from_fields, with_option_names
from tinygrad_ckn.cli.help import Command
from tinygrad_ckn.data.reading import ByteCount


@dataclass
class Baking:
    """Every kind of field that an option can be made of."""

    minutes: Annotated[int, "Time in the oven in minutes."] = 30
    oven_heat: Annotated[float | None, "Temperature in °C."] = None
    covered: Annotated[bool, "Cover the tin."] = False
    flour: Annotated[Literal["wheat", "rye"], "Kind of flour.", "Ingredients"] = "rye"
    tin_shape: Annotated[tuple[int, int, int] | None, "Size of the tin."] = None
    weight: Annotated[ByteCount | None, "Of the dough."] = None
    rack: Annotated[tuple[int, int] | None, "Rows and columns of tins."] = None
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
    given += ("--rack", 2, 3, "--weight", "2kB")
    expected = {"minutes": 0, "oven_heat": 1.5, "covered": False, "tin_shape": (3, 4, 5)}
    expected |= {"weight": "2kB", "rack": (2, 3)}
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
        "--weight SIZE Of the dough.",
        "--rack H W Rows and columns of tins.",
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
