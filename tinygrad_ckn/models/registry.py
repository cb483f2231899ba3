"""Kernels and preprocessors from their names or configurations."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any


def made(kinds: Mapping[str, Any], spec: Any) -> Any:
    """Return what a name, or a mapping of "name" and arguments, stands for; None if unknown or if they do not fit.

    Examples
    --------
    >>> made({"complex": complex}, {"name": "complex", "real": 2.0})
    (2+0j)
    >>> made({"complex": complex}, "fraction")
    """
    options: dict[str, Any] = dict(spec) if isinstance(spec, Mapping) else {"name": spec}
    name = options.pop("name", None)
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        return None
    try:
        inspect.signature(kind).bind(**options)
    except TypeError:
        return None
    return kind(**options)
