"""Warnings of a training as the command line says them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from tinygrad_ckn.errors import TrainingWarning


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Print each TrainingWarning within the block to stderr as one line, once, without the place in the code."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", TrainingWarning)
        before = warnings.showwarning
        told: set[str] = set()

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, TrainingWarning):
                if str(message) not in told:
                    typer.echo(f"warning: {message}", err=True)
                told.add(str(message))
            else:
                before(message, category, *where, **more)

        warnings.showwarning = show
        yield
