"""Models in files: safetensors, with the architecture in the metadata, so that a file is enough to have the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tinygrad_ckn
from tinygrad_ckn.errors import DataError, DTypeError
from tinygrad_ckn.models import CKN, CNN, from_config
from tinygrad_ckn.training._files import PathLike, atomic_write

FORMAT = "tinygrad-ckn"
FORMAT_VERSION = 1
MODEL = "model.safetensors"  # in the folder of a run
_HEADER = 8  # bytes of the length that a safetensors file starts with


def save_model(model: CKN | CNN, path: PathLike) -> None:
    """Write a model to a safetensors file; equal models give equal bytes.

    A crash leaves the file that was there before, or the new one, never half of one.

    Parameters
    ----------
    model
        A CKN or CNN, on any device. Kernels of your own have to be registered, see `models.kernels`.
    path
        The file, written or replaced; its folder must exist.

    Raises
    ------
    DTypeError
        If the model is no CKN or CNN.
    ConfigError
        If a kernel is not registered.
    DataError
        If the folder does not exist.
    OSError
        If writing fails.
    """
    from safetensors.numpy import save

    if not isinstance(model, CKN | CNN):
        raise DTypeError(
            f"save_model: argument model expected a CKN or CNN, got {type(model).__name__}; of another module save the "
            "arrays, np.savez(path, **module.state_dict())"
        )
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "version": tinygrad_ckn.__version__,
        "architecture": json.dumps(model.config()),
        "training": json.dumps(model.metadata()),
    }
    atomic_write(path, _with_sorted_metadata(save(model.state_dict(), metadata)))


def load_model(path: PathLike) -> CKN | CNN:
    """Read a model that `save_model` wrote; on the CPU and in eval mode.

    Parameters
    ----------
    path
        The file, or the folder of a run, whose model.safetensors is read.

    Raises
    ------
    DataError
        If there is no such file, it is damaged or from elsewhere, it was written in a newer format, or its tensors are
        not those of its architecture.

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
    metadata, tensors = _read(path)
    _check_format(path, metadata)
    model = _build(path, metadata.get("architecture", ""))
    try:
        model.load_state_dict(tensors)
    except DataError as error:
        raise DataError(
            f"{path}: expected the tensors of the architecture in the file, got others ({error}); save the model again"
        ) from error
    _take_metadata(model, path, metadata.get("training", ""))
    return model.eval()


def _with_sorted_metadata(content: bytes) -> bytes:
    """Return a safetensors file with its metadata in order of their names; the library's own order is random."""
    length = int.from_bytes(content[:_HEADER], "little")
    header = json.loads(content[_HEADER : _HEADER + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return content[:_HEADER] + text.ljust(length) + content[_HEADER + length :]


def _read(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the metadata and the arrays of a safetensors file."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        got = "a folder" if path.is_dir() else "nothing"
        raise DataError(f"{path}: expected a model saved by save_model, got {got}; check the path")
    try:
        with safe_open(path, framework="np") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise DataError(
            f"{path}: expected a whole safetensors file, got one that is cut off or of another format ({error}); "
            "copy it again, or train again"
        ) from error


def _check_format(path: Path, metadata: dict[str, str]) -> None:
    """Raise a DataError unless the metadata are this library's, in a format that this version knows."""
    if metadata.get("format") != FORMAT:
        raise DataError(
            f"{path}: expected metadata with format {FORMAT!r}, got {metadata.get('format')!r}; "
            "give a model that tinygrad-ckn saved"
        )
    version = metadata.get("format_version", "")
    if not version.isdecimal() or int(version) < 1:
        raise DataError(f"{path}: expected a format_version from 1 up in the metadata, got {version!r}; save it again")
    if int(version) > FORMAT_VERSION:
        raise DataError(
            f"{path}: expected format_version {FORMAT_VERSION} or older, got {version}, written by tinygrad-ckn "
            f"{metadata.get('version', 'of unknown version')}; update the checkout of tinygrad-ckn (git pull)"
        )


def _build(path: Path, architecture: str) -> CKN | CNN:
    """Return an untrained model of the architecture in the metadata."""
    try:
        return from_config(json.loads(architecture), rng=0)  # overwritten: reading a model draws nothing
    except (ValueError, TypeError) as error:  # of JSON, and ShapeError, ConfigError: whatever a wrong option leads to
        raise DataError(
            f"{path}: expected the architecture of a CKN or CNN in the metadata, got {architecture[:80]!r} ({error}); "
            "save the model again"
        ) from error


def _take_metadata(model: CKN | CNN, path: Path, training: str) -> None:
    """Give a model what its file says of its training."""
    try:
        model.set_metadata(json.loads(training))
    except (ValueError, TypeError, RecursionError) as error:  # of JSON, and ConfigError
        raise DataError(
            f"{path}: expected how the training data were read in the metadata, got {training[:80]!r} ({error}); save "
            "the model again"
        ) from error
