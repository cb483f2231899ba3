"""Checkpoints of a `fit` in your own program."""

from __future__ import annotations

import time
from pathlib import Path

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.models import Callback, Progress
from tinygrad_ckn.models.learning.state_file import CHECKPOINT, LAST
from tinygrad_ckn.training.checkpoint import write_state
from tinygrad_ckn.training.interval import Interval


class Checkpoints(Callback):
    """A `report` callback that saves the state of a fit, to resume from.

    It writes last.safetensors, which `fit(resume=folder)` continues from, and
    checkpoint.safetensors with the best epoch so far; `load_model` reads both.

    Parameters
    ----------
    folder
        An existing folder.
    every
        As `checkpoint_every` of `train`: "10m" or "2e".

    Raises
    ------
    ConfigError
        If the folder does not exist, or `every` is something else.

    Examples
    --------
    >>> import tempfile
    >>> from tinygrad_ckn.data import load_digits
    >>> from tinygrad_ckn.models import build
    >>> digits = load_digits().train
    >>> model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save = Checkpoints(folder)
    ...     _ = model.fit(digits.images, digits.labels, n_patches=1000, rng=0, report=save)
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['last.safetensors']
    """

    def __init__(self, folder: PathLike, every: str = "5m") -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ConfigError(
                f"Checkpoints: argument folder expected an existing folder, got {folder}; make it"
            )
        self.every = Interval.parse(every)
        self._saved = time.perf_counter()

    def event(self, progress: Progress) -> None:
        """Save the state of an event, if it has one and it is time."""
        state = progress.state
        if state is None or not self.every.is_due(progress, time.perf_counter() - self._saved):
            return
        write_state(state, self.folder / CHECKPOINT, self.folder / LAST)
        self._saved = time.perf_counter()
