"""Progress of a training run: a bar and lines on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

import typer

from tinygrad_ckn.cli.console import console, has_cursor, wrapped
from tinygrad_ckn.models import Callback, Progress

# Columns of a terminal below which the bar shows neither rate nor times.
NARROW = 70


def line_of(progress: Progress) -> str | None:
    """Return the line for a finished layer, classifier or epoch, else None.

    Examples
    --------
    >>> values = {"loss": 0.25, "train_accuracy": 0.9, "lr": 0.1, "seconds": 3.21}
    >>> line_of(Progress("epoch", 1, 5, values))
    'epoch 1 of 5: loss 0.2500, accuracy 0.9000, 3.2 s'
    >>> line_of(Progress("batch", 1, 5, {"loss": 0.25}))
    """
    values = progress.values
    if progress.phase == "kept":
        line = "kept the start, no epoch was better"
        if progress.done:
            line = f"kept epoch {progress.done} of {progress.total}"
        accuracy = values.get("validation_accuracy")
        return line if accuracy is None else f"{line}: validation {accuracy:.4f}"
    if progress.done == 0 or "seconds" not in values:
        return None
    counter = f"{progress.done} of {progress.total}"
    if progress.phase == "filters":
        line = f"filters of layer {counter}: mean cosine {values['mean_cosine']:.4f}"
    elif progress.phase == "classifier":
        errors = [value for name, value in values.items() if name.startswith("held_out_error_")]
        line = f"classifier: l2 {values['l2']:g}"
        line += f", held-out accuracy {1 - min(errors):.4f}" if errors else ""
    else:
        line = (
            f"{progress.phase} {counter}: loss {values['loss']:.4f}, "
            f"accuracy {values['train_accuracy']:.4f}"
        )
        if "validation_accuracy" in values:
            line += f", validation {values['validation_accuracy']:.4f}"
    return f"{line}, {values['seconds']:.1f} s"


class Display(Callback):
    """Shows the progress that it is called with, until the end of its `with` block.

    On a terminal: a bar with the steps done, the rate and the remaining time, and above
    it a line for each finished phase. In a pipe or file, and with TERM=dumb: only these
    lines, without control characters.
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

    def event(self, progress: Progress) -> None:
        """Show a step."""
        line = line_of(progress)
        if self._bar is None:
            if line is not None:
                # Also flushes.
                typer.echo(line)
            return
        if line is not None:
            output = self._bar.console
            output.print(wrapped(line, output.width), markup=False, soft_wrap=True)
        # The batches of an epoch move the bar.
        if progress.phase not in ("start", "epoch", "kept"):
            self._move(progress)

    def _move(self, progress: Progress) -> None:
        """Advance the bar to a step; a new phase starts a new bar."""
        if progress.phase != self._phase:
            self._phase = progress.phase
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._bar.add_task(progress.phase, total=progress.total, rate="")
        rate = progress.values.get("images_per_second")
        text = "" if rate is None else f"{rate:,.0f} images/s"
        # The total may grow: the number of l2 values tried is known only at the end.
        self._bar.update(
            self._bar.task_ids[0], completed=progress.done, total=progress.total, rate=text
        )


def _bar() -> Any:
    """Return a progress bar with steps, rate and times, which vanishes when stopped."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    output = console()
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}"),
        BarColumn(None),
        MofNCompleteColumn(),
    ]
    if output.width >= NARROW:
        columns += [
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("remaining"),
            TimeRemainingColumn(),
        ]
    return Bar(*columns, console=output, transient=True)
