"""What a trained model is measured on: images that its training held out, never those that it learned from."""

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


class EvaluationImages(NamedTuple):
    """Labelled images to measure a model on, and a line that says which."""

    split: Split
    description: str


def open_model(path: PathLike) -> tuple[Run | None, CKN | CNN]:
    """Return the run and the model of a run's folder; of a model's file, or a folder with one alone, no run.

    Raises
    ------
    DataError
        If there is neither, the training was not finished, or a file is not sound.
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
            f"{run.folder}/config.json: expected how the data were read as the model has it, got something else; is it "
            "the model of another run?"
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
        Of the run's own data all images that it held out; of other data the test part,
        or all images of a file without one, but for those that the run was trained on.

    Raises
    ------
    DataError
        If an image that was held out is missing, all images were trained on, or the run
        does not say where its data are; and for all that `load` refuses.
    """
    if run is None:
        if data is None:
            raise DataError(
                "evaluate: argument data expected a data set for a model without the config.json of its "
                "run, got None"
            )
        split, whole = load_test(data, data_dir=data_dir, data_format=model.data_format, **reading)
        message = f"{data}: images that the model was trained on cannot be told without the run's config.json"
        warnings.warn(message, DataWarning, stacklevel=2)
        return EvaluationImages(split, _described(len(split), whole, data))
    source = _recorded(run, "data")
    own = data is None or data == source or str(Path(data).resolve()) == source
    if own:
        if not isinstance(source, str):
            raise DataError(
                f"{run.folder}/config.json: expected the source of the data, got none, since the run was trained on "
                "arrays; pass its images as argument data"
            )
        data, data_dir = source, data_dir or _recorded(run, "data_dir")
    assert data is not None
    split, whole = load_test(data, data_dir=data_dir, data_format=model.data_format, **reading)
    if own:
        return _held_out(run, split, data)
    seen = np.isin(split.fingerprints, _fingerprints(run, "train"))
    if seen.all():
        raise DataError(
            f"{data}: expected images that the model was not trained on, got {len(seen):,} that it was; give others"
        )
    but = f", without {seen.sum():,} that the model was trained on" if seen.any() else ""
    rest = split.take(np.flatnonzero(~seen)) if seen.any() else split
    return EvaluationImages(rest, _described(len(rest), whole and not but, data) + but)


def _held_out(run: Run, split: Split, data: str) -> EvaluationImages:
    """Return the images that a run held out, in the order they have now."""
    held = _fingerprints(run, "test")
    wanted = dict(zip(*np.unique(held, return_counts=True), strict=True))
    chosen = []
    for index, fingerprint in enumerate(split.fingerprints.tolist()):
        if wanted.get(fingerprint, 0):
            wanted[fingerprint] -= 1
            chosen.append(index)
    if len(chosen) != len(held):
        raise DataError(
            f"{data}: expected the {len(held):,} images that the run held out, got {len(chosen):,} of them: the images "
            "are not those of the training, or are read differently; pass other images as argument data, "
            "without those that the model was trained on"
        )
    rest = split if len(chosen) == len(split) else split.take(np.array(chosen))
    return EvaluationImages(rest, _described(len(rest), False, data))


def _described(count: int, whole: bool, data: str) -> str:
    """Return the line that says what is measured on."""
    return f"{'all' if whole else 'the'} {count:,} {'' if whole else 'test '}images of {Path(data).name}"


def _fingerprints(run: Run, part: str) -> NDArray[np.int64]:
    """Return the fingerprints of the training or the test images of a run."""
    try:
        return from_text(_recorded(run, "fingerprints")[part])
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(
            f"{run.folder}/config.json: expected data.fingerprints.{part}, got none or damaged ones; train again"
        ) from error


def _recorded(run: Run, key: str) -> Any:
    """Return what config.json says about the run's data, None where it says nothing."""
    data = run.config.get("data")
    return data.get(key) if isinstance(data, dict) else None
