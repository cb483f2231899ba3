"""The folder of a run, which no other run writes to."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.files import PathLike, is_partial, remove_abandoned
from tinygrad_ckn.models.learning.state_file import CHECKPOINT, LAST
from tinygrad_ckn.training.config import CONFIG, read_config
from tinygrad_ckn.training.lock import LOCK, FolderLock

PARENT = Path("runs")
MODEL = "model.safetensors"
METRICS = "metrics.jsonl"
# Files that a run writes before it has learned anything, while it learns, and after.
WORTHLESS = (CONFIG, METRICS)
TRAINED = (CHECKPOINT, LAST)
# Extra files on the epochs.
EPOCHS_CSV = "metrics.csv"
EPOCHS_TENSORBOARD = "tensorboard"
EXTRA = (EPOCHS_CSV, EPOCHS_TENSORBOARD)
FINISHED = (
    MODEL,
    "filters.png",
    "test.json",
    "report.html",
    "README.txt",
    "trace.json",
    "comparison.json",
    "comparison.png",
)


@dataclass(eq=False)
class Claim:
    """A folder reserved for one process until `release` or the end of a `with` block.

    Attributes
    ----------
    folder
        Its path.
    made
        Whether it was made for this claim; if so, it is removed at the end if it is
        empty.
    lock
        Held until the release.
    """

    folder: Path
    made: bool
    lock: FolderLock

    def release(self) -> None:
        """Let others write to the folder; a second call has no effect."""
        self.lock.release()
        if self.made:
            with contextlib.suppress(OSError):
                # It holds files, or another process removed it.
                self.folder.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.release()


def claim(out: PathLike | None, name: str) -> Claim:
    """Return a folder that only this run writes to, made if it does not exist.

    Parameters
    ----------
    out
        The folder: new, empty, or with nothing but a run that was interrupted before it
        had learned anything, which is removed; None: runs/<timestamp>-<name>.
    name
        Name of the run if `out` is None.

    Raises
    ------
    ConfigError
        If the folder holds other files, such as a checkpoint, or another run writes to it.
    OSError
        If it cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     with claim(f"{parent}/run", "digits") as claimed:
    ...         claimed.made
    True
    """
    if out is not None and not os.fspath(out):
        raise ConfigError("train: argument out expected the path of a folder, got ''; name one")
    if out is None:
        folder = _new_folder(f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{name}")
        return Claim(folder, True, FolderLock.acquire(folder))
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(
            f"{folder}: expected a new or empty folder for the run, got a file; choose another "
            "with argument out"
        )
    made = not folder.exists()
    # Check before writing anything, so that a folder with other files is not changed; a
    # folder in use is not inspected.
    if not made and not (folder / LOCK).exists():
        _check(folder)
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            claimed = Claim(folder, made, FolderLock.acquire(folder))
            break
        except FileNotFoundError:
            # Another run, which failed, has just removed the folder.
            continue
        except BaseException:
            if made:
                with contextlib.suppress(OSError):
                    folder.rmdir()
            raise
    try:
        # Check again, because others could write until now.
        _check(folder)
        for worthless in WORTHLESS:
            (folder / worthless).unlink(missing_ok=True)
        remove_abandoned(folder, *WORTHLESS, *TRAINED, *FINISHED, *EXTRA)
    except BaseException:
        claimed.release()
        raise
    return claimed


def reclaim(folder: PathLike) -> Claim:
    """Return the folder of a run that is resumed, which only this process writes to.

    Raises
    ------
    ConfigError
        If another run writes to it.
    DataError
        If it is not the folder of a run.
    """
    folder = Path(folder)
    read_config(folder)
    claimed = Claim(folder, False, FolderLock.acquire(folder))
    remove_abandoned(folder, *WORTHLESS, *TRAINED, *FINISHED, *EXTRA)
    return claimed


def _check(folder: Path) -> None:
    """Raise a ConfigError if a folder holds more than a run that learned nothing."""
    known = {*WORTHLESS, *TRAINED, *FINISHED, *EXTRA}
    names = {path.name for path in folder.iterdir()}
    names = {name for name in names if name != LOCK and not is_partial(name, *known)}
    if not names:
        return
    is_run = _is_run(folder)
    if is_run and names <= {*WORTHLESS, *TRAINED, *EXTRA} and names & {*TRAINED}:
        checkpoints = " and ".join(name for name in TRAINED if name in names)
        raise ConfigError(
            f"{folder}: expected a new or empty folder for the run, got one with {checkpoints} of "
            f"an interrupted run; go on with argument resume (`tinygrad-ckn train --resume "
            f"{folder}`), or choose another with argument out"
        )
    if is_run and MODEL in names:
        raise ConfigError(
            f"{folder}: expected a new or empty folder for the run, got one with a finished run; "
            "choose another with argument out"
        )
    if not is_run or not names <= {*WORTHLESS}:
        raise ConfigError(
            f"{folder}: expected a new or empty folder for the run, got one that holds files; "
            "choose another with argument out"
        )


def _is_run(folder: Path) -> bool:
    """Return whether a folder has the config.json of a run."""
    try:
        read_config(folder)
    except (DataError, OSError):
        return False
    return True


def _new_folder(name: str) -> Path:
    """Make runs/<name>, with a number appended if another run has the name."""
    folder = PARENT / name
    number = 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
            folder = PARENT / f"{name}-{number}"
