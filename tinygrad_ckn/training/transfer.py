"""A model that begins with the filters of another run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_ckn.backend import Generator, NDArray
from tinygrad_ckn.data import Dataset
from tinygrad_ckn.errors import CKNError, ConfigError, DataError, DataWarning
from tinygrad_ckn.fingerprints import from_text
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


def seen_before(options: Mapping[str, Any]) -> NDArray[np.int64]:
    """Return the fingerprints of images that the run that another began with has seen.

    It was trained or validated on them, or the run that it began with was. Those of runs
    that are gone, or do not say, are left out.
    """
    seen = [np.zeros(0, np.int64)]
    folders: list[str] = []
    while (path := options.get("init_from")) is not None and path not in folders:
        folders.append(path)
        try:
            config = read_config(Path(path))
            recorded = config["data"]["fingerprints"]
            texts = [recorded[part] for part in ("train", "validation") if part in recorded]
            seen += [from_text(text) for text in texts]
            options = config.get("options", {})
        except (CKNError, OSError, KeyError, TypeError, ValueError):
            break
    return np.unique(np.concatenate(seen))


def seen_parts(options: Options, dataset: Dataset) -> dict[str, int]:
    """Return how many images of the test and the validation part are among them.

    Parts without any are left out.

    Warns
    -----
    DataWarning
        If there are some.
    """
    seen = seen_before({"init_from": options.init_from})
    counts = {
        name: int(np.isin(split.fingerprints, seen).sum()) if len(seen) else 0
        for name, split in dataset.parts.items()
        if name != "training"
    }
    counts = {name: count for name, count in counts.items() if count}
    for name, count in counts.items():
        message = (
            f"{dataset.name}: {count:,} of {len(dataset.parts[name]):,} {name} images were seen by "
            f"the run {options.init_from}, or one before it, so that the {name} accuracy may be "
            "too high; hold out the images that it held out"
        )
        warnings.warn(message, DataWarning, stacklevel=3)
    return counts


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
