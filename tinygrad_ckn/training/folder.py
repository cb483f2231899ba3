"""The folder that a training may write to: new, empty, or with what is left of one that had learned nothing yet."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.files import PathLike, is_partial, remove_abandoned
from tinygrad_ckn.training.config import CONFIG, read_config
from tinygrad_ckn.training.lock import LOCK, FolderLock

PARENT = Path("runs")
MODEL = "model.safetensors"
CHECKPOINT = "checkpoint.safetensors"
LAST = "last.safetensors"
METRICS = "metrics.jsonl"
# What a training writes before it has learned anything, what it learns on the way, and
# what it writes then.
WORTHLESS = (CONFIG, METRICS)
TRAINED = (CHECKPOINT, LAST)
FINISHED = (MODEL, "filters.png", "trace.json", "comparison.json", "comparison.png")


@dataclass(eq=False)
class Claim:
    """A folder that nobody else may write to, until `release` or the end of a `with` block.

    Attributes
    ----------
    folder
        Where it is.
    made
        Whether it was made for this claim; if so, and nothing is in it at the end, it
        is removed.
    """

    folder: Path
    made: bool
    lock: FolderLock

    def release(self) -> None:
        """Let others write to the folder; once is enough, more do no harm."""
        self.lock.release()
        if self.made:
            with contextlib.suppress(OSError):
                # there is something in it, or somebody else removed it
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
    """Return a folder for a training alone, made where there is none.

    Parameters
    ----------
    out
        The folder: new, empty, or with nothing but a run that was broken off before it
        had learned anything, which is removed; None: runs/<timestamp>-<name>.
    name
        What the training is called when `out` is None.

    Raises
    ------
    ConfigError
        If the folder holds something else, a checkpoint for one, or another training
        writes to it.
    OSError
        If it cannot be made.
    """
    if out is None:
        folder = _new_folder(f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{name}")
        return Claim(folder, True, FolderLock.acquire(folder))
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(
            f"{folder}: expected a new or empty folder for the run, got a file; give another with argument out"
        )
    made = not folder.exists()
    # Before anything is written, so that a folder that is not ours stays as it is; one
    # in use is not looked into.
    if not made and not (folder / LOCK).exists():
        _check(folder)
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            claimed = Claim(folder, made, FolderLock.acquire(folder))
            break
        except FileNotFoundError:
            # another training, which failed, has just removed it
            continue
        except BaseException:
            if made:
                with contextlib.suppress(OSError):
                    folder.rmdir()
            raise
    try:
        # Again, for until now others could write.
        _check(folder)
        for worthless in WORTHLESS:
            (folder / worthless).unlink(missing_ok=True)
        remove_abandoned(folder, *WORTHLESS, *TRAINED, *FINISHED)
    except BaseException:
        claimed.release()
        raise
    return claimed


def _check(folder: Path) -> None:
    """Raise a ConfigError unless a folder is empty but for a run that had learned nothing."""
    ours = {*WORTHLESS, *TRAINED, *FINISHED}
    names = {path.name for path in folder.iterdir()}
    names = {name for name in names if name != LOCK and not is_partial(name, *ours)}
    if not names:
        return
    mine = _is_run(folder)
    if mine and names <= {*WORTHLESS, *TRAINED} and names & {*TRAINED}:
        kept = " and ".join(name for name in TRAINED if name in names)
        raise ConfigError(
            f"{folder}: expected a new or empty folder for the run, got one with {kept} of a training that was broken "
            f"off; give another with argument out, or remove {kept} there if they are of no use"
        )
    if not mine or not names <= {*WORTHLESS}:
        raise ConfigError(
            f"{folder}: expected a new or empty folder for the run, got one that holds files; give another with argument out"
        )


def _is_run(folder: Path) -> bool:
    """Return whether a folder has the config.json of a run."""
    try:
        read_config(folder)
    except (DataError, OSError):
        return False
    return True


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
