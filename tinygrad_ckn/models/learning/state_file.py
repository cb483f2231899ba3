"""Files with the state of a training that is not finished.

Two files lie in one folder: last.safetensors has the weights and the `TrainingState`,
checkpoint.safetensors the weights of the best epoch. They are safetensors files, whose
tensors are those of the model by name; the state's arrays have the prefix "training."
and its record is the entry "training" of the metadata, as JSON.

checkpoint.safetensors is written first. If a process is killed before the other file
follows, it is of a later epoch than the state, and the resumed training will come to
that epoch again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_ckn.backend import NDArray
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.models.learning.state import SavedState

CHECKPOINT = "checkpoint.safetensors"
LAST = "last.safetensors"
# Prefix of tensors that belong to the training, not to the model.
STATE = "training."
RECORD = "training"
CHECKSUM = "sha256"
_STAGES = ("filters", "start", "epoch", "batch")


def checksum(tensors: Mapping[str, NDArray[Any]], record: str) -> str:
    """Return the SHA-256 of a record and tensors by name, in hexadecimal digits.

    Examples
    --------
    >>> checksum({"x": np.zeros(2)}, "{}")[:8]
    '020339df'
    """
    digest = hashlib.sha256(record.encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def read_state(path: PathLike) -> SavedState:
    """Read the state of a training from a file, or from a folder with last.safetensors.

    Raises
    ------
    DataError
        If the file is missing, damaged, or has no state.
    """
    path = Path(path)
    if path.is_dir():
        path /= LAST
    record, tensors = _read(path)
    arrays = {name.removeprefix(STATE): x for name, x in tensors.items() if name.startswith(STATE)}
    weights = {name: x for name, x in tensors.items() if not name.startswith(STATE)}
    if record.get("stage") not in _STAGES:
        raise DataError(
            f"{path}: expected the state of an unfinished training, got a model without one; "
            f"resume from {LAST}"
        )
    best: dict[str, NDArray[Any]] = {}
    is_best = record["stage"] in ("filters", "start") or (
        record["stage"] == "epoch" and record["best_epoch"] == record["epoch"]
    )
    if not is_best:
        best_record, best = _read(path.with_name(CHECKPOINT))
        _check_best(path.with_name(CHECKPOINT), best_record, record)
    return SavedState(str(path), record, arrays, weights, best)


def _check_best(path: Path, best: Mapping[str, Any], last: Mapping[str, Any]) -> None:
    """Raise a DataError unless one record is of the best epoch of the other's training."""
    if any(best.get(name) != last.get(name) for name in ("images", "options")):
        raise DataError(
            f"{path}: expected the best epoch of the training in {LAST}, got that of another "
            "training; restore the file, or start the training again"
        )
    # A later epoch may be there, which the resumed training comes to as well.
    if best.get("epoch", -1) < last["best_epoch"]:
        raise DataError(
            f"{path}: expected the weights of epoch {last['best_epoch']}, the best so far, got "
            f"those of epoch {best.get('epoch')}; start the training again"
        )


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the record and the tensors of a file, after comparing its checksum."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise DataError(
            f"{path}: expected the state of an unfinished training, got nothing; check the path"
        )
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            # Not a mapping: it cannot be iterated over.
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        text = metadata.get(RECORD, "{}")
        record = json.loads(text)
        if not isinstance(record, dict):
            raise TypeError("no object")
    except (SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path}: expected a whole file with the state of a training, got a damaged one "
            f"({str(error)[:80]}); start the training again"
        ) from error
    if metadata.get(CHECKSUM) != checksum(tensors, text):
        raise DataError(
            f"{path}: expected a file with the checksum {str(metadata.get(CHECKSUM))[:12]}, got "
            "other bytes; the file is damaged: start the training again"
        )
    return record, tensors
