"""The registry of primitives: one of each name."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from tinygrad_ckn.errors import ConfigError, GradientError

REGISTRY: dict[str, Any] = {}


def registered(module: str, name: str) -> Any:
    """Return the primitive of a name, importing its module if needed; called by pickle."""
    if name not in REGISTRY:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    made = REGISTRY.get(name)
    if made is None or _home(made.__module__) != _home(module):
        got = "none of that name" if made is None else f"one of module {made.__module__!r}"
        raise GradientError(
            f"unpickling primitive {name!r}: expected module {module!r} to define it, got "
            f"{got}; define it in a module "
            "that can be imported, or before unpickling"
        )
    return made


def _home(module: str | None) -> str:
    """Return the module of a primitive; interactive code and `exec` count as __main__."""
    return "__main__" if module in (None, "builtins") else str(module)


def enter(made: Any) -> None:
    """Add a primitive to the registry; a later definition in the same module replaces it."""
    old = REGISTRY.get(made.name)
    if old is not None and _home(old.__module__) != _home(made.__module__):
        raise ConfigError(
            f"primitive {made.name!r}: expected a name of its own, got that of a primitive of "
            f"{old.__module__!r}; "
            'rename it, or pass name="..." to @primitive(...)'
        )
    REGISTRY[made.name] = made
