"""Kernels and preprocessors from names or configurations."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def from_spec(classes: Mapping[str, type[T]], spec: object) -> T | None:
    """Return the object for a name, or for a mapping of "name" and constructor arguments.

    None: the name is unknown, or the arguments do not fit the constructor.

    Examples
    --------
    >>> from_spec({"complex": complex}, {"name": "complex", "real": 2.0})
    (2+0j)
    >>> from_spec({"complex": complex}, "fraction")
    """
    options: dict[str, Any] = dict(spec) if isinstance(spec, Mapping) else {"name": spec}
    name = options.pop("name", None)
    kind = classes.get(name) if isinstance(name, str) else None
    if kind is None:
        return None
    try:
        inspect.signature(kind).bind(**options)
    except TypeError:
        return None
    return kind(**options)
