"""A progress bar for `report`, in terminals and notebooks, drawn by rich."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from tinygrad_ckn.models.learning.callbacks import Callback
from tinygrad_ckn.models.learning.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars


class ProgressBar(Callback):
    """A bar for each phase of a training, until the end of its `with` block.

    rich finds out whether it is in a notebook, a terminal or a file; in a file it writes
    the bars once, at the end.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw; None: standard output.

    Examples
    --------
    >>> import io
    >>> from rich.console import Console
    >>> output = io.StringIO()
    >>> with ProgressBar(Console(file=output, width=60)) as bar:
    ...     bar(Progress("epoch", 1, 2, {"loss": 0.25}))
    >>> "epoch" in output.getvalue(), "loss 0.25" in output.getvalue()
    (True, True)
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        self._bars: Bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[words]}"),
            console=console,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def event(self, progress: Progress) -> None:
        """Move the bar of the event's phase; a phase that goes back gets a new one."""
        if progress.phase in ("start", "kept"):
            return
        words = ", ".join(
            f"{name.replace('_', ' ')} {value:.4g}"
            for name, value in progress.values.items()
            if name in ("loss", "train_accuracy", "validation_accuracy", "l2")
        )
        of_phase = [task for task in self._bars.tasks if task.description == progress.phase]
        if of_phase and progress.done >= of_phase[-1].completed:
            task = of_phase[-1].id
        else:
            task = self._bars.add_task(progress.phase, total=progress.total, words=words)
        self._bars.update(task, completed=progress.done, total=progress.total, words=words)
