"""The command `tinygrad-ckn`: train, compare, evaluate, predict, info, gradcheck, bench.

Results go to stdout, errors to stderr as one sentence. Exit status: 0 done, 1 an error
of the library, 2 wrong usage, 130 interrupted with Ctrl-C.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

import tinygrad_ckn
from tinygrad_ckn.cli import bench, compare, gradcheck, info, predict, train
from tinygrad_ckn.cli.console import echo, escape_what_cannot_be_encoded, style
from tinygrad_ckn.cli.help import Command, Group
from tinygrad_ckn.cli.warnings import warnings_shown
from tinygrad_ckn.errors import CKNError

# what the library calls them, and the command line
OPTIONS = {
    "argument n_patches": "--patches",
    "argument batch_size": "--batch-size",
    "argument refit_classifier_every": "--refit-classifier-every",
    "argument preprocessing": "--preprocess",
    "argument mirror_average": "--mirror",
    "data_dir: expected with": "--data-dir: expected with",
    "expected no data_dir": "expected no --data-dir",
    " (data_dir=...)": "",
    "image_shape=(C, H, W)": "--image-shape C,H,W",
    "channels_last=True or False": "--channels-last or --channels-first",
    "header=True or header=False": "--header or --no-header",
    "divided by as scale": "divided by as --scale",
}


class _Commands(Group):
    """Says in one sentence what went wrong in a command."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the arguments name."""
        try:
            with warnings_shown(_with_options):
                return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            typer.echo("interrupted", err=True)
            _echo_notes(interrupt)
            raise typer.Exit(130) from interrupt
        except BrokenPipeError:
            # the reader of our output, `head` say, has gone: typer ends quietly
            raise
        except (CKNError, MemoryError, OSError) as error:
            if ctx.params["traceback"]:
                raise
            echo(f"{style('error:', err=True, fg='red', bold=True)} {_sentence(error)}", err=True)
            _echo_notes(error)
            raise typer.Exit(1) from error


def _echo_notes(error: BaseException) -> None:
    """Print what was noted with an error: what there is of a training that failed."""
    for note in getattr(error, "__notes__", ()):
        typer.echo(note, err=True)


def _sentence(error: Exception) -> str:
    """Return what to tell the user."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return _with_options(str(error) or type(error).__name__)


def _with_options(message: str) -> str:
    """Return a message of the library with its arguments named as the command line names them."""
    for name, option in OPTIONS.items():
        message = message.replace(name, option)
    return message


def _version(wanted: bool) -> None:
    if wanted:
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
            help="Show where in the code an error came from.",
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    """Convolutional kernel networks: train them, measure them, use them.

    Start with `tinygrad-ckn train`: it trains a small network on the embedded
    handwritten digits in seconds, without a download, and leaves the model, its options
    and its measurements in a folder `runs/TIME-DATA-MODEL`. That folder is what
    `evaluate` and `predict` take.

    `tinygrad-ckn COMMAND --help` explains a command.
    """


def main() -> None:
    """Run the command line."""
    escape_what_cannot_be_encoded()
    app(prog_name="tinygrad-ckn")
