"""Trainings that begin with the filters of another run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_ckn.data import Dataset, Split
from tinygrad_ckn.errors import ConfigError, DataError, DataWarning
from tinygrad_ckn.training import load_model, train
from tinygrad_ckn.training.evaluation_images import evaluation_images, open_model
from tinygrad_ckn.training.report.data_rows import doubts
from tinygrad_ckn.training.transfer import seen_before

FAST: dict[str, Any] = {"n_patches": 500, "iterations": 2}


@pytest.fixture(scope="module")
def source(few_digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("source") / "run"
    train(few_digits, **FAST, out=out)
    return out


def odd_or_even(dataset: Dataset) -> Dataset:
    parts = [Split(part.images, part.labels % 2) for part in (dataset.train, dataset.test)]
    return Dataset("parity", parts[0], parts[1], 2, ("even", "odd"))


def filters(model: Any) -> list[np.ndarray]:
    return [layer.weight.numpy() for layer in model.layers]


def test_the_filters_are_those_of_the_other_run_and_the_classes_those_of_the_data(
    few_digits: Dataset, source: Path, tmp_path: Path
) -> None:
    result = train(odd_or_even(few_digits), init_from=str(source), out=tmp_path / "run")
    assert result.model.n_classes == 2
    for ours, theirs in zip(filters(result.model), filters(load_model(source)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert result.run.config["options"]["init_from"] == str(source)
    assert [record["phase"] for record in result.run.records()] == ["classifier", "test"]
    assert result.accuracy > 0.8


def test_frozen_layers_stay_and_others_descend(
    few_digits: Dataset, source: Path, tmp_path: Path
) -> None:
    options = {"mode": "supervised", "epochs": 1, "lr": 0.1, "validation": 0, "freeze": (1,)}
    result = train(few_digits, init_from=str(source), **options, out=tmp_path / "run")
    first, second = filters(result.model)
    theirs = filters(load_model(source))
    np.testing.assert_array_equal(first, theirs[0])
    assert np.abs(second - theirs[1]).max() > 1e-6


def test_what_does_not_fit_is_one_sentence(
    few_digits: Dataset, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="expected the folder of a run as argument init_from"):
        train(few_digits, init_from=str(tmp_path))
    with pytest.raises(ConfigError, match="argument model expected 'unsup-32-64', as in the run"):
        train(few_digits, init_from=str(source), model="unsup-64-256")
    wide = [
        Split(np.repeat(part.images, 2, 3), part.labels)
        for part in (few_digits.train, few_digits.test)
    ]
    others = Dataset("wide", wide[0], wide[1], 10, few_digits.class_names)
    with pytest.raises(DataError, match=r"images of the shape \(1, 8, 16\), as those of wide"):
        train(others, init_from=str(source), out=tmp_path / "run")
    with pytest.raises(ConfigError, match="argument freeze expected layers from 1 to 2, got 3"):
        train(
            few_digits, init_from=str(source), mode="supervised", freeze=(3,), out=tmp_path / "run"
        )


def test_images_that_an_earlier_run_has_seen_are_counted_and_left_out(
    few_digits: Dataset, source: Path, tmp_path: Path
) -> None:
    # Test images are 20 that the first run was trained on, and 10 that it was not.
    first, second = few_digits.train.take(np.arange(20)), few_digits.test.take(np.arange(10))
    test = Split(
        np.concatenate([first.images, second.images]),
        np.concatenate([first.labels, second.labels]),
    )
    training = few_digits.test.take(np.arange(10, len(few_digits.test)))
    others = Dataset("others", training, test, 10, few_digits.class_names)
    with pytest.warns(DataWarning, match=r"others: 20 of 30 test images were seen by the run"):
        result = train(others, init_from=str(source), out=tmp_path / "run")
    data = result.run.config["data"]
    assert data["seen_before"] == {"test": 20}
    assert doubts(result.run.config)[0].startswith("20 of 30 test images were seen by the run")
    # The run is trained with others, but began with filters of the first one's images.
    np.savez(tmp_path / "test.npz", images=test.images, labels=test.labels)
    found = evaluation_images(*open_model(tmp_path / "run"), str(tmp_path / "test.npz"), None)
    assert len(found.split) == 10
    # A third run knows both.
    chain = {"init_from": str(tmp_path / "run")}
    assert np.isin(few_digits.train.fingerprints, seen_before(chain)).all()
    assert np.isin(training.fingerprints, seen_before(chain)).all()
    assert not np.isin(second.fingerprints, seen_before(chain)).any()
    assert not len(seen_before({"init_from": str(tmp_path / "none")}))
