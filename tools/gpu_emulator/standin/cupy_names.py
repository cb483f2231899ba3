"""The public names of CuPy as a table for JSON, read from the installed package.

`record.py` writes it to surface.json, which is used if CuPy is not installed. An entry
has a `kind`. Functions have `parameters`, as in "a, axis=, *, dtype=", and
`synchronizes` if their documentation says that the host waits for the device. Ufuncs
have the `types` of their loops, as in "dd->d", and the `methods` that are supported.
"""

import inspect
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

Table = dict[str, dict[str, Any]]
FILE = Path(__file__).with_name("surface.json")
MODULES = ("cupy", "cupy.linalg", "cupy.lib.stride_tricks")
_SYNCHRONIZES = re.compile(r"may synchronize|performs device synchronization")


def surface() -> Table:
    """Return the table of the installed CuPy: the public names of MODULES and of "ndarray".

    Raises
    ------
    ImportError
        If CuPy is not installed.
    """
    import cupy

    table: Table = {"version": {"cupy": cupy.__version__}}
    for name in MODULES:
        module: Any = cupy
        for part in name.split(".")[1:]:
            module = getattr(module, part)
        table[name] = {
            n: _entry(getattr(module, n)) for n in sorted(dir(module)) if not n.startswith("_")
        }
    public = [n for n in sorted(dir(cupy.ndarray)) if not n.startswith("_")]
    table["ndarray"] = {n: _entry(getattr(cupy.ndarray, n), bound=True) for n in public}
    return table


def _entry(value: Any, *, bound: bool = False) -> dict[str, Any]:
    """Return the entry of one name; the parameters of methods do not include self."""
    import cupy

    if isinstance(value, ModuleType):
        return {"kind": "module"}
    if isinstance(value, cupy.ufunc):
        methods = [name for name in ("at",) if value._scatter_op is not None]
        methods += ["accumulate", "reduce"] if value.name in ("cupy_add", "cupy_multiply") else []
        # E is bfloat16, which exists only if ml_dtypes is installed.
        loops = (loop for loop in value.types if "E" not in loop)
        return {"kind": "ufunc", "types": " ".join(loops), "methods": " ".join(methods)}
    if isinstance(value, type):
        return {"kind": "type"}
    if not callable(value) or isinstance(value, property):
        return {"kind": "value"}
    entry: dict[str, Any] = {
        "kind": "function",
        "parameters": ", ".join(_parameters(value)[1 if bound else 0 :]),
    }
    if _SYNCHRONIZES.search(value.__doc__ or ""):
        entry["synchronizes"] = True
    return entry


def _parameters(function: Any) -> list[str]:
    """Return the parameters of a function, from its docstring's first line if Cython's."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        found = re.search(r"\((.*)\)", (function.__doc__ or "").split("\n")[0])
        return (
            [_without_type(part) for part in found[1].split(", ") if part]
            if found
            else ["*args", "**kwargs"]
        )
    parameters = []
    starred = False
    for p in signature.parameters.values():
        if p.kind is p.KEYWORD_ONLY and not starred:
            parameters.append("*")
        starred = starred or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        stars = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        parameters.append(stars + p.name + ("" if p.default is p.empty else "="))
    return parameters


def _without_type(text: str) -> str:
    """Return "axis=" for "int axis=-1"."""
    name, equals, _ = text.partition("=")
    return name.split(" ")[-1] + equals


def written(table: Table) -> str:
    """Return a table as JSON with one line per name."""
    modules = []
    for module, names in table.items():
        lines = (f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in names.items())
        modules.append(f"{json.dumps(module)}: {{\n" + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(modules) + "\n}\n"
