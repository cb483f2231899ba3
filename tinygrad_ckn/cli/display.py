"""What a training looks like: a progress bar with the finished phases above it, or, in a pipe or file, plain lines."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

import typer

from tinygrad_ckn.cli.console import console, has_cursor, wrapped
from tinygrad_ckn.models import Progress

# columns of a terminal below which the bar has no rate and no times
NARROW = 70


def line_of(progress: Progress) -> str | None:
    """Return the line for a step that is worth one: a layer's filters, a classifier, an epoch.

    Examples
    --------
    >>> line_of(Progress("epoch", 1, 5, {"loss": 0.25, "train_accuracy": 0.9, "lr": 0.1, "seconds": 3.21}))
    'epoch 1 of 5: loss 0.2500, accuracy 0.9000, 3.2 s'
    >>> line_of(Progress("batch", 1, 5, {"loss": 0.25}))
    """
    values = progress.values
    if progress.phase == "kept":
        which = (
            f"epoch {progress.done} of {progress.total}"
            if progress.done
            else "the start, no epoch was better"
        )
        return f"kept {which}" + (
            f": validation {values['validation_accuracy']:.4f}"
            if "validation_accuracy" in values
            else ""
        )
    if progress.done == 0 or "seconds" not in values:
        return None
    if progress.phase == "filters":
        told = f"filters of layer {progress.done} of {progress.total}: mean cosine {values['mean_cosine']:.4f}"
    elif progress.phase == "classifier":
        errors = [value for name, value in values.items() if name.startswith("held_out_error_")]
        told = f"classifier: l2 {values['l2']:g}" + (
            f", held-out accuracy {1 - min(errors):.4f}" if errors else ""
        )
    else:
        told = (
            f"{progress.phase} {progress.done} of {progress.total}: loss {values['loss']:.4f}, "
            f"accuracy {values['train_accuracy']:.4f}"
        )
        if "validation_accuracy" in values:
            told += f", validation {values['validation_accuracy']:.4f}"
    return f"{told}, {values['seconds']:.1f} s"


class Display:
    """Shows the progress that it is called with, from `with` to the end of the block.

    On a terminal: a bar with the steps done, the rate and the remaining time, and a
    line above it for each phase that is done. Elsewhere, and where TERM=dumb: these
    lines alone, without a control character.
    """

    def __init__(self) -> None:
        # rich.progress.Progress
        self._bar: Any = None
        self._phase: str | None = None

    def __enter__(self) -> Self:
        if has_cursor(sys.stdout):
            self._bar = _bar()
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        """Show a step."""
        line = line_of(progress)
        if self._bar is None:
            if line is not None:
                # and flushes
                typer.echo(line)
            return
        if line is not None:
            shown = self._bar.console
            shown.print(wrapped(line, shown.width), markup=False, soft_wrap=True)
        # its batches move the bar
        if progress.phase not in ("start", "epoch", "kept"):
            self._move(progress)

    def _move(self, progress: Progress) -> None:
        """Bring the bar to a step, as a new one when another phase has begun."""
        if progress.phase != self._phase:
            self._phase = progress.phase
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._bar.add_task(progress.phase, total=progress.total, rate="")
        rate = progress.values.get("images_per_second")
        shown = "" if rate is None else f"{rate:,.0f} images/s"
        # A total may grow: how many values of l2 are tried is known at the end only.
        self._bar.update(
            self._bar.task_ids[0], completed=progress.done, total=progress.total, rate=shown
        )


def _bar() -> Any:
    """Return the progress bar: phase, bar, steps, rate, elapsed and remaining time; it vanishes when stopped."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    shown = console()
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}"),
        BarColumn(None),
        MofNCompleteColumn(),
    ]
    if shown.width >= NARROW:
        columns += [
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("remaining"),
            TimeRemainingColumn(),
        ]
    return Bar(*columns, console=shown, transient=True)
