"""The command line `tinygrad-ckn`, with a module for each command.

Results go to stdout, errors to stderr as one sentence. Exit status: 0 done, 1 an error
of the library, 2 wrong usage, 130 interrupted with Ctrl-C, 143 terminated (SIGTERM).
"""

from __future__ import annotations

from functools import partial
from signal import SIGINT
from typing import Annotated, Any

import typer

import tinygrad_ckn
from tinygrad_ckn.cli import bench, compare, data, features, gradcheck, info, predict, report, train
from tinygrad_ckn.cli.console import echo, escape_unencodable, style
from tinygrad_ckn.cli.fields import with_option_names
from tinygrad_ckn.cli.help import Command, Context, Group
from tinygrad_ckn.cli.warnings import warnings_shown
from tinygrad_ckn.errors import CKNError
from tinygrad_ckn.training.signals import Interrupted


class _Commands(Group):
    """The commands, whose errors are printed as one sentence."""

    def invoke(self, ctx: Context) -> Any:
        """Run the command that the arguments name."""
        options = {
            parameter.name
            for command in self.commands.values()
            for parameter in command.params
            if parameter.param_type_name == "option"
        }
        worded = partial(with_option_names, options=options)
        try:
            with warnings_shown(worded):
                return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            number = interrupt.signal if isinstance(interrupt, Interrupted) else SIGINT
            typer.echo("interrupted" if number == SIGINT else "terminated", err=True)
            _echo_notes(interrupt)
            raise typer.Exit(128 + number) from interrupt
        except BrokenPipeError:
            # The reader of the output, `head` for instance, has gone: typer ends quietly.
            raise
        except (CKNError, MemoryError, OSError) as error:
            if ctx.params["traceback"]:
                raise
            sentence = worded(_sentence(error))
            echo(f"{style('error:', err=True, fg='red', bold=True)} {sentence}", err=True)
            _echo_notes(error)
            raise typer.Exit(1) from error


def _echo_notes(error: BaseException) -> None:
    """Print the notes of an error, such as the files that a failed training left."""
    for note in getattr(error, "__notes__", ()):
        typer.echo(note, err=True)


def _sentence(error: Exception) -> str:
    """Return the sentence for an error."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _version(requested: bool) -> None:
    """Print the version and end, if requested."""
    if requested:
        typer.echo(f"tinygrad-ckn {tinygrad_ckn.__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS = (
    train.train,
    compare.compare,
    predict.evaluate,
    predict.predict,
    features.features,
    report.report,
    data.data,
    info.info,
    gradcheck.gradcheck,
    bench.bench,
)
for command in COMMANDS:
    app.command(cls=Command)(command)


@app.callback()
def options(
    traceback: Annotated[
        bool,
        typer.Option(
            "--traceback",
            envvar="TINYGRAD_CKN_TRACEBACK",
            help="Show the traceback of an error.",
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Train, evaluate and use convolutional kernel networks.

    Start with `tinygrad-ckn train`: it trains a small network on the embedded
    handwritten digits in seconds, without a download, and leaves the model, its options
    and its measurements in a folder `runs/TIME-DATA-MODEL`, which `evaluate`, `predict`
    and `report` take.

    `tinygrad-ckn COMMAND --help` explains a command.
    """


def main() -> None:
    """Run the command line."""
    escape_unencodable()
    app(prog_name="tinygrad-ckn")
