"""Output to terminals, pipes and files, according to NO_COLOR, FORCE_COLOR and TERM."""

from __future__ import annotations

import os
import shutil
import sys
from textwrap import TextWrapper
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    from rich.console import Console

# Columns of a help text.
MAX_WIDTH = 100
MIN_WIDTH = 20


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal; False for None, a closed stream (`>&-`)."""
    return stream is not None and stream.isatty()


def has_colors(stream: TextIO | None) -> bool:
    """Return whether a stream gets colours.

    Never if NO_COLOR is set and not empty (https://no-color.org); otherwise always if
    FORCE_COLOR is, in pipes and files too; otherwise on a terminal that is not dumb.
    """
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or has_cursor(stream)


def has_cursor(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal that is not dumb (TERM=dumb)."""
    return is_terminal(stream) and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def wrapped(line: str, width: int) -> str:
    """Return a line wrapped between words to a width, with continuation lines indented.

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
    """Print a line, wrapped on a terminal, in a pipe or file as one line."""
    typer.echo(
        wrapped(line, shutil.get_terminal_size().columns) if has_cursor(sys.stdout) else line
    )


def echo(text: str, *, err: bool = False) -> None:
    """Print a line, with the escape codes of `style` if the stream gets colours."""
    typer.echo(text, err=err, color=has_colors(sys.stderr if err else sys.stdout))


def style(text: str, *, err: bool = False, **options: Any) -> str:
    """Return a text styled by `typer.style` if the stream gets colours."""
    return typer.style(text, **options) if has_colors(sys.stderr if err else sys.stdout) else text


def console(*, width: int | None = None) -> Console:
    """Return a rich console on stdout that follows `has_colors` and `has_cursor`."""
    from rich.console import Console

    cursor = has_cursor(sys.stdout)
    colors = has_colors(sys.stdout)
    return Console(
        highlight=False,
        width=width,
        color_system=("auto" if cursor else "standard") if colors else None,
        force_terminal=cursor,
        force_interactive=cursor,
        no_color=not colors,
    )


def help_width() -> int:
    """Return the columns of a help text, within bounds."""
    return max(MIN_WIDTH, min(MAX_WIDTH, shutil.get_terminal_size().columns))


def escape_unencodable() -> None:
    r"""Print characters that an encoding lacks as \x and \u."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
