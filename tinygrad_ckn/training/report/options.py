"""The options of a run beside their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tinygrad_ckn.models import PRESETS, FineTuning
from tinygrad_ckn.training.options import default_mode, resolve


@dataclass(frozen=True)
class OptionRow:
    """An option, its value and its default as texts; whether they differ."""

    name: str
    value: str
    default: str
    changed: bool


def option_rows(config: Mapping[str, Any]) -> list[OptionRow]:
    """Return the options in config.json of a run, those that differ from defaults first.

    Examples
    --------
    >>> rows = option_rows({"data": {"name": "digits"}, "options": {"seed": 3, "loss": "x"}})
    >>> [(row.name, row.value, row.default) for row in rows]
    [('seed', '3', '0'), ('loss', 'x', 'squared_hinge')]
    """
    options = dict(config.get("options", {}))
    descent = options.pop("descent", None)
    defaults = asdict(resolve(str(config.get("data", {}).get("name", ""))))
    model = options.get("model")
    if isinstance(model, str) and model in PRESETS:
        defaults["mode"] = default_mode(model)
    given = {**options, **(descent if isinstance(descent, Mapping) else {})}
    defaults |= asdict(FineTuning())
    rows = []
    for name, value in given.items():
        default = defaults.get(name)
        rows.append(OptionRow(name, _text(value), _text(default), _text(value) != _text(default)))
    return sorted(rows, key=lambda row: not row.changed)


def _text(value: Any) -> str:
    """Return a value for readers."""
    if isinstance(value, list | tuple):
        value = ", ".join(map(_text, value)) or None
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
