"""Warnings of the library on the command line."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from tinygrad_ckn.errors import CKNWarning


@contextmanager
def warnings_shown(worded: Callable[[str], str]) -> Iterator[None]:
    """Print each CKNWarning within the block once, as one line on stderr.

    Parameters
    ----------
    worded
        Returns a message with the arguments of the library named as options.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", CKNWarning)
        default = warnings.showwarning
        printed: set[str] = set()

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if not issubclass(category, CKNWarning):
                default(message, category, *where, **more)
            elif str(message) not in printed:
                typer.echo(f"warning: {worded(str(message))}", err=True)
                printed.add(str(message))

        warnings.showwarning = show
        yield
