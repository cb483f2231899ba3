"""A CNN goes through options, loop and folder as a CKN does."""

from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import Dataset
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models import CNN, Progress
from tinygrad_ckn.training import Run, evaluate, train
from tinygrad_ckn.training.options import default_mode, resolve


def test_a_cnn_is_supervised():
    assert (default_mode("lenet"), default_mode("unsup-64-256")) == ("supervised", "unsupervised")
    options = resolve("digits", model="lenet")
    assert options.mode == "supervised"
    assert options.descent is not None


def test_without_labels_a_cnn_learns_nothing():
    message = (
        "^train: argument mode expected 'supervised' for cnn5, a CNN, which learns nothing "
        "without labels, got 'unsupervised'; leave it out or choose a CKN$"
    )
    with pytest.raises(ConfigError, match=message):
        resolve("digits", model="cnn5", mode="unsupervised")


def test_a_run_of_a_cnn(few_digits: Dataset, tmp_path: Path):
    told: list[Progress] = []
    result = train(few_digits, model="lenet", epochs=1, out=tmp_path / "run", report=told.append)
    assert isinstance(result.model, CNN)
    assert {"classifier", "epoch", "save", "evaluate"} == set(result.seconds)
    phases = [record["phase"] for record in result.run.records()]
    assert phases == ["classifier", "epoch", "kept", "classifier", "test"]
    begun = [progress.phase for progress in told if progress.done == 0]
    assert [phase for phase in begun if phase != "kept"] == [
        "classifier",
        "start",
        "classifier",
        "evaluate",
    ]
    again = Run.open(tmp_path / "run").load()
    assert isinstance(again, CNN)
    np.testing.assert_array_equal(evaluate(again, few_digits.test), result.confusion)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "filters.png",
        "test.json",
        "report.html",
        "README.txt",
    }
