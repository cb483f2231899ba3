"""The epochs of a training for TensorBoard; the only place that imports tensorboardX."""

from __future__ import annotations

import time
import weakref
from importlib import import_module
from pathlib import Path
from typing import Any

from tinygrad_ckn.errors import MissingPackageError, how_to_install
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.models import Callback, Progress


class TensorBoard(Callback):
    """A `report` callback that writes the measurements of each epoch as event files.

    `tensorboard --logdir FOLDER` shows them. If a training is resumed into the same folder,
    TensorBoard drops the epochs that are repeated.

    Parameters
    ----------
    folder
        For the event files; made if it does not exist.

    Raises
    ------
    MissingPackageError
        If tensorboardX is not installed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = TensorBoard(folder)
    ...     log(Progress("epoch", 1, 1, {"loss": 0.25}))
    ...     log(Progress("kept", 1, 1))
    ...     [path.name.split(".")[0] for path in Path(folder).iterdir()]
    ['events']
    """

    def __init__(self, folder: PathLike) -> None:
        check_installed()
        self.folder = Path(folder)
        self._file: Any = None

    def epoch(self, progress: Progress) -> None:
        """Write the measurements of an epoch, which is the step."""
        from tensorboardX.summary import scalar

        if self._file is None:
            self._file = _new_file(self.folder, progress.done)
            # The file is closed also if the training is interrupted.
            self._close = weakref.finalize(self, self._file.close)
        for name, value in progress.values.items():
            event = _protocol().Event(
                summary=scalar(name, value), step=progress.done, wall_time=time.time()
            )
            self._file.write_event(event)
        # A training that is killed has the epochs until then.
        self._file.flush()

    def end(self, progress: Progress) -> None:
        """Close the file."""
        if self._file is not None:
            self._close()
            self._file = None


def check_installed() -> None:
    """Raise a MissingPackageError if tensorboardX is not installed."""
    try:
        import tensorboardX  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "TensorBoard: expected tensorboardX to write event files, got no such package; "
            f"{how_to_install('tensorboard')}"
        ) from error


def _new_file(folder: Path, step: int) -> Any:
    """Return a new event file that replaces older ones from a step on.

    Not a SummaryWriter, whose thread may not have written what it was given when the
    process is interrupted.
    """
    from tensorboardX.event_file_writer import EventsWriter

    folder.mkdir(parents=True, exist_ok=True)
    # File names have whole seconds: the suffix tells files of one second apart, and keeps
    # their order.
    file = EventsWriter(str(folder / "events"), f".{time.time_ns()}")
    protocol = _protocol()
    log = protocol.SessionLog(status=protocol.SessionLog.START)
    file.write_event(protocol.Event(session_log=log, step=step, wall_time=time.time()))
    return file


def _protocol() -> Any:
    """Return the module with the classes of events, which are made when it is imported."""
    return import_module("tensorboardX.proto.event_pb2")
