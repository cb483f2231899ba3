"""Networks of either class: from the name of a preset, or from a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_ckn.backend import Generator
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.ckn import CKN
from tinygrad_ckn.models.cnn import CNN
from tinygrad_ckn.models.network_structure import MirrorAverage
from tinygrad_ckn.models.preprocessing.chain import PreprocessorSpec
from tinygrad_ckn.models.presets import get_preset
from tinygrad_ckn.plain import plain_arguments

MODELS: dict[str, type[CKN | CNN]] = {"CKN": CKN, "CNN": CNN}


@plain_arguments
def build(
    name: str,
    *,
    in_channels: int,
    image_size: int | Sequence[int],
    n_classes: int,
    preprocessing: PreprocessorSpec = None,
    mirror_average: MirrorAverage | None = None,
    rng: Generator | int | None = None,
) -> CKN | CNN:
    """Return an untrained network from a preset; its class is that of the preset.

    `CKN.preset` does the same for presets of a CKN only.

    Parameters
    ----------
    name : str
        One of `PRESETS`.
    in_channels, image_size, n_classes, preprocessing, mirror_average
        As for `CKN`.
    rng : Generator, int or None, default None
        Generator or seed of all initial weights. None: the package's generator, see
        `manual_seed`.

    Raises
    ------
    ConfigError, ShapeError
        If the preset does not exist or does not fit the image.

    Examples
    --------
    >>> build("lenet", in_channels=1, image_size=8, n_classes=10).layers[0].activation
    'relu'
    """
    return MODELS[get_preset(name).model].preset(
        name,
        in_channels=in_channels,
        image_size=image_size,
        n_classes=n_classes,
        preprocessing=preprocessing,
        mirror_average=mirror_average,
        rng=rng,
    )


def from_config(config: Mapping[str, Any], *, rng: Generator | int | None = None) -> CKN | CNN:
    """Return an untrained network from its `config()`; its class is the one named there.

    Parameters
    ----------
    config : mapping
        What `config()` of a network returned.
    rng
        As for `build`.

    Raises
    ------
    ConfigError
        If the class is unknown, or the configuration is not one that `config()` returns.

    Examples
    --------
    >>> model = build("lenet", in_channels=1, image_size=8, n_classes=10)
    >>> type(from_config(model.config())).__name__
    'CNN'
    """
    name = config.get("model") if isinstance(config, Mapping) else None
    if name not in MODELS:
        raise ConfigError(
            f"from_config: expected model as one of {', '.join(MODELS)}, got {name!r}; "
            "was it written by a newer version?"
        )
    return MODELS[name].from_config(config, rng=rng)
