"""Models in safetensors files, whose metadata hold the architecture.

Metadata: "format" ("tinygrad-ckn"), "format_version" ("1"), "version" of the library,
"architecture" (JSON of `config()`), "fitted" (JSON of `metadata()`). Tensors: those of
`state_dict()`, by name.

A checkpoint also has "training" and "sha256" in its metadata, and last.safetensors the
arrays of the state to resume from: see `models.learning.state_file`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_ckn
from tinygrad_ckn.errors import ConfigError, DataError, DTypeError, TrainingWarning
from tinygrad_ckn.files import PathLike, atomic_write
from tinygrad_ckn.models import CKN, CNN, from_config
from tinygrad_ckn.models.learning.best_weights import FineTuningState
from tinygrad_ckn.models.learning.state import TrainingState
from tinygrad_ckn.models.learning.state_file import CHECKSUM, RECORD, STATE, checksum
from tinygrad_ckn.nn import Module, init
from tinygrad_ckn.training.folder import MODEL
from tinygrad_ckn.training.model_file import FORMAT, FORMAT_VERSION, opened

_HINT = "wrap a CKN of this library in your own code, or save np.savez(path, **model.state_dict())"
_NOTHING: Mapping[str, Any] = {}
# Bytes of the header's length, with which a safetensors file begins.
_LENGTH = 8


def save_model(model: CKN | CNN, path: PathLike) -> None:
    """Write a model to a safetensors file; equal models give equal bytes.

    A crash leaves the previous file or the new one, never a part of one.

    Parameters
    ----------
    model
        A CKN or CNN, on any device, made of layers and preprocessors of this library.
        Your own kernels must be registered, see `models.kernels`.
    path
        The file, written or replaced; its folder must exist.

    Raises
    ------
    DTypeError
        If the model is neither a CKN nor a CNN.
    ConfigError
        If a kernel is not registered, or `load_model` would make another model of the
        file, because the model, a layer or a preprocessor is of your own class.
    DataError
        If the folder does not exist.
    OSError
        If writing fails.
    """
    write_model(model, path)


def write_model(
    model: CKN | CNN,
    path: PathLike,
    record: Mapping[str, Any] = _NOTHING,
    arrays: Mapping[str, Any] = _NOTHING,
) -> None:
    """Write a model as `save_model` does, with a record and arrays of fine-tuning."""
    from safetensors.numpy import save

    if not isinstance(model, CKN | CNN):
        raise DTypeError(
            f"save_model: argument model expected a CKN or CNN, got {type(model).__name__}; save "
            "the arrays of another module, np.savez(path, **module.state_dict())"
        )
    _check_round_trip(model)
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "version": tinygrad_ckn.__version__,
        "architecture": json.dumps(model.config()),
        "fitted": json.dumps({**model.metadata(), **_untrained(record)}),
    }
    tensors = model.state_dict()
    tensors |= {STATE + name: np.asarray(array) for name, array in arrays.items()}
    if record:
        metadata[RECORD] = json.dumps(record)
        metadata[CHECKSUM] = checksum(tensors, metadata[RECORD])
    atomic_write(path, _with_sorted_metadata(save(tensors, metadata)))


def write_state(state: TrainingState, best: Path, last: Path, **record: Any) -> None:
    """Write the state of a training, with more entries of the record.

    Raises
    ------
    OSError
        If the file of the best epoch cannot be written.

    Warns
    -----
    TrainingWarning
        If that of the last one cannot be written, which the training does not need.
    """
    model: Any = state.model
    known = {**state.record(), **record}
    descent = state.descent
    # The best epoch first, which is worth more where the disk is full.
    if isinstance(descent, FineTuningState) and descent.is_best:
        write_model(model, best, known)
    try:
        write_model(model, last, known, state.arrays())
    except OSError as error:
        warnings.warn(
            f"train: expected to write {last}, got {error.strerror}; the training continues, but "
            "cannot be resumed from here",
            TrainingWarning,
            stacklevel=3,
        )


def load_model(path: PathLike) -> CKN | CNN:
    """Read a model that `save_model` wrote.

    Memory is bounded by a small multiple of the file's size, whatever the file claims.

    Parameters
    ----------
    path
        The file, or the folder of a run with a model.safetensors.

    Returns
    -------
    CKN or CNN
        On the CPU and in eval mode.

    Raises
    ------
    DataError
        If the file is missing, damaged, of another program or of a newer format; if its
        tensors do not fit its architecture, a number is not finite, or the norm of a
        filter is not 1.

    Examples
    --------
    >>> import tempfile
    >>> from tinygrad_ckn.models import build
    >>> model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(model, f"{folder}/model.safetensors")
    ...     load_model(f"{folder}/model.safetensors").config() == model.config()
    True
    """
    path = Path(path)
    if (path / MODEL).is_file():
        path /= MODEL
    with opened(path) as file:
        return file.model()


def epoch_of(path: PathLike) -> int | None:
    """Return the epoch of a checkpoint, 0 for the start, None if unknown."""
    epoch = record_of(path).get("epoch")
    return epoch if type(epoch) is int else None


def record_of(path: PathLike) -> Mapping[str, Any]:
    """Return the record of a training that is not finished; empty if unknown."""
    try:
        with opened(Path(path)) as file:
            return file.state()
    except (DataError, OSError):
        return {}


def _untrained(record: Mapping[str, Any]) -> dict[str, bool]:
    """Return the metadata of a model whose filters are learned, but not its classifier."""
    return {"outdated": True} if record.get("stage") == "filters" else {}


def _check_round_trip(model: CKN | CNN) -> None:
    """Raise a ConfigError if `load_model` would make another model."""
    config = model.config()
    try:
        with init.without_values():
            other = from_config(json.loads(json.dumps(config)), rng=0)
    except (ConfigError, TypeError, ValueError) as error:
        raise ConfigError(
            "save_model: argument model expected one that can be made again from its config(), got "
            f"{error}; {_HINT}"
        ) from error
    saved = _parts(model)
    loaded = _parts(other)
    different = [name for name in saved if saved[name] != loaded.get(name)]
    different += [name for name in loaded if name not in saved]
    if not different and other.config() != config:
        different = ["config()"]
    if different:
        name = different[0]
        raise ConfigError(
            "save_model: argument model expected a network of this library's own classes, which "
            f"load_model makes again, got {saved.get(name, 'nothing')} as {name or 'the model'} "
            f"where load_model would make {loaded.get(name, 'nothing')}; {_HINT}"
        )


def _parts(model: Module) -> dict[str, str]:
    """Return a description of each module and tensor of a model, by name."""
    parts = {"": _kind(model)}
    for name, part in model._walk("", {id(model)}):
        parts[name] = _kind(part) if isinstance(part, Module) else f"{part.dtype} {part.shape}"
    return parts


def _kind(module: Module) -> str:
    """Return the classes of a module and its kernel, and methods set on it."""
    kind = type(module)
    kernel = getattr(module, "kernel", None)
    replaced = [
        name
        for name, value in vars(module).items()
        if callable(value) and callable(getattr(kind, name, None))
    ]
    parts = [
        f"{kind.__module__}.{kind.__qualname__}",
        *(f"with its own {name}()" for name in replaced),
    ]
    return " ".join(
        [*parts, f"of {type(kernel).__module__}.{type(kernel).__qualname__}"]
        if kernel is not None
        else parts
    )


def _with_sorted_metadata(content: bytes) -> bytes:
    """Return a safetensors file with its metadata sorted, for equal bytes."""
    length = int.from_bytes(content[:_LENGTH], "little")
    header = json.loads(content[_LENGTH : _LENGTH + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return content[:_LENGTH] + text.ljust(length) + content[_LENGTH + length :]
