"""The registry of primitives: one of each name."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from tinygrad_ckn.errors import ConfigError, GradientError

REGISTRY: dict[str, Any] = {}


def registered(module: str, name: str) -> Any:
    """Return the primitive of a name, importing the module that defines it if need be; what pickle calls."""
    if name not in REGISTRY:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    found = REGISTRY.get(name)
    if found is None or _home(found.__module__) != _home(module):
        got = "none of that name" if found is None else f"one of module {found.__module__!r}"
        raise GradientError(
            f"unpickling primitive {name!r}: expected module {module!r} to define it, got {got}; define it in a module "
            "that can be imported, or before unpickling"
        )
    return found


def _home(module: str | None) -> str:
    """Return the module of a primitive; what is typed in, or run by `exec`, is of one module."""
    return "__main__" if module in (None, "builtins") else str(module)


def enter(made: Any) -> None:
    """Enter a primitive in the registry; of one module and name the last definition counts, as of any function."""
    old = REGISTRY.get(made.name)
    if old is not None and _home(old.__module__) != _home(made.__module__):
        raise ConfigError(
            f"primitive {made.name!r}: expected a name of its own, got that of a primitive of {old.__module__!r}; "
            'rename it, or pass name="..." to @primitive(...)'
        )
    REGISTRY[made.name] = made
