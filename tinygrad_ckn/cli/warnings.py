"""Warnings of the library as the command line says them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from tinygrad_ckn.errors import CKNWarning


@contextmanager
def warnings_shown(worded: Callable[[str], str]) -> Iterator[None]:
    """Print each CKNWarning within the block to stderr as one line, once, without the place in the code.

    Parameters
    ----------
    worded
        Returns a message in the words of the command line.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", CKNWarning)
        before = warnings.showwarning
        told: set[str] = set()

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if not issubclass(category, CKNWarning):
                before(message, category, *where, **more)
            elif str(message) not in told:
                typer.echo(f"warning: {worded(str(message))}", err=True)
                told.add(str(message))

        warnings.showwarning = show
        yield
