"""`tinygrad-ckn gradcheck`: derivatives of all primitives against finite differences."""

from __future__ import annotations

from typing import Annotated, Protocol

import typer

from tinygrad_ckn.cli.common import Device
from tinygrad_ckn.cli.console import echo, style
from tinygrad_ckn.errors import ConfigError, how_to_install

_ROW = "{:<28} {:>9} {:>9} {:>9} {:>6}  {}"


class Checked(Protocol):
    """Result of `testing.runner` for a primitive; None: not measured."""

    name: str
    order1: float | None
    order2: float | None
    adjoint: float | None
    cases: int
    verdict: str
    message: str


def gradcheck(
    *,
    primitive: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A primitive to check; may be repeated. Default: all."),
    ] = None,
    examples: Annotated[
        int, typer.Option(min=1, metavar="<int>", help="Random examples per case.")
    ] = 20,
    device: Device = "cpu",
) -> None:
    r"""Check first and second derivatives of all primitives on random arguments.

    Each line shows the largest relative errors of the first and second derivatives of a
    primitive against central differences, for a linear primitive the largest error of
    the adjoint identity <J u, g> = <u, J^T g>, the number of cases, and ok or FAIL.
    Failures are explained at the end, and set the exit status to 1.

    Requires the packages for testing: pip install -e '.[test]' in a checkout.
    """
    try:
        from tinygrad_ckn.testing.runner import run_cases
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise ConfigError(
            "gradcheck: expected the packages for testing, got no hypothesis; "
            f"{how_to_install('test')}"
        ) from error
    typer.echo(_ROW.format("primitive", "order 1", "order 2", "adjoint", "cases", "verdict"))
    results = run_cases(primitive or None, examples=examples, device=device, on_result=_echo_row)
    failures = [result for result in results if result.verdict != "ok"]
    for result in failures:
        typer.echo(f"\n{result.name}: {result.message}")
    typer.echo(f"{len(results)} primitives checked, {len(failures)} failed")
    if failures:
        raise typer.Exit(1)


def _echo_row(result: Checked) -> None:
    """Print a line of the table."""
    errors = (
        "-" if error is None else f"{error:.1e}"
        for error in (result.order1, result.order2, result.adjoint)
    )
    verdict = style(result.verdict, fg="green" if result.verdict == "ok" else "red")
    echo(_ROW.format(result.name, *errors, result.cases, verdict))
