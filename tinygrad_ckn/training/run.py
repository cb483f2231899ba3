"""The files of a run: config.json, metrics.jsonl, model.safetensors."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

import tinygrad_ckn
from tinygrad_ckn.errors import DataError, MissingPackageError
from tinygrad_ckn.files import PathLike, atomic_write, name_file
from tinygrad_ckn.models import CKN, CNN
from tinygrad_ckn.models.learning.state import TrainingState
from tinygrad_ckn.models.learning.state_file import CHECKPOINT, LAST
from tinygrad_ckn.notebook import html_table
from tinygrad_ckn.training.checkpoint import (
    epoch_of,
    load_model,
    record_of,
    save_model,
    write_state,
)
from tinygrad_ckn.training.config import (
    CONFIG,
    FORMAT,
    FORMAT_VERSION,
    check_config,
    read_config,
    shown,
)
from tinygrad_ckn.training.folder import METRICS, MODEL, TRAINED, WORTHLESS, claim


@dataclass(frozen=True)
class Run:
    """A folder with the files of one training.

    Parameters
    ----------
    folder
        Path of the folder.
    config
        Content of config.json.

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
            interrupted before it had a model or a checkpoint, which are replaced; None:
            runs/<timestamp>-<name>.
        config
            Content of config.json, except format, time and versions.
        name
            Name of the run if `out` is None.

        Raises
        ------
        ConfigError
            If the folder holds other files (no model, no checkpoint and no other file is
            ever overwritten), or another run writes to it.
        DataError
            If a field of config has the wrong type.
        OSError
            If the folder cannot be made.
        """
        with claim(out, name) as claimed:
            return cls.start(claimed.folder, config)

    @classmethod
    def start(cls, folder: Path, config: Mapping[str, Any]) -> Self:
        """Write config.json into a claimed folder."""
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
            If the folder does not exist, or its config.json is missing, damaged, of
            another program or of a newer format, or a field has the wrong type.
        """
        return cls(Path(folder), read_config(Path(folder)))

    def _repr_html_(self) -> str:
        """Return the report that a notebook shows; a sentence without Jinja2."""
        from tinygrad_ckn.training.report import framed

        try:
            return framed(self)
        except MissingPackageError as error:
            return html_table(repr(self.folder), [], [], str(error))

    @property
    def model_path(self) -> Path:
        """The file of the model."""
        return self.folder / MODEL

    def log(self, record: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl: the whole line, or, if this raises, nothing."""
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
        """Return the lines of metrics.jsonl, except a last line that a crash cut off.

        Raises
        ------
        DataError
            If a line is not a JSON object; names it.
        """
        if not self._metrics.is_file():
            return []
        records = []
        lines = self._metrics.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                # Invalid JSON or invalid UTF-8.
                if number == len(lines) and not line.endswith(b"\n"):
                    break
                record = None
            if not isinstance(record, dict):
                got = shown(line.strip(b"\r\n")[:40].decode(errors="replace"))
                raise DataError(
                    f"{self._metrics}, line {number}: expected a JSON object, got {got}; remove "
                    "the line"
                )
            records.append(record)
        return records

    def save(self, model: CKN | CNN) -> None:
        """Write the model to its file, and remove the checkpoints."""
        save_model(model, self.model_path)
        for name in TRAINED:
            (self.folder / name).unlink(missing_ok=True)

    def save_checkpoint(self, state: TrainingState, **record: Any) -> None:
        """Write the model of a training that is not finished, and its state.

        The model goes to last.safetensors, with the state and the `record` that resuming
        needs, and after the best epoch so far to checkpoint.safetensors as well.
        `load_model` reads both.

        Raises
        ------
        OSError
            If checkpoint.safetensors cannot be written.

        Warns
        -----
        TrainingWarning
            If last.safetensors cannot be written, which the training does not need.
        """
        write_state(
            state, self.folder / CHECKPOINT, self.folder / LAST, **record, metrics=self._text()
        )

    def rewind(self, metrics: str) -> None:
        """Set metrics.jsonl to its content when a state was saved."""
        atomic_write(self._metrics, metrics.encode())

    def _text(self) -> str:
        """Return the content of metrics.jsonl."""
        return self._metrics.read_bytes().decode() if self._metrics.is_file() else ""

    @property
    def is_finished(self) -> bool:
        """Whether the model is saved and measured."""
        return self.model_path.exists() and any(
            record.get("phase") == "test" for record in self.records()
        )

    def kept(self) -> str | None:
        """Return a sentence on the files that a run left; None if there are none.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     Run.create(f"{parent}/run", {}).kept()
        """
        files = []
        readable = True
        if self.model_path.exists():
            files.append(f"{MODEL} (the trained model)")
        for name, description in ((CHECKPOINT, "the best so far"), (LAST, "the last")):
            path = self.folder / name
            if path.exists():
                record = record_of(path)
                if record.get("stage") == "filters":
                    files.append(f"{name} (the filters of {record.get('done')} layers)")
                    readable = False
                    continue
                epoch = record.get("epoch")
                which = "" if epoch is None else f"epoch {epoch}, " if epoch else "the start, "
                if record.get("stage") == "batch":
                    which = f"epoch {record['epoch'] + 1}, after {record['done']} batches, "
                files.append(f"{name} ({which}{description})")
        if not files:
            return None
        sentence = f"kept in {self.folder}: {', '.join(files)}"
        if readable:
            sentence += f"; load_model reads {'it' if len(files) == 1 else 'each'}"
        if (self.folder / LAST).exists() and not self.model_path.exists():
            sentence += f"; `tinygrad-ckn train --resume {self.folder}` continues the training"
        return sentence

    def discard(self) -> None:
        """Remove config.json and metrics.jsonl unless a model or a checkpoint exists."""
        if not any((self.folder / name).exists() for name in (MODEL, *TRAINED)):
            for name in WORTHLESS:
                (self.folder / name).unlink(missing_ok=True)

    def load(self) -> CKN | CNN:
        """Return the trained model.

        Raises
        ------
        DataError
            If training was not finished, or the file is damaged.
        """
        if not self.model_path.exists():
            raise DataError(
                f"{self.folder}: expected model.safetensors in a finished run, got none; the "
                f"training was interrupted or is still running; {self._instead()}"
            )
        return load_model(self.model_path)

    def _instead(self) -> str:
        """Return a hint for a run without a model."""
        path = self.folder / CHECKPOINT
        resume = f"`tinygrad-ckn train --resume {self.folder}` continues it"
        if not path.exists():
            return resume
        epoch = epoch_of(path)
        which = (
            "its start" if epoch == 0 else "the best epoch so far" + (f", {epoch}" if epoch else "")
        )
        return f"{resume}, load_model({str(path)!r}) reads {which}"

    @property
    def _metrics(self) -> Path:
        return self.folder / METRICS


def versions() -> dict[str, str | None]:
    """Return versions of this library, Python and packages, None if not installed."""
    return {
        "tinygrad-ckn": tinygrad_ckn.__version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", "scipy", "safetensors")},
    }


def _version(distribution: str) -> str | None:
    """Return the version of a distribution, None if it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
