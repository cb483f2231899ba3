"""Resuming the training of a run folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tinygrad_ckn.backend import Generator, default_rng
from tinygrad_ckn.data import Dataset, load
from tinygrad_ckn.errors import CKNError, ConfigError, DataError
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.models import CKN, CNN, from_config
from tinygrad_ckn.models.learning.callbacks import Report, combined
from tinygrad_ckn.models.learning.progress import no_report
from tinygrad_ckn.models.learning.state_file import LAST
from tinygrad_ckn.training.checkpoint import record_of
from tinygrad_ckn.training.config import CONFIG, shown
from tinygrad_ckn.training.description import description_of
from tinygrad_ckn.training.folder import reclaim
from tinygrad_ckn.training.loop import complete, new_model, noting_kept_files
from tinygrad_ckn.training.options import Options, resolve
from tinygrad_ckn.training.result import Result
from tinygrad_ckn.training.run import Run


def resume(
    folder: PathLike,
    *,
    dataset: Dataset | None = None,
    report: Report = no_report,
) -> Result:
    """Continue an interrupted training in its folder, to the same bits.

    Parameters
    ----------
    folder
        The folder of the run.
    dataset
        The data set of the run; None: loaded again as config.json says.
    report
        As for `train`.

    Returns
    -------
    Result
        As of a training that was not interrupted, except for the times.

    Raises
    ------
    ConfigError
        If the run is finished, or another process writes to the folder.
    DataError
        If a file is damaged, or the images are not those of the training.
    """
    run = Run.open(folder)
    if run.is_finished:
        raise ConfigError(
            f"{run.folder}: expected a run that was interrupted, got a finished one; start another "
            "with argument out"
        )
    options = options_of(run)
    dataset = dataset_of(run) if dataset is None else dataset
    _check_data(run, dataset)
    random = default_rng(options.seed)
    if options.init_from is not None and (run.folder / LAST).exists():
        # All weights are in the state: the run that they began with may be gone.
        model = _recorded_model(run, random).to(options.device)
    else:
        model = new_model(options, dataset, random)
    with reclaim(run.folder), noting_kept_files(run, resuming=True):
        state = run.folder / LAST
        saved = None
        if run.model_path.exists():
            # All but the test was done; a line that was cut off is dropped.
            run.rewind("".join(json.dumps(record) + "\n" for record in run.records()))
        elif state.exists():
            _check_config(run)
            saved = state
        else:
            run.rewind("")
        return complete(run, model, dataset, options, random, combined(report), saved)


def options_of(run: Run) -> Options:
    """Return the options of a run.

    Raises
    ------
    DataError
        If config.json does not have them.
    """
    recorded: Any = run.config.get("options")
    try:
        given = dict(recorded)
        descent = given.pop("descent") or {}
        for name in ("preprocessing", "mirror_average"):
            given[name] = "none" if given[name] is None else given[name]
        return resolve(run.config["data"]["name"], **given, **descent)
    except (CKNError, TypeError, KeyError, ValueError) as error:
        raise DataError(
            f"{run.folder}/{CONFIG}: expected the options of a training, got {shown(recorded)} "
            f"({shown(error)}); start the training again"
        ) from error


def _recorded_model(run: Run, random: Generator) -> CKN | CNN:
    """Return a new model of the architecture in config.json."""
    recorded: Any = run.config.get("model")
    try:
        return from_config(recorded, rng=random)
    except (CKNError, TypeError, KeyError, ValueError) as error:
        raise DataError(
            f"{run.folder}/{CONFIG}: expected the architecture of a model, got {shown(recorded)} "
            f"({shown(error)}); start the training again"
        ) from error


def dataset_of(run: Run) -> Dataset:
    """Return the data set of a run, read again as it was read for the training.

    Raises
    ------
    DataError
        If config.json does not say where it is; and as `load`.
    """
    data: Mapping[str, Any] = run.config.get("data", {})
    if data.get("data") is None:
        raise DataError(
            f"{run.folder}/{CONFIG}: expected the source of the data, got none, because the run "
            "was trained on arrays; pass them as argument dataset"
        )
    return load(
        data["data"],
        data_dir=data.get("data_dir"),
        **data.get("reading", {}),
        **data.get("division", {}),
    )


def _check_config(run: Run) -> None:
    """Raise a DataError if config.json was changed since the state was saved."""
    saved = record_of(run.folder / LAST).get("config")
    if saved is not None and saved != run.config_digest:
        raise DataError(
            f"{run.folder}/{CONFIG}: expected the file as the training that is resumed wrote it, "
            "got a changed one; restore it, or start a new training"
        )


def _check_data(run: Run, dataset: Dataset) -> None:
    """Raise a DataError unless a data set is that of a run."""
    recorded: Mapping[str, Any] = run.config.get("data", {})
    for name, value in description_of(dataset).items():
        if recorded.get(name) != _as_json(value):
            raise DataError(
                f"{dataset.name}: expected the data of the training that is resumed, got others "
                f"({name} differ); restore the files, or start a new training"
            )


def _as_json(value: Any) -> Any:
    """Return a value as JSON reads it: lists in place of tuples."""
    if isinstance(value, tuple | list):
        return [_as_json(part) for part in value]
    if isinstance(value, Mapping):
        return {name: _as_json(part) for name, part in value.items()}
    return value
