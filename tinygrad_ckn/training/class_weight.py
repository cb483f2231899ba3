"""Weights of classes as one text, for the command line and config.json."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.labels import Label
from tinygrad_ckn.models.example_weights import ClassWeight

_OPTION = "train: argument class_weight"


def check_class_weight(text: str | None) -> None:
    """Raise a ConfigError unless a text is "balanced" or NAME=WEIGHT,NAME=WEIGHT."""
    if text is not None and text != "balanced":
        _weights_by_name(text)


def read_class_weight(
    text: str | None, classes: Sequence[Label], class_names: Sequence[str]
) -> ClassWeight | None:
    """Return the argument class_weight of `CKN.fit` that a text stands for.

    Parameters
    ----------
    text
        "balanced", NAME=WEIGHT,NAME=WEIGHT or None; names without a weight have 1.
    classes, class_names
        The label and the name of each class.

    Raises
    ------
    ConfigError
        If the text is something else, or a name is unknown.

    Examples
    --------
    >>> read_class_weight("cat=3,dog=0.5", (0, 1), ("cat", "dog"))
    {0: 3.0, 1: 0.5}
    """
    if text is None or text == "balanced":
        return None if text is None else "balanced"
    weights = _weights_by_name(text)
    labels = dict(zip(class_names, classes, strict=True))
    for name in weights:
        if name not in labels:
            names = ", ".join(map(repr, class_names[:20]))
            raise ConfigError(
                f"{_OPTION} expected names of the classes {names}, got {name!r}; leave it out"
            )
    return {labels[name]: weight for name, weight in weights.items()}


def _weights_by_name(text: str) -> dict[str, float]:
    """Return the weights in a text NAME=WEIGHT,NAME=WEIGHT."""
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, separator, number = part.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not separator or not 0 <= weight < math.inf or name in weights:
            raise ConfigError(
                f"{_OPTION} expected balanced, or NAME=WEIGHT,NAME=WEIGHT with different names "
                f"and weights >= 0, got {text!r}"
            )
        weights[name] = weight
    return weights
