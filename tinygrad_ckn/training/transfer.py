"""A model that begins with the filters of another run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygrad_ckn.backend import Generator
from tinygrad_ckn.data import Dataset
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.models import CKN, CNN, from_config
from tinygrad_ckn.training.checkpoint import load_model
from tinygrad_ckn.training.config import CONFIG, read_config
from tinygrad_ckn.training.options import Options

_CLASSIFIER = "classifier."


def with_source(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of a training with those of the run that it begins with.

    They are the network, the preprocessing and the average over mirror images.

    Raises
    ------
    ConfigError
        If one of them is given and differs.
    DataError
        If the other run is not one, or damaged.
    """
    path = options.get("init_from")
    if path is None:
        return dict(options)
    folder = Path(path)
    if not (folder / CONFIG).is_file():
        raise DataError(
            f"{folder}: expected the folder of a run as argument init_from, got none; choose one "
            "that `tinygrad-ckn train` wrote"
        )
    recorded = read_config(folder).get("options", {})
    inherited: dict[str, Any] = {}
    for name in ("model", "preprocessing", "mirror_average"):
        value = recorded.get(name)
        value = "none" if value is None else value
        if options.get(name) not in (None, value):
            raise ConfigError(
                f"train: argument {name} expected {value!r}, as in the run {folder}, got "
                f"{options[name]!r}; leave it out"
            )
        inherited[name] = value
    return {**options, **inherited, "init_from": str(folder.resolve())}


def transferred(options: Options, dataset: Dataset, random: Generator) -> CKN | CNN:
    """Return a model with the filters and the preprocessing of another run.

    Its classifier has the classes of the data set, and initial weights from `random`.

    Raises
    ------
    DataError
        If the other model is damaged, or takes images of another shape.
    """
    path = options.init_from
    assert path is not None
    source = load_model(path)
    config = source.config()
    shape = (config["in_channels"], *config["image_size"])
    expected = (dataset.in_channels, *dataset.image_size)
    if shape != expected:
        raise DataError(
            f"{path}: expected a model of images of the shape {expected}, as those of "
            f"{dataset.name}, got one of images {shape}; bring the images to that size"
        )
    model = from_config({**config, "n_classes": dataset.n_classes}, rng=random)
    learned = {n: x for n, x in source.state_dict().items() if not n.startswith(_CLASSIFIER)}
    own = {n: x for n, x in model.state_dict().items() if n.startswith(_CLASSIFIER)}
    model.load_state_dict(learned | own)
    return model
