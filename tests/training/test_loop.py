import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import Dataset
from tinygrad_ckn.models import CKN, FineTuning, Progress
from tinygrad_ckn.training import Result, Run, evaluate, recorder, train
from tinygrad_ckn.training.options import AUGMENTATIONS

FAST = {"n_patches": 1000}
# Of 14 images held out, one more mistake is a fall of 7 points.
pytestmark = pytest.mark.filterwarnings("ignore::tinygrad_ckn.errors.TrainingWarning")


@pytest.fixture(scope="module")
def told() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def supervised(
    few_digits: Dataset, tmp_path_factory: pytest.TempPathFactory, told: list[Progress]
) -> Result:
    """A short training of every kind of phase."""
    return train(
        few_digits,
        mode="supervised",
        epochs=2,
        batch_size=50,
        lr=0.001,
        augment="crop-flip",
        **FAST,
        out=tmp_path_factory.mktemp("supervised"),
        source={"data": "digits", "data_dir": None},
        report=told.append,
    )


def test_the_result_is_that_of_the_saved_model(supervised: Result, few_digits: Dataset):
    assert supervised.total == len(few_digits.test) == 72
    assert supervised.correct == supervised.confusion.trace()
    assert supervised.accuracy == supervised.correct / 72 > 0.8
    again = Run.open(supervised.run.folder).load()
    np.testing.assert_array_equal(evaluate(again, few_digits.test), supervised.confusion)
    assert not supervised.model.training


def test_times_and_memory(supervised: Result):
    assert list(supervised.seconds) == ["filters", "classifier", "epoch", "save", "evaluate"]
    assert all(seconds > 0 for seconds in supervised.seconds.values())
    assert supervised.peak_memory is not None
    assert 2**24 < supervised.peak_memory < 2**36


def test_config_says_all(supervised: Result):
    config = json.loads((supervised.run.folder / "config.json").read_text())
    fingerprints = config["data"].pop("fingerprints")
    assert {part: len(text) for part, text in fingerprints.items()} == {
        "train": 8 * 144,
        "test": 8 * 72,
    }
    assert config["data"] == {
        "data": "digits",
        "data_dir": None,
        "name": "digits",
        "train": 144,
        "test": 72,
        "image_shape": [1, 8, 8],
        "pixels": {
            "low": 0.0,
            "high": 1.0,
            "faint": config["data"]["pixels"]["faint"],
            "bright": 1.0,
            "shallow": 0.0,
        },
        "n_classes": 10,
        "classes": list(range(10)),
        "class_names": list("0123456789"),
        "scale": 1.0,
        "stored": "floats",
        "channels_last": False,
        "header": None,
    }
    assert config["options"] == {
        "model": "unsup-32-64",
        "mode": "supervised",
        "preprocessing": None,
        "mirror_average": None,
        "loss": "squared_hinge",
        "class_weight": None,
        "n_patches": 1000,
        "iterations": 30,
        "seed": 0,
        "device": "cpu",
        "checkpoint_every": "5m",
        "csv": False,
        "tensorboard": False,
        "init_from": None,
        "descent": {
            "epochs": 2,
            "batch_size": 50,
            "optimizer": "sgd",
            "lr": 0.001,
            "momentum": 0.9,
            "warmup": 0.5,
            "schedule": "cosine",
            "alternating": False,
            "refit_classifier_every": None,
            "l2": 1e-5,
            "label_smoothing": 0.0,
            "mixup": None,
            "clip_norm": None,
            "ema": None,
            "augment": "crop-flip",
            "freeze": [],
            "validation": 0.1,
            "patience": None,
        },
    }
    assert config["model"] == supervised.model.config()


def test_augmentation_reaches_the_descent(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shown: list[tuple[int, ...]] = []

    def look(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        shown.append(images.shape)
        return images

    monkeypatch.setitem(AUGMENTATIONS, "crop-flip", look)
    options = {"mode": "supervised", "epochs": 1, "batch_size": 100, **FAST}
    train(few_digits, **options, augment="crop-flip", out=tmp_path / "with")
    # A tenth of 144 images is held out.
    assert shown == [(100, 1, 8, 8), (30, 1, 8, 8)]
    train(few_digits, **options, out=tmp_path / "without")
    assert len(shown) == 2


def test_options_of_the_model_reach_it(few_digits: Dataset, tmp_path: Path):
    options = {"preprocessing": "standardize", "mirror_average": "scores", "n_patches": 500}
    model = train(few_digits, **options, out=tmp_path / "run").model
    assert model.mirror_average == "scores"
    mean = few_digits.train.images.mean(axis=(0, 2, 3), dtype="float64")
    np.testing.assert_allclose(model.preprocessing.mean.numpy(), mean, rtol=1e-6)
    again = Run.open(tmp_path / "run").load()
    np.testing.assert_array_equal(
        again.scores(few_digits.test.images), model.scores(few_digits.test.images)
    )


def test_options_of_the_fit_reach_it(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    given: dict[str, object] = {}
    fit = CKN.fit
    monkeypatch.setattr(
        CKN,
        "fit",
        lambda self, *args, **options: given.update(options) or fit(self, *args, **options),
    )
    descent = {
        "epochs": 1,
        "optimizer": "adam",
        "lr": 0.001,
        "alternating": True,
        "patience": 1,
    }
    options = {"mode": "supervised", "loss": "cross_entropy", "iterations": 2, "n_patches": 500}
    train(few_digits, **options, **descent, out=tmp_path / "run")
    assert given["descent"] == FineTuning(**descent)
    assert (given["loss"], given["iterations"], given["n_patches"]) == ("cross_entropy", 2, 500)
    train(few_digits, **FAST, out=tmp_path / "other")
    assert given["descent"] is None
    assert (given["loss"], given["iterations"]) == ("squared_hinge", 30)


def test_metrics_have_a_line_for_each_phase_and_epoch(supervised: Result):
    records = supervised.run.records()
    accuracies = [record["validation_accuracy"] for record in records[3:5]]
    kept = records[5]["done"]
    assert (
        records[5]["validation_accuracy"] == max(accuracies)
        if kept
        else records[5]["validation_accuracy"] > 0
    )
    assert [(record["phase"], record.get("done")) for record in records] == [
        ("filters", 1),
        ("filters", 2),
        ("classifier", 1),
        ("epoch", 1),
        ("epoch", 2),
        ("kept", kept),
        ("classifier", 1),
        ("test", None),
    ]
    assert all(record["seconds"] >= 0 for record in records[:-1] if record["phase"] != "kept")
    assert {"loss", "train_accuracy", "lr", "validation_accuracy", "validation_loss"} <= records[
        3
    ].keys()
    assert records[-1]["accuracy"] == supervised.accuracy
    assert records[-1]["confusion"] == supervised.confusion.tolist()
    assert records[-1]["seconds"] == supervised.seconds
    by_phase = sum(record["seconds"] for record in records[:2])
    assert by_phase == pytest.approx(supervised.seconds["filters"], abs=0.01)


def test_report_says_when_phases_begin_and_how_fast_they_are(
    supervised: Result, told: list[Progress]
):
    steps = [(progress.phase, progress.done, progress.total) for progress in told]
    assert ("l2", 1, 5) in steps
    assert ("k-means", 1, 30) in steps
    assert [step for step in steps if step[0] not in ("k-means", "l2")] == [
        ("filters", 0, 2),
        ("filters", 1, 2),
        ("filters", 2, 2),
        ("classifier", 0, 1),
        ("classifier", 1, 1),
        ("start", 0, 2),
        *(("batch", done, 6) for done in (1, 2, 3)),
        ("epoch", 1, 2),
        *(("batch", done, 6) for done in (4, 5, 6)),
        ("epoch", 2, 2),
        ("kept", supervised.run.records()[5]["done"], 2),
        ("classifier", 0, 1),
        ("classifier", 1, 1),
        ("evaluate", 0, 72),
        ("evaluate", 72, 72),
    ]
    assert all(
        progress.values["images_per_second"] > 0 for progress in told if progress.phase == "batch"
    )


def test_same_seed_same_file_and_another_seed_another(few_digits: Dataset, tmp_path: Path):
    files = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        result = train(few_digits, seed=seed, **FAST, out=tmp_path / name)
        files.append(result.run.model_path.read_bytes())
    assert files[0] == files[1] != files[2]
    assert [record["phase"] for record in result.run.records()] == [
        "filters",
        "filters",
        "classifier",
        "test",
    ]


def test_folder_is_named_by_data_and_model(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    result = train(few_digits, **FAST)
    assert result.run.folder.parent == Path("runs")
    assert result.run.folder.name.endswith("-digits-unsup-32-64")


def test_peak_memory_where_the_system_does_not_say(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert recorder.peak_memory() is None


def test_peak_memory_is_in_bytes_on_macos_already(monkeypatch: pytest.MonkeyPatch):
    elsewhere = recorder.peak_memory()
    monkeypatch.setattr(recorder.sys, "platform", "darwin")
    assert elsewhere is not None
    assert recorder.peak_memory() == pytest.approx(elsewhere / 1024, rel=0.1)
