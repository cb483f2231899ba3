"""A run's folder: config.json says what was asked for, metrics.jsonl what happened, model.safetensors is the result."""

from __future__ import annotations

import json
import os
import platform
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

import tinygrad_ckn
from tinygrad_ckn.errors import DataError, TrainingWarning
from tinygrad_ckn.files import PathLike, atomic_write, name_file
from tinygrad_ckn.models import CKN, CNN
from tinygrad_ckn.models.learning.best_weights import FineTuningState
from tinygrad_ckn.training.checkpoint import epoch_of, load_model, save_model, write_model
from tinygrad_ckn.training.config import (
    CONFIG,
    FORMAT,
    FORMAT_VERSION,
    check_config,
    read_config,
    shown,
)
from tinygrad_ckn.training.folder import CHECKPOINT, LAST, METRICS, MODEL, TRAINED, WORTHLESS, claim


@dataclass(frozen=True)
class Run:
    """A folder with the files of one training.

    Parameters
    ----------
    folder
        Where the files are.
    config
        What config.json holds.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     run = Run.create(f"{parent}/first", {"seed": 0})
    ...     run.log({"phase": "epoch", "loss": 0.5})
    ...     Run.open(f"{parent}/first").records()
    [{'phase': 'epoch', 'loss': 0.5}]
    """

    folder: Path
    config: Mapping[str, Any]

    @classmethod
    def create(cls, out: PathLike | None, config: Mapping[str, Any], *, name: str = "run") -> Self:
        """Make a folder and write config.json.

        Parameters
        ----------
        out
            The folder: new, empty, or with nothing but the files of a run that was
            broken off before it had a model or a checkpoint, which are replaced; None:
            runs/<timestamp>-<name>.
        config
            What config.json is to hold, beside format, time and versions.
        name
            What the run is called when `out` is None.

        Raises
        ------
        ConfigError
            If the folder holds something else (no model, no checkpoint and no other
            file is ever overwritten), or another training writes to it.
        DataError
            If a field of config is not of its kind.
        OSError
            If the folder cannot be made.
        """
        with claim(out, name) as claimed:
            return cls.begin(claimed.folder, config)

    @classmethod
    def begin(cls, folder: Path, config: Mapping[str, Any]) -> Self:
        """Write config.json into a folder that was claimed."""
        check_config(config, folder / CONFIG)
        now = datetime.now().astimezone()
        head = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "created": now.isoformat(timespec="seconds"),
        }
        run = cls(folder, {**head, **config, "versions": versions()})
        atomic_write(folder / CONFIG, (json.dumps(run.config, indent=2) + "\n").encode())
        return run

    @classmethod
    def open(cls, folder: PathLike) -> Self:
        """Open the folder of a run.

        Raises
        ------
        DataError
            If there is no such folder, or its config.json is missing, damaged, from
            elsewhere or of a newer format, or a field of it is not of its kind.
        """
        return cls(Path(folder), read_config(Path(folder)))

    @property
    def model_path(self) -> Path:
        """The model's file."""
        return self.folder / MODEL

    def log(self, record: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl; it is in the file when this returns, and nothing of it if this raises."""
        line = (json.dumps(record) + "\n").encode()
        descriptor = os.open(
            self._metrics,
            os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0),
            0o666,
        )
        try:
            before = os.fstat(descriptor).st_size
            try:
                while line:
                    line = line[os.write(descriptor, line) :]
            except BaseException as error:
                os.ftruncate(descriptor, before)
                name_file(error, self._metrics)
                raise
        finally:
            os.close(descriptor)

    def records(self) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl.

        Raises
        ------
        DataError
            If a line is no JSON object; names it.
        """
        if not self._metrics.is_file():
            return []
        records = []
        for number, line in enumerate(self._metrics.read_bytes().splitlines(), start=1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                # of JSON, of UTF-8
                record = None
            if not isinstance(record, dict):
                got = shown(line[:40].decode(errors="replace"))
                raise DataError(
                    f"{self._metrics}, line {number}: expected a JSON object, got {got}; remove the line"
                )
            records.append(record)
        return records

    def save(self, model: CKN | CNN) -> None:
        """Write the model to its file; the checkpoints are not needed any more."""
        save_model(model, self.model_path)
        for name in TRAINED:
            (self.folder / name).unlink(missing_ok=True)

    def save_checkpoint(self, model: CKN | CNN, state: FineTuningState | None = None) -> None:
        """Write a model that is not trained to the end.

        With a state it is that of an epoch: to checkpoint.safetensors if it is the best
        so far, and with what the descent needs to go on to last.safetensors. Without,
        to checkpoint.safetensors. `load_model` reads both.

        Raises
        ------
        OSError
            If checkpoint.safetensors cannot be written.

        Warns
        -----
        TrainingWarning
            If last.safetensors cannot: the training itself has no need of it.
        """
        record = {} if state is None else state.record()
        if state is None or state.epoch == state.best_epoch:
            write_model(model, self.folder / CHECKPOINT, record)
        if state is not None:
            try:
                write_model(model, self.folder / LAST, record, state.arrays())
            except OSError as error:
                warnings.warn(
                    f"train: expected to write {self.folder / LAST}, got {error.strerror}; the training goes on, but "
                    "cannot be taken up after this epoch",
                    TrainingWarning,
                    stacklevel=2,
                )

    def kept(self) -> str | None:
        """Return what there is of a training in words, with the files' names; None if there is nothing.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     Run.create(f"{parent}/run", {}).kept()
        """
        found = []
        if self.model_path.exists():
            found.append(f"{MODEL} (the trained model)")
        for name, what in ((CHECKPOINT, "the best so far"), (LAST, "the last")):
            if (self.folder / name).exists():
                epoch = epoch_of(self.folder / name)
                which = "" if epoch is None else "the start, " if epoch == 0 else f"epoch {epoch}, "
                found.append(f"{name} ({which}{what})")
        if not found:
            return None
        return f"kept in {self.folder}: {', '.join(found)}; load_model reads {'it' if len(found) == 1 else 'each'}"

    def discard(self) -> None:
        """Remove config.json and metrics.jsonl of a run that has learned nothing.

        Does nothing where there is a model or a checkpoint.
        """
        if not any((self.folder / name).exists() for name in (MODEL, *TRAINED)):
            for name in WORTHLESS:
                (self.folder / name).unlink(missing_ok=True)

    def load(self) -> CKN | CNN:
        """Return the trained model.

        Raises
        ------
        DataError
            If the training was not finished, or the file is not sound.
        """
        if not self.model_path.exists():
            raise DataError(
                f"{self.folder}: expected model.safetensors in a finished run, got none; the training was broken off "
                f"or is under way, {self._instead()}"
            )
        return load_model(self.model_path)

    def _instead(self) -> str:
        """Return what can be done where there is no model."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return "start it again"
        epoch = epoch_of(path)
        which = (
            "its start" if epoch == 0 else "the best epoch so far" + (f", {epoch}" if epoch else "")
        )
        return f"load_model({str(path)!r}) reads {which}"

    @property
    def _metrics(self) -> Path:
        return self.folder / METRICS


def versions() -> dict[str, str | None]:
    """Return the versions of this library, of Python and of what computes; None for what is not installed."""
    return {
        "tinygrad-ckn": tinygrad_ckn.__version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", "scipy", "safetensors")},
    }


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
