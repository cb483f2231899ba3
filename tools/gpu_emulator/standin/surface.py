"""The table of names that the stand-in may offer, and checks of calls against it.

The table comes from the installed CuPy, or from the recorded file; see `cupy_names.py`.
"""

import inspect
import json
from functools import cache
from typing import Any

from tools.gpu_emulator.standin.cupy_names import FILE, Table, surface

_KINDS = {"*": inspect.Parameter.VAR_POSITIONAL, "**": inspect.Parameter.VAR_KEYWORD}


@cache
def table() -> Table:
    """Return the table of the installed CuPy, or the recorded one."""
    try:
        return surface()
    except ImportError:
        recorded: Table = json.loads(FILE.read_text())
        return recorded


def entry(module: str, name: str) -> dict[str, Any]:
    """Return the table's entry for a name.

    Raises
    ------
    AttributeError
        If CuPy has no such name.
    """
    try:
        known: dict[str, Any] = table()[module][name]
    except KeyError:
        raise AttributeError(f"CuPy has no {module}.{name}") from None
    return known


def check_call(
    module: str, name: str, args: tuple[Any, ...], options: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call by name, bound to CuPy's signature.

    Raises
    ------
    TypeError
        If CuPy does not accept such arguments.
    """
    try:
        return _signature(module, name).bind(*args, **options).arguments
    except TypeError as error:
        raise TypeError(f"{module}.{name}({entry(module, name)['parameters']}): {error}") from None


def check_values(module: str, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Raise CuPy's errors for values of arguments that only NumPy accepts."""
    arguments = check_call(module, name, args, options)
    if name in ("sort", "argsort") and arguments.get("kind") not in (None, "stable"):
        raise ValueError(
            f"{module}.{name}: kind can only be None or 'stable', got {arguments['kind']!r}"
        )
    if name == "lexsort" and getattr(args[0], "ndim", 2) > 2:
        raise NotImplementedError("Keys with the rank of three or more is not supported in lexsort")
    if name == "lstsq" and args[0].ndim != 2:
        raise ValueError(f"{args[0].ndim}-dimensional array given. Array must be two-dimensional")


@cache
def _signature(module: str, name: str) -> inspect.Signature:
    parameters = []
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    for text in filter(None, entry(module, name)["parameters"].split(", ")):
        label = text.strip("*=")
        default = None if text.endswith("=") else inspect.Parameter.empty
        stars = text[: len(text) - len(text.lstrip("*"))]
        if label:
            parameter_kind = _KINDS.get(stars, kind)
            parameters.append(inspect.Parameter(label, parameter_kind, default=default))
        if stars == "*":
            kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(parameters)
