"""Recording of a training: times, lines of metrics.jsonl, checkpoints, signals."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tinygrad_ckn import profiling
from tinygrad_ckn.models import Callback, Progress
from tinygrad_ckn.models.learning.state import TrainingState
from tinygrad_ckn.training.interval import Interval
from tinygrad_ckn.training.options import Options
from tinygrad_ckn.training.run import Run
from tinygrad_ckn.training.signals import Signals


class Recorder(Callback):
    """Adds times and rates to progress events, writes metrics.jsonl and checkpoints.

    A line of metrics.jsonl is written before the checkpoint that counts it, so that a
    resumed training has each line once. A signal ends the training after a batch, whose
    state is saved. `n_images` are those of an epoch of fine-tuning.
    """

    def __init__(
        self,
        run: Run,
        report: Callable[[Progress], None],
        n_images: int,
        options: Options,
        signals: Signals,
    ) -> None:
        self.run = run
        self.report = report
        self.n_images = n_images
        self.descent = options.descent
        self.every = Interval.parse(options.checkpoint_every)
        self.signals = signals
        self.seconds: dict[str, float] = {}
        # Peak memory by the end of each phase.
        self.peaks: dict[str, int | None] = {}
        # Seconds of the present epoch.
        self._of_epoch = 0.0
        self._since = time.perf_counter()
        self._saved = self._since

    def resume(self, record: Mapping[str, Any]) -> None:
        """Continue the files and the times of a saved state."""
        self.run.rewind(record["metrics"])
        self.seconds = dict(record["seconds"])
        self._of_epoch = float(record["seconds_of_epoch"])
        self.signals.deferred = record["stage"] != "filters"

    def event(self, progress: Progress) -> None:
        """Record an event, and report it."""
        profiling.lap(progress.phase if progress.done else "preparation")
        if progress.phase == "batch":
            self._of_epoch += self.measure("epoch")
            progress = self._with(progress, {"images_per_second": self._rate(progress)})
        elif progress.phase == "kept":
            self._log(progress)
        elif progress.phase not in ("k-means", "l2") and progress.done:
            # The phase that k-means and l2 are part of has a line.
            seconds = self.measure(progress.phase)
            if progress.phase == "epoch":
                seconds += self._of_epoch
                self._of_epoch = 0.0
            progress = self._with(progress, {"seconds": round(seconds, 3)})
            self._log(progress)
        # A descent takes signals between its steps.
        if progress.phase in ("start", "kept"):
            self.signals.deferred = progress.phase == "start"
        state = progress.state
        saved = state is not None and self._is_due(progress)
        if state is not None and saved:
            self._save(state)
        self.report(progress)
        if state is not None and not saved and self.signals.received is not None:
            # The signal came while the event was reported.
            self._save(state)
        self.signals.check()

    def _is_due(self, progress: Progress) -> bool:
        """Return whether the state of an event is to be saved."""
        return self.signals.received is not None or self.every.is_due(
            progress, time.perf_counter() - self._saved
        )

    def _save(self, state: TrainingState) -> None:
        self.run.save_checkpoint(state, seconds=self.seconds, seconds_of_epoch=self._of_epoch)
        self._saved = time.perf_counter()

    def measure(self, phase: str) -> float:
        """Return the seconds since the last call, and add them to the phase."""
        now = time.perf_counter()
        seconds = now - self._since
        self._since = now
        self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds
        self.peaks[phase] = peak_memory()
        return seconds

    def _rate(self, progress: Progress) -> float:
        """Return the images per second of the present epoch."""
        # Not None, because batches are reported during fine-tuning only.
        descent: Any = self.descent
        batch_size = int(descent["batch_size"])
        batches = -(-self.n_images // batch_size)
        done = min(((progress.done - 1) % batches + 1) * batch_size, self.n_images)
        return done / self._of_epoch

    def _log(self, progress: Progress) -> None:
        """Write a line to metrics.jsonl."""
        counts = {"phase": progress.phase, "done": progress.done, "total": progress.total}
        self.run.log({**counts, **progress.values})

    @staticmethod
    def _with(progress: Progress, values: Mapping[str, float]) -> Progress:
        return replace(progress, values={**progress.values, **values})


def peak_memory() -> int | None:
    """Return the maximum host memory of this process in bytes, None if unknown."""
    try:
        import resource
    except ImportError:
        # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # In kilobytes, but on macOS in bytes.
    return peak if sys.platform == "darwin" else peak * 1024
