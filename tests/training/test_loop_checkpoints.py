"""What a supervised training leaves in its folder on the way, at the end, and when it fails."""

import math
from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import Dataset
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.models import CKN, Progress
from tinygrad_ckn.training import Run, load_model, train
from tinygrad_ckn.training.options import AUGMENTATIONS

FAST = {"mode": "supervised", "n_patches": 1000, "batch_size": 50, "lr": 0.001}  # three batches an epoch
State = dict[str, np.ndarray]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def assert_same(model: CKN, state: State) -> None:
    assert model.state_dict().keys() == state.keys()
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> list[State]:
    """The parameters whenever images held out are looked at: before the first epoch and after each."""
    found: list[State] = []

    def scores(self: CKN, x: np.ndarray) -> np.ndarray:
        if not self.training:
            found.append(self.state_dict())
        return scored(self, x)

    scored = CKN.scored
    monkeypatch.setattr(CKN, "scored", scores)
    return found


def broken_in_epoch(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the augmentation put NaN into an image of the second batch of an epoch."""
    shown: list[int] = []

    def augment(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        shown.append(len(images))
        return images * np.float32(math.nan if len(shown) == 3 * (epoch - 1) + 2 else 1)

    monkeypatch.setitem(AUGMENTATIONS, "crop-flip", augment)


def test_a_checkpoint_is_written_each_epoch_and_removed_at_the_end(
    few_digits: Dataset, tmp_path: Path, states: list[State]
) -> None:
    epochs: list[int] = []

    def look(progress: Progress) -> None:
        there = "checkpoint.safetensors" in names(tmp_path)
        if progress.phase == "epoch":
            epochs.append(progress.done)
            assert_same(load_model(tmp_path / "checkpoint.safetensors"), states[progress.done])
        elif progress.phase == "evaluate":
            assert not there
        else:
            assert there == (len(epochs) > 0)

    train(few_digits, **FAST, epochs=3, out=tmp_path, report=look)
    assert epochs == [1, 2, 3]
    assert names(tmp_path) == {"config.json", "metrics.jsonl", "model.safetensors", "filters.png"}


def test_an_unsupervised_training_writes_no_checkpoint(few_digits: Dataset, tmp_path: Path) -> None:
    def look(progress: Progress) -> None:
        assert "checkpoint.safetensors" not in names(tmp_path)

    train(few_digits, n_patches=1000, out=tmp_path, report=look)


@pytest.mark.parametrize("epoch", [1, 3])
def test_after_nan_the_checkpoint_is_the_best_epoch(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, states: list[State], epoch: int
) -> None:
    broken_in_epoch(epoch, monkeypatch)
    measured: list[tuple[float, float]] = []

    def look(progress: Progress) -> None:
        if progress.phase == "epoch":
            measured.append((progress.values["validation_accuracy"], -progress.values["validation_loss"]))

    options = {**FAST, "lr": 0.5, "schedule": "constant", "augment": "crop-flip"}
    message = rf"in epoch {epoch}, batch 2 \(first in the images of the batch\); .* parameters are those of epoch (\d)$"
    with pytest.raises(GradientError, match=message) as caught:
        train(few_digits, **options, epochs=4, out=tmp_path / "run", report=look)
    best = int(str(caught.value)[-1])
    assert len(measured) == epoch - 1
    assert best == 0 or measured[best - 1] == max(measured)
    assert names(tmp_path / "run") == {"config.json", "metrics.jsonl", "checkpoint.safetensors"}
    assert_same(load_model(tmp_path / "run" / "checkpoint.safetensors"), states[best])
    assert [r["phase"] for r in Run.open(tmp_path / "run").records()].count("epoch") == epoch - 1


def test_a_training_starts_again_where_one_ended_with_nan(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_in_epoch(2, monkeypatch)
    with pytest.raises(GradientError):
        train(few_digits, **FAST, augment="crop-flip", out=tmp_path / "run")
    result = train(few_digits, n_patches=1000, out=tmp_path / "run")
    assert names(tmp_path / "run") == {"config.json", "metrics.jsonl", "model.safetensors", "filters.png"}
    assert [record["phase"] for record in result.run.records()] == ["filters", "filters", "classifier", "test"]


def test_a_training_starts_again_where_one_was_broken_off(few_digits: Dataset, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.phase == "epoch" and progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(few_digits, **FAST, out=tmp_path, report=stop)
    assert names(tmp_path) == {"config.json", "metrics.jsonl", "checkpoint.safetensors"}
    assert (
        load_model(tmp_path / "checkpoint.safetensors").accuracy(few_digits.test.images, few_digits.test.labels) > 0.5
    )
    train(few_digits, **FAST, epochs=1, out=tmp_path)
    assert names(tmp_path) == {"config.json", "metrics.jsonl", "model.safetensors", "filters.png"}


@pytest.mark.parametrize("scheme", ["joint", "alternating"])
def test_same_seed_same_file(few_digits: Dataset, tmp_path: Path, scheme: str) -> None:
    files = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = {**FAST, "epochs": 2, "scheme": scheme, "augment": "crop-flip", "mirrored": "features"}
        files.append(train(few_digits, **options, seed=seed, out=tmp_path / name).run.model_path.read_bytes())
    assert files[0] == files[1] != files[2]
