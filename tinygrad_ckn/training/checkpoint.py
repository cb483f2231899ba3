"""Models in files: safetensors, with the architecture in the metadata, so that a file is enough to have the model.

Metadata: "format" ("tinygrad-ckn"), "format_version" ("1"), "version" of the library,
"architecture" (JSON, what `config()` gives). Tensors: those of `state_dict()`, by name.

A checkpoint of a descent has in its metadata "training" (JSON: epoch, epochs,
best_epoch, best_accuracy, best_loss, l2, optimizer, lr, scheduler, generator: the state
of NumPy's bit generator). That of the last epoch, last.safetensors, has tensors beside:
"training.held_out" (numbers of the images held out) and "training.optimizer.<i>.<name>"
(what the optimiser keeps for parameter i). With the best epoch, checkpoint.safetensors,
that is all a descent needs to go on; it is one file, so that weights and the rest are
always of one epoch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_ckn
from tinygrad_ckn.errors import ConfigError, DataError, DTypeError
from tinygrad_ckn.files import PathLike, atomic_write
from tinygrad_ckn.models import CKN, CNN, from_config
from tinygrad_ckn.nn import Module, init
from tinygrad_ckn.training.folder import MODEL
from tinygrad_ckn.training.model_file import FORMAT, FORMAT_VERSION, STATE, opened

_MEND = "put what is your own around a CKN of this library, or save np.savez(path, **model.state_dict())"
_NOTHING: Mapping[str, Any] = {}
# bytes of the length that a safetensors file starts with
_HEADER = 8


def save_model(model: CKN | CNN, path: PathLike) -> None:
    """Write a model to a safetensors file; equal models give equal bytes.

    A crash leaves the file that was there before, or the new one, never half of one.

    Parameters
    ----------
    model
        A CKN or CNN, on any device, of layers and preprocessors of this library.
        Kernels of your own have to be registered, see `models.kernels`.
    path
        The file, written or replaced; its folder must exist.

    Raises
    ------
    DTypeError
        If the model is no CKN or CNN.
    ConfigError
        If a kernel is not registered, or the model is not what `load_model` would make
        of the file: it, a layer or a preprocessor is of a class of your own.
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
    """Write a model as `save_model` does, with the record and the arrays of the descent that it is in."""
    from safetensors.numpy import save

    if not isinstance(model, CKN | CNN):
        raise DTypeError(
            f"save_model: argument model expected a CKN or CNN, got {type(model).__name__}; of another module save the "
            "arrays, np.savez(path, **module.state_dict())"
        )
    _check_round_trip(model)
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "version": tinygrad_ckn.__version__,
        "architecture": json.dumps(model.config()),
        "fitted": json.dumps(model.metadata()),
    }
    tensors = model.state_dict()
    if record:
        metadata["training"] = json.dumps(record)
    tensors |= {STATE + name: np.asarray(array) for name, array in arrays.items()}
    atomic_write(path, _with_sorted_metadata(save(tensors, metadata)))


def load_model(path: PathLike) -> CKN | CNN:
    """Read a model that `save_model` wrote; on the CPU and in eval mode.

    Memory is bounded by a small multiple of the file's size, whatever the file claims.

    Parameters
    ----------
    path
        The file, or the folder of a run, whose model.safetensors is read.

    Raises
    ------
    DataError
        If there is no such file, it is damaged or from elsewhere, it was written in a
        newer format, its tensors are not those of its architecture, a number is not
        finite, or a filter is not of norm 1.

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
    """Return the epoch of a checkpoint, 0 for the start; None where the file does not say."""
    try:
        with opened(Path(path)) as file:
            epoch = file.state().get("epoch")
    except (DataError, OSError):
        return None
    return epoch if type(epoch) is int else None


def _check_round_trip(model: CKN | CNN) -> None:
    """Raise a ConfigError if the model that its configuration stands for is another function than the model."""
    config = model.config()
    try:
        with init.without_values():
            other = from_config(json.loads(json.dumps(config)), rng=0)
    except (ConfigError, TypeError, ValueError) as error:
        raise ConfigError(
            f"save_model: argument model expected one that can be made again from its config(), got {error}; {_MEND}"
        ) from error
    mine, made = _parts(model), _parts(other)
    different = [name for name in mine if mine[name] != made.get(name)] + [
        name for name in made if name not in mine
    ]
    if not different and other.config() != config:
        different = ["config()"]
    if different:
        name = different[0]
        raise ConfigError(
            "save_model: argument model expected a network of this library's own classes, which load_model makes "
            f"again, got {mine.get(name, 'nothing')} as {name or 'the model'} where load_model would make "
            f"{made.get(name, 'nothing')}; {_MEND}"
        )


def _parts(model: Module) -> dict[str, str]:
    """Return of each module below a model, and of each tensor, what it is: class, shape, and methods of its own."""
    parts = {"": _kind(model)}
    for name, part in model._walk("", {id(model)}):
        parts[name] = _kind(part) if isinstance(part, Module) else f"{part.dtype} {part.shape}"
    return parts


def _kind(module: Module) -> str:
    """Return the class of a module with its kernel's, and the methods that this object alone has."""
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
    """Return a safetensors file with its metadata in order of their names; the library's own order is random."""
    length = int.from_bytes(content[:_HEADER], "little")
    header = json.loads(content[_HEADER : _HEADER + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return content[:_HEADER] + text.ljust(length) + content[_HEADER + length :]
