"""Images to measure a trained model on, without those that its run trained on."""

from __future__ import annotations

import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data import DataFormat, Split, load_test
from tinygrad_ckn.errors import ConfigError, DataError, DataWarning
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.fingerprints import from_text
from tinygrad_ckn.models import CKN, CNN
from tinygrad_ckn.training.checkpoint import load_model
from tinygrad_ckn.training.folder import MODEL
from tinygrad_ckn.training.run import Run
from tinygrad_ckn.training.transfer import seen_before


class EvaluationImages(NamedTuple):
    """Labelled images to measure a model on, and a line that describes them."""

    split: Split
    description: str


def open_model(path: PathLike) -> tuple[Run | None, CKN | CNN]:
    """Open the folder of a run, or the file of a model.

    Returns
    -------
    run
        None for a model's file, and for a folder without a config.json.
    model
        On the CPU and in eval mode.

    Raises
    ------
    DataError
        If there is no model, training was not finished, or a file is damaged.
    """
    path = Path(path)
    alone = path.is_file() or (not (path / "config.json").exists() and (path / MODEL).exists())
    if alone:
        return None, load_model(path)
    run = Run.open(path)
    model = run.load()
    recorded = {field.name: _recorded(run, field.name) for field in fields(DataFormat)}
    try:
        agrees = model.data_format == DataFormat.from_config(recorded)
    except ConfigError:
        agrees = False
    if not agrees:
        raise DataError(
            f"{run.folder}/config.json: expected the data format that the model has, got another "
            "one; is it the model of another run?"
        )
    return run, model


def evaluation_images(
    run: Run | None, model: CKN | CNN, data: str | None, data_dir: PathLike | None, **reading: Any
) -> EvaluationImages:
    """Choose the images to measure a model on.

    Parameters
    ----------
    run, model
        From `open_model`.
    data, data_dir
        As for `load`; None: those of the run.
    **reading
        image_shape, channels_last, header and scale, as for `load`; by default images
        are read as in the training.

    Returns
    -------
    EvaluationImages
        From the run's own data, all images that it held out; from other data, the test
        part, or all images of a file without one, except those that the run was trained
        on.

    Raises
    ------
    DataError
        If an image that was held out is missing, if the model was trained on all images,
        or if the run does not record its data; and as `load`.
    """
    if run is None:
        return _without_run(model, data, data_dir, **reading)
    source = _recorded(run, "data")
    is_own = data is None or data == source or str(Path(data).resolve()) == source
    if is_own:
        data, data_dir, reading = _own_data(run, data_dir, reading)
    assert data is not None
    split, whole = load_test(data, data_dir=data_dir, data_format=model.data_format, **reading)
    if is_own:
        return _held_out(run, split, data)
    word, known = _seen(run)
    seen = np.isin(split.fingerprints, known)
    if seen.all():
        raise DataError(
            f"{data}: expected images that the model was not {word} on, got {len(seen):,} that it "
            f"was {word} on; choose others"
        )
    if not seen.any():
        return EvaluationImages(split, _described(len(split), whole, data))
    unseen = split.take(np.flatnonzero(~seen))
    line = _described(len(unseen), False, data)
    return EvaluationImages(unseen, f"{line}, without {seen.sum():,} that the model was {word} on")


def _seen(run: Run) -> tuple[str, NDArray[np.int64]]:
    """Return what a run, or one before it, did with images, and their fingerprints."""
    before = seen_before(run.config.get("options", {}))
    known = [_fingerprints(run, "train"), before]
    if not _recorded(run, "validation"):
        return "trained", np.concatenate(known)
    return "trained or validated", np.concatenate([*known, _fingerprints(run, "validation")])


def _own_data(
    run: Run, data_dir: PathLike | None, reading: dict[str, Any]
) -> tuple[str, PathLike | None, dict[str, Any]]:
    """Return where the test images of a run are, and how to read them."""
    source = _recorded(run, "data")
    if not isinstance(source, str):
        raise DataError(
            f"{run.folder}/config.json: expected the source of the data, got none, because the "
            "run was trained on arrays; pass its images as argument data"
        )
    if not _recorded(run, "test"):
        raise DataError(
            f"{run.folder}: expected a run with test images, got one trained on all its "
            "images; pass other images as argument data: those that the model was trained on "
            "are left out"
        )
    reading = {**_own_reading(run), **reading}
    division = _recorded(run, "division") or {}
    if "test_data" in division:
        path = str(division["test_data"])
        if not Path(path).is_dir():
            reading.pop("skip_broken", None)
        return path, None, reading
    if "holdout" in division:
        reading["holdout"] = division["holdout"]
    return source, data_dir or _recorded(run, "data_dir"), reading


def _own_reading(run: Run) -> dict[str, Any]:
    """Return the options of reading that the data of a run need again.

    The others are in the format that the model has.
    """
    reading = _recorded(run, "reading") or {}
    return {name: reading[name] for name in ("group", "skip_broken", "memory") if name in reading}


def _without_run(
    model: CKN | CNN, data: str | None, data_dir: PathLike | None, **reading: Any
) -> EvaluationImages:
    """Return images for a model without a run, which may include its training images."""
    if data is None:
        raise DataError(
            "evaluate: argument data expected a data set for a model without the config.json of "
            "its run, got None"
        )
    split, whole = load_test(data, data_dir=data_dir, data_format=model.data_format, **reading)
    message = (
        f"{data}: images that the model was trained on cannot be recognised without the "
        "config.json of its run"
    )
    warnings.warn(message, DataWarning, stacklevel=3)
    return EvaluationImages(split, _described(len(split), whole, data))


def _held_out(run: Run, split: Split, data: str) -> EvaluationImages:
    """Return the images that a run held out, in their present order."""
    held_out = _fingerprints(run, "test")
    missing = dict(zip(*np.unique(held_out, return_counts=True), strict=True))
    chosen = []
    for index, fingerprint in enumerate(split.fingerprints.tolist()):
        if missing.get(fingerprint, 0):
            missing[fingerprint] -= 1
            chosen.append(index)
    if len(chosen) != len(held_out):
        raise DataError(
            f"{data}: expected the {len(held_out):,} images that the run held out, got "
            f"{len(chosen):,} of them: the images are not those of the training, or are read "
            "differently; pass other images as argument data: those that the model was trained on "
            "are left out"
        )
    rest = split if len(chosen) == len(split) else split.take(np.array(chosen))
    return EvaluationImages(rest, _described(len(rest), False, data))


def _described(count: int, whole: bool, data: str) -> str:
    """Return the line that describes the images."""
    name = Path(data).name
    return f"all {count:,} images of {name}" if whole else f"the {count:,} test images of {name}"


def _fingerprints(run: Run, part: str) -> NDArray[np.int64]:
    """Return the fingerprints of the training or the test images of a run."""
    try:
        return from_text(_recorded(run, "fingerprints")[part])
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(
            f"{run.folder}/config.json: expected data.fingerprints.{part}, got none or damaged "
            "ones; train again"
        ) from error


def _recorded(run: Run, key: str) -> Any:
    """Return an entry of config.json about the data, None if missing."""
    data = run.config.get("data")
    return data.get(key) if isinstance(data, dict) else None
