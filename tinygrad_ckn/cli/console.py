"""Where escape codes may be written: NO_COLOR, FORCE_COLOR and TERM are read here, for everything that prints."""

from __future__ import annotations

import os
import shutil
import sys
from textwrap import TextWrapper
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    from rich.console import Console

# columns of a help text
MAX_WIDTH = 100
MIN_WIDTH = 20


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal; None, which Python has for one that is closed (`>&-`), is none."""
    return stream is not None and stream.isatty()


def has_colors(stream: TextIO | None) -> bool:
    """Return whether a stream gets colours.

    Not where NO_COLOR is set and not empty (https://no-color.org); else where
    FORCE_COLOR is, into pipes and files too; else on a terminal that is not dumb.
    """
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or has_cursor(stream)


def has_cursor(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal on which lines can be written anew; TERM=dumb says that it is none."""
    return is_terminal(stream) and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def wrapped(line: str, width: int) -> str:
    """Return a line cut between words where it is wider than a terminal, what follows indented.

    Examples
    --------
    >>> print(wrapped("epoch 1 of 5: loss 0.2500, accuracy 0.9000, 3.2 s", 30))
    epoch 1 of 5: loss 0.2500,
      accuracy 0.9000, 3.2 s
    """
    wrapper = TextWrapper(
        width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return wrapper.fill(line) if len(line) > width else line


def echo_wrapped(line: str) -> None:
    """Print a line, on a terminal in as many as it needs; into a pipe or file always as one."""
    typer.echo(
        wrapped(line, shutil.get_terminal_size().columns) if has_cursor(sys.stdout) else line
    )


def echo(text: str, *, err: bool = False) -> None:
    """Print a line, with the escape codes of `style` where the stream gets colours."""
    typer.echo(text, err=err, color=has_colors(sys.stderr if err else sys.stdout))


def style(text: str, *, err: bool = False, **options: Any) -> str:
    """Return a text as `typer.style` does where the stream gets colours, elsewhere as it came."""
    return typer.style(text, **options) if has_colors(sys.stderr if err else sys.stdout) else text


def console(*, width: int | None = None) -> Console:
    """Return a rich console on stdout that keeps to `has_colors` and `has_cursor`."""
    from rich.console import Console

    cursor, colors = has_cursor(sys.stdout), has_colors(sys.stdout)
    return Console(
        highlight=False,
        width=width,
        color_system=("auto" if cursor else "standard") if colors else None,
        force_terminal=cursor,
        force_interactive=cursor,
        no_color=not colors,
    )


def help_width() -> int:
    """Return the columns of a help text: those of the terminal (or COLUMNS), within bounds."""
    return max(MIN_WIDTH, min(MAX_WIDTH, shutil.get_terminal_size().columns))


def escape_what_cannot_be_encoded() -> None:
    r"""Print characters that an output's encoding lacks as \x and \u, where Python would stop with an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
