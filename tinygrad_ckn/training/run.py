"""A run's folder: config.json says what was asked for, metrics.jsonl what happened, model.safetensors is the result."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

import tinygrad_ckn
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.models import CKN, CNN
from tinygrad_ckn.training._files import PathLike, atomic_write
from tinygrad_ckn.training.checkpoint import MODEL, load_model, save_model

FORMAT = "tinygrad-ckn run"
FORMAT_VERSION = 1
PARENT = Path("runs")
CHECKPOINT = "checkpoint.safetensors"
UNFINISHED = ("config.json", "metrics.jsonl", CHECKPOINT)  # what a training writes before its model


@dataclass(frozen=True)
class Run:
    """A folder with the files of one training.

    Parameters
    ----------
    folder
        Where the files are.
    config
        What config.json holds.
    made
        Whether `create` made the folder, which was not there before.

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
    made: bool = field(default=False, compare=False)

    @classmethod
    def create(cls, out: PathLike | None, config: Mapping[str, Any], *, name: str = "run") -> Self:
        """Make a folder and write config.json.

        Parameters
        ----------
        out
            The folder: new, empty, or with nothing but the files of a run that was broken off before it had a model,
            which are replaced; None: runs/<timestamp>-<name>.
        config
            What config.json is to hold, beside format, time and versions.
        name
            What the run is called when `out` is None.

        Raises
        ------
        ConfigError
            If the folder holds something else: no model and no other file is ever overwritten.
        OSError
            If the folder cannot be made.
        """
        now = datetime.now().astimezone()
        made = out is None or not Path(out).exists()
        folder = make_folder(out, name)
        head = {"format": FORMAT, "format_version": FORMAT_VERSION, "created": now.isoformat(timespec="seconds")}
        run = cls(folder, {**head, **config, "versions": versions()}, made)
        atomic_write(folder / "config.json", (json.dumps(run.config, indent=2) + "\n").encode())
        return run

    @classmethod
    def open(cls, folder: PathLike) -> Self:
        """Open the folder of a run.

        Raises
        ------
        DataError
            If there is no such folder, or its config.json is missing, damaged, from elsewhere or of a newer format.
        """
        folder = Path(folder)
        path = folder / "config.json"
        if not path.is_file():
            raise DataError(f"{folder}: expected a run's folder with a config.json, got none; check the path")
        try:
            config = json.loads(path.read_bytes())
        except ValueError as error:  # of JSON, of UTF-8
            raise DataError(f"{path}: expected JSON, got something else ({error}); train again") from error
        if not isinstance(config, dict) or config.get("format") != FORMAT:
            raise DataError(f"{path}: expected the configuration of a {FORMAT}, got another JSON file; check the path")
        if not isinstance(config.get("format_version"), int) or config["format_version"] > FORMAT_VERSION:
            raise DataError(
                f"{path}: expected format_version {FORMAT_VERSION} or older, got {config.get('format_version')!r}; "
                "update the checkout of tinygrad-ckn (git pull)"
            )
        return cls(folder, config)

    @property
    def model_path(self) -> Path:
        """The model's file."""
        return self.folder / MODEL

    def log(self, record: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl; it is in the file when this returns."""
        with self._metrics.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")

    def records(self) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl.

        Raises
        ------
        DataError
            If a line is no JSON; names it.
        """
        if not self._metrics.is_file():
            return []
        records = []
        for number, line in enumerate(self._metrics.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                records.append(json.loads(line))
            except ValueError as error:
                raise DataError(
                    f"{self._metrics}, line {number}: expected a JSON object, got {line[:40]!r}; remove the line"
                ) from error
        return records

    def save(self, model: CKN | CNN) -> None:
        """Write the model to its file; the checkpoint is not needed any more."""
        save_model(model, self.model_path)
        (self.folder / CHECKPOINT).unlink(missing_ok=True)

    def save_checkpoint(self, model: CKN | CNN) -> None:
        """Write a model that is not trained to the end to checkpoint.safetensors, which `load_model` reads."""
        save_model(model, self.folder / CHECKPOINT)

    def discard(self) -> None:
        """Remove the files of a run without a model, and the folder if `create` made it and nothing else is in it.

        Does nothing where there is a model.
        """
        if self.model_path.exists():
            return
        for name in UNFINISHED:
            (self.folder / name).unlink(missing_ok=True)
        if self.made and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def load(self) -> CKN | CNN:
        """Return the trained model.

        Raises
        ------
        DataError
            If the training was not finished, or the file is not sound.
        """
        if not self.model_path.exists():
            raise DataError(
                f"{self.folder}: expected model.safetensors in a finished run, got none; the training was broken off, "
                "start it again"
            )
        return load_model(self.model_path)

    @property
    def _metrics(self) -> Path:
        return self.folder / "metrics.jsonl"


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


def make_folder(out: PathLike | None, name: str) -> Path:
    """Make the folder that `Run.create` is asked for, and return it.

    Raises
    ------
    ConfigError
        If it holds something, but for a run that was broken off.
    """
    now = datetime.now().astimezone()
    return _new_folder(f"{now:%Y%m%d-%H%M%S}-{name}") if out is None else _empty_folder(Path(out))


def _new_folder(name: str) -> Path:
    """Make runs/<name>, with a number behind it where another run has the name."""
    folder, number = PARENT / name, 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
            folder = PARENT / f"{name}-{number}"


def _empty_folder(folder: Path) -> Path:
    """Make a folder, or return one that is there and empty, if need be after removing a run that was broken off."""
    if _is_unfinished(folder):
        Run.open(folder).discard()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        got = "one that holds files" if folder.is_dir() else "a file"
        raise ConfigError(f"{folder}: expected a new or empty folder for the run, got {got}; give another with --out")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _is_unfinished(folder: Path) -> bool:
    """Whether a folder holds nothing but the files of a run without a model."""
    if not folder.is_dir() or not {path.name for path in folder.iterdir()} <= set(UNFINISHED):
        return False
    try:
        Run.open(folder)
    except DataError:
        return False
    return True
