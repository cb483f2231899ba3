"""The epochs of a training as a CSV file."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from tinygrad_ckn.errors import DataError
from tinygrad_ckn.files import PathLike, atomic_write
from tinygrad_ckn.models import Callback, Progress

_EPOCH = "epoch"


class CSVLog(Callback):
    """A `report` callback that writes a row for each epoch of fine-tuning.

    The columns are "epoch" and the measurements: "lr", "loss", "train_accuracy",
    "validation_accuracy", "validation_loss", in `train` also "seconds". The file is
    replaced after each epoch, so that it is whole at any time.

    Parameters
    ----------
    path
        The file; an existing one is replaced when the first epoch ends.
    resume
        Keep the rows of a training that is resumed, up to its next epoch. In a list of
        callbacks a CSVLog stands before `Checkpoints`, so that an epoch that is saved has
        its row.

    Raises
    ------
    DataError
        If a file to keep rows of is something else.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = CSVLog(f"{folder}/epochs.csv")
    ...     log(Progress("epoch", 1, 2, {"loss": 0.25, "validation_accuracy": 0.5}))
    ...     log(Progress("epoch", 2, 2, {"loss": 0.125, "validation_accuracy": 0.75}))
    ...     print(Path(folder, "epochs.csv").read_text(), end="")
    epoch,loss,validation_accuracy
    1,0.25,0.5
    2,0.125,0.75
    """

    def __init__(self, path: PathLike, *, resume: bool = False) -> None:
        self.path = Path(path)
        self._rows: list[dict[str, str]] = []
        if resume and self.path.exists():
            self._rows = self._read()

    def epoch(self, progress: Progress) -> None:
        """Write the row of an epoch, in place of that and later ones."""
        row = {_EPOCH: progress.done, **progress.values}
        self._rows = [kept for kept in self._rows if int(kept[_EPOCH]) < progress.done]
        self._rows.append({name: repr(value) for name, value in row.items()})
        columns = dict.fromkeys(name for row in self._rows for name in row)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        atomic_write(self.path, text.getvalue().encode())

    def _read(self) -> list[dict[str, str]]:
        """Return the rows of the file, without empty cells."""
        with self.path.open(newline="", encoding="utf-8", errors="replace") as stream:
            rows = list(csv.DictReader(stream))
        if not all(str(row.get(_EPOCH)).isdecimal() and None not in row for row in rows):
            raise DataError(
                f"{self.path}: expected rows of numbers with a column epoch, as CSVLog writes "
                "them, got others; remove the file"
            )
        return [{name: value for name, value in row.items() if value} for row in rows]
