import base64
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import Split
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.models import CNN, ConvLayer
from tinygrad_ckn.training import Result, Run
from tinygrad_ckn.training.evaluation import Predictions
from tinygrad_ckn.training.report.summary import (
    MAX_MISTAKES,
    MAX_PIXELS,
    picture_record,
    read_summary,
    summarise,
)


def test_what_is_stored_is_read_back(reported: Result):
    summary = read_summary(reported.run.folder)
    assert summary is not None
    wrong = reported.total - reported.correct
    assert 0 < len(summary["mistakes"]) == min(wrong, MAX_MISTAKES)
    assert sum(part.count for part in summary["reliability"]) == reported.total
    right = sum(part.count * part.accuracy for part in summary["reliability"])
    assert round(right) == reported.correct
    assert all(0 < error < 1 for error in summary["nystrom_errors"])
    probabilities = [mistake["probability"] for mistake in summary["mistakes"]]
    assert probabilities == sorted(probabilities, reverse=True)


def cnn() -> CNN:
    return CNN(1, 8, 3, [ConvLayer(1, 2, 3, rng=0)], rng=0).eval()


def test_the_file_is_bounded_and_the_most_confident_mistakes_are_in_it():
    n = 5000
    images = np.zeros((n, 1, 8, 8), np.float32)
    images[:, 0, 0, 0] = np.arange(n) / n
    labels = np.zeros(n, np.int64)
    predicted = np.ones(n, np.int64)
    probability = np.linspace(0.4, 0.9, n, dtype=np.float32)
    predicted[-10:] = 0
    summary = summarise(cnn(), Split(images, labels), Predictions(labels, predicted, probability))
    assert [mistake["index"] for mistake in summary["mistakes"]] == list(
        range(n - 11, n - 11 - MAX_MISTAKES, -1)
    )
    first = base64.b64decode(summary["mistakes"][0]["picture"]["pixels"])
    assert first[0] == round(255 * (n - 11) / n)
    assert len(json.dumps(summary)) < 20_000
    assert "nystrom_errors" not in summary


def test_without_probabilities_nothing_is_said_of_calibration():
    images = np.ones((3, 1, 8, 8), np.float32)
    labels = np.array([0, 1, 2])
    paths = [Path("a.png"), Path("b.png"), Path("c.png")]
    summary = summarise(
        cnn(), Split(images, labels, paths=paths), Predictions(labels, labels[::-1], None)
    )
    assert "reliability" not in summary
    assert [mistake["probability"] for mistake in summary["mistakes"]] == [None, None]
    assert [mistake["path"] for mistake in summary["mistakes"]] == ["a.png", "c.png"]


@pytest.mark.parametrize(
    ("shape", "kept"),
    [
        ((1, 8, 8), (8, 8, 1)),
        ((3, 200, 100), (50, 25, 3)),
        ((4, 65, 2), (32, 1, 1)),
        ((1, 1000, 1), (62, 1, 1)),
    ],
)
def test_pictures_are_small(shape: tuple[int, ...], kept: tuple[int, ...]):
    record = picture_record(np.full(shape, 0.5), 0.0, 1.0)
    assert tuple(record["shape"]) == kept
    assert max(kept) <= MAX_PIXELS
    assert set(base64.b64decode(record["pixels"])) == {128}


@pytest.mark.parametrize(
    "fields",
    [
        {"format": "other"},
        {"format_version": 2},
        {"mistakes": [{}]},
        {"mistakes": None},
        {"reliability": [[0, 1]]},
        {"nystrom_errors": ["a"]},
    ],
)
def test_a_damaged_file_is_named(edited: Callable[..., Run], fields: dict[str, object]):
    run = edited(**fields)
    with pytest.raises(DataError, match=r"test.json: expected what train wrote"):
        read_summary(run.folder)
