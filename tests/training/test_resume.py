"""Interrupted trainings end with the same bits as those left alone."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_ckn import plots
from tinygrad_ckn.data import Dataset, load
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.models import Progress
from tinygrad_ckn.training import Run, load_model, resume, train
from tinygrad_ckn.training import result as finishing

SUPERVISED: dict[str, Any] = {
    "mode": "supervised",
    "n_patches": 500,
    "iterations": 2,
    "epochs": 2,
    "batch_size": 100,
    "augment": "crop-flip",
}
KINDS: dict[str, dict[str, Any]] = {
    "supervised": {**SUPERVISED, "csv": True},
    "without validation set": {**SUPERVISED, "validation": 0, "class_weight": "balanced"},
    "adam, alternating, patience": {
        **SUPERVISED,
        "optimizer": "adam",
        "alternating": True,
        "patience": 1,
    },
    "unsupervised": {"n_patches": 500, "iterations": 2},
    "average and mixup": {
        **SUPERVISED,
        "loss": "cross_entropy",
        "ema": 0.9,
        "mixup": 0.3,
        "label_smoothing": 0.1,
        "clip_norm": 1.0,
    },
    "cnn": {**SUPERVISED, "model": "lenet", "refit_classifier_every": 1},
}


# Times and memory.
VARYING = ("seconds", "peak_memory")


class Stopped(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the picture and the page of a run, which take most of the time here."""
    monkeypatch.setattr(plots, "filters", lambda *args: None)
    monkeypatch.setattr(finishing, "write_report", lambda *args, **options: None)


def lines(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl without times."""
    return [
        {name: value for name, value in record.items() if name not in VARYING}
        for record in Run.open(folder).records()
    ]


def table(folder: Path) -> list[dict[str, str]]:
    """Return the rows of metrics.csv without times, if there is one."""
    path = folder / "metrics.csv"
    if not path.exists():
        return []
    rows = list(csv.DictReader(path.read_text().splitlines()))
    return [{**row, "seconds": ""} for row in rows]


def stop_at(event: int) -> Any:
    """Return a callback that ends the training at an event, counted from 0."""
    seen: list[Progress] = []

    def report(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) > event:
            raise Stopped

    return report


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_stopped_at_any_event_ends_with_the_same_bits(
    few_digits: Dataset, tmp_path: Path, kind: str
) -> None:
    options = {**KINDS[kind], "checkpoint_every": "0m"}
    events: list[Progress] = []
    train(few_digits, **options, out=tmp_path / "whole", report=events.append)
    expected = (tmp_path / "whole" / "model.safetensors").read_bytes()
    out = tmp_path / "run"
    # Of events within k-means and the search for l2 a few; of the rest each third to ninth.
    within = ("k-means", "l2", "evaluate")
    stops = [i for i, e in enumerate(events) if e.phase not in within or i % 7 == 0]
    step = {"supervised": 4, "unsupervised": 3, "without validation set": 9}.get(kind, 7)
    for event in stops[list(KINDS).index(kind) % step :: step]:
        with pytest.raises(Stopped):
            train(few_digits, **options, out=out, report=stop_at(event))
        resume(out, dataset=few_digits)
        assert (out / "model.safetensors").read_bytes() == expected, events[event]
        assert lines(out) == lines(tmp_path / "whole"), events[event]
        assert table(out) == table(tmp_path / "whole"), events[event]
        shutil.rmtree(out)


def test_a_training_is_resumed_as_often_as_it_is_stopped(
    few_digits: Dataset, tmp_path: Path
) -> None:
    options = {**SUPERVISED, "checkpoint_every": "0m"}
    train(few_digits, **options, out=tmp_path / "whole")
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        train(few_digits, **options, out=out, report=stop_at(0))
    for event in (5, 3, 9, 2, 2, 2):
        with pytest.raises(Stopped):
            resume(out, dataset=few_digits, report=stop_at(event))
    resume(out, dataset=few_digits)
    whole = tmp_path / "whole"
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert lines(out) == lines(whole)


@pytest.fixture(scope="module")
def stopped(few_digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stopped") / "run"

    def report(progress: Progress) -> None:
        if progress.phase == "epoch":
            raise Stopped

    with pytest.raises(Stopped):
        train(few_digits, **SUPERVISED, out=out, report=report)
    return out


def test_other_data_are_refused(few_digits: Dataset, stopped: Path) -> None:
    train_part = few_digits.train.take(np.arange(len(few_digits.train))[::-1])
    others = Dataset(
        few_digits.name,
        train_part,
        few_digits.test,
        10,
        few_digits.class_names,
        few_digits.data_format,
    )
    with pytest.raises(DataError, match="the data of the training that is resumed, got others"):
        resume(stopped, dataset=others)
    with pytest.raises(DataError, match="expected the source of the data, got none"):
        resume(stopped)
    assert (stopped / "last.safetensors").exists()


@pytest.mark.parametrize("part", ["last.safetensors", "checkpoint.safetensors"])
def test_a_damaged_byte_is_noticed(
    few_digits: Dataset, stopped: Path, tmp_path: Path, part: str
) -> None:
    out = shutil.copytree(stopped, tmp_path / "run")
    content = bytearray((out / part).read_bytes())
    content[-3] ^= 1
    (out / part).write_bytes(content)
    record = json.loads((stopped / "config.json").read_text())
    assert record["options"]["checkpoint_every"] == "5m"
    # The best epoch is the last one, whose weights last.safetensors has.
    if part == "last.safetensors":
        with pytest.raises(DataError, match="the file is damaged"):
            resume(out, dataset=few_digits)
    else:
        resume(out, dataset=few_digits)


def test_a_changed_configuration_is_refused(
    few_digits: Dataset, stopped: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(stopped, tmp_path / "run")
    config = json.loads((out / "config.json").read_text())
    config["options"]["seed"] += 1
    (out / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"config\.json: expected the file as the training that"):
        resume(out, dataset=few_digits)


def test_a_finished_run_is_not_resumed(few_digits: Dataset, tmp_path: Path) -> None:
    train(few_digits, n_patches=500, iterations=1, out=tmp_path / "run")
    with pytest.raises(ConfigError, match="a run that was interrupted, got a finished one"):
        resume(tmp_path / "run", dataset=few_digits)


def test_damaged_options_are_one_sentence(
    few_digits: Dataset, stopped: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(stopped, tmp_path / "run")
    config = json.loads((out / "config.json").read_text())
    for options in (None, [], {}, {"descent": 3}, {**config["options"], "n_patches": "many"}):
        (out / "config.json").write_text(json.dumps({**config, "options": options}))
        with pytest.raises(DataError, match=r"config\.json: expected"):
            resume(out, dataset=few_digits)


def test_a_model_without_a_classifier_does_not_predict(few_digits: Dataset, tmp_path: Path) -> None:
    def report(progress: Progress) -> None:
        if progress.phase == "filters" and progress.done:
            raise Stopped

    with pytest.raises(Stopped):
        train(few_digits, n_patches=500, out=tmp_path / "run", report=report)
    model = load_model(tmp_path / "run" / "last.safetensors")
    from tinygrad_ckn.errors import NotFittedError

    with pytest.raises(NotFittedError):
        model.predict(few_digits.test.images)


def test_parts_and_groups_are_read_and_used_again(few_digits: Dataset, tmp_path: Path) -> None:
    digits, n = few_digits.train, len(few_digits.train)
    assert few_digits.test is not None
    path, other = str(tmp_path / "a.npz"), str(tmp_path / "v.npz")
    np.savez(path, images=digits.images, labels=digits.labels, who=np.arange(n) // 4)
    np.savez(other, images=few_digits.test.images, labels=few_digits.test.labels)
    division = {"validation_data": other, "holdout": 0.3}
    source = {"data": path, "data_dir": None, "reading": {"group": "who"}, "division": division}
    dataset = load(path, group="who", validation_data=other, holdout=0.3)
    whole = train(dataset, out=tmp_path / "whole", source=source, **SUPERVISED)
    run = tmp_path / "run"
    with pytest.raises(Stopped):
        train(dataset, out=run, source=source, report=stop_at(13), **SUPERVISED)
    shutil.copytree(run, tmp_path / "copy")
    resumed = resume(run)
    assert lines(run) == lines(tmp_path / "whole")
    for name, array in load_model(whole.run.model_path).state_dict().items():
        np.testing.assert_array_equal(load_model(run).state_dict()[name], array)
    assert resumed.model.temperature == whole.model.temperature
    # Other validation images are noticed.
    np.savez(other, images=few_digits.test.images[1:], labels=few_digits.test.labels[1:])
    with pytest.raises(
        DataError, match=r"expected the data of the training .* \(validation differ"
    ):
        resume(tmp_path / "copy")
