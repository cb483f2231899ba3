"""Files with the parameters and buffers of a module, in the format safetensors.

Format: https://github.com/huggingface/safetensors, version 0.4.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from tinygrad_ckn.errors import DataError, DTypeError
from tinygrad_ckn.files import PathLike, atomic_write
from tinygrad_ckn.nn.module import Module

M = TypeVar("M", bound=Module)


def save(module: Module, path: PathLike) -> None:
    """Write the parameters and buffers of a module to a safetensors file.

    The file has the names and arrays of `module.state_dict()`, which other programs read,
    too; not the class and its options. It is replaced in one step: an error leaves the
    old one. A trained CKN or CNN is saved with its architecture by `training.save_model`.

    Parameters
    ----------
    module
        Any module.
    path
        The file; its folder must exist.

    Raises
    ------
    DTypeError
        If it is not a module.
    ConfigError
        If two of its tensors share a name.
    DataError
        If the folder does not exist, or the path is a folder itself.

    Examples
    --------
    >>> import tempfile
    >>> from tinygrad_ckn.nn import Linear
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Linear(3, 2, rng=0), f"{folder}/layer.safetensors")
    ...     other = load(Linear(3, 2, rng=1), f"{folder}/layer.safetensors")
    >>> bool((other.weight.data == Linear(3, 2, rng=0).weight.data).all())
    True
    """
    from safetensors.numpy import save as to_bytes

    _check_module("save", module)
    atomic_write(path, to_bytes(module.state_dict()))


def load(module: M, path: PathLike, *, strict: bool = True) -> M:
    """Read the parameters and buffers of a module from a file; return the module.

    On an error nothing is changed.

    Parameters
    ----------
    module
        Built as it was when it was saved.
    path
        A file written by `save`, or another safetensors file with the same names.
    strict
        Whether missing and unexpected names are an error (default); otherwise they are
        ignored.

    Raises
    ------
    DTypeError
        If it is not a module.
    DataError
        If the file is missing or damaged; if a shape or dtype differs or, when strict, a
        name is missing or unexpected: all of these are listed.

    Examples
    --------
    >>> from tinygrad_ckn.nn import Linear
    >>> load(Linear(3, 2), "nowhere.safetensors")
    Traceback (most recent call last):
    tinygrad_ckn.errors.DataError: nowhere.safetensors: expected a file saved by
        nn.save, got nothing; check the path
    """
    _check_module("load", module)
    path = Path(path)
    state = _read(path)
    try:
        module.load_state_dict(state, strict=strict)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return module


def _read(path: Path) -> dict[str, Any]:
    """Return the arrays of a safetensors file by name."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.is_file():
        got = "a folder" if path.is_dir() else "nothing"
        raise DataError(f"{path}: expected a file saved by nn.save, got {got}; check the path")
    try:
        arrays: dict[str, Any] = load_file(path)
    except (SafetensorError, KeyError, TypeError) as error:
        # The latter two are what arrays of types that NumPy lacks, such as BF16, raise.
        raise DataError(
            f"{path}: expected a whole safetensors file with NumPy's types, got one that is cut "
            f"off or of another format ({str(error)!r}); save it again"
        ) from error
    return arrays


def _check_module(name: str, module: object) -> None:
    if not isinstance(module, Module):
        raise DTypeError(
            f"nn.{name}: argument module expected a Module, got {type(module).__name__}"
        )
