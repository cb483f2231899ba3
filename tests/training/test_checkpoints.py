"""Files that a supervised training leaves during training, at the end, and on failure."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from tinygrad_ckn.data import Dataset
from tinygrad_ckn.errors import ConfigError, DataError, GradientError
from tinygrad_ckn.models import CKN, FineTuning, Progress
from tinygrad_ckn.models.learning.state import TrainingState
from tinygrad_ckn.training import Checkpoints, Run, load_model, train
from tinygrad_ckn.training.checkpoint import epoch_of
from tinygrad_ckn.training.options import AUGMENTATIONS

FAST = {
    "mode": "supervised",
    "n_patches": 1000,
    "batch_size": 50,
    "lr": 0.001,
}  # three batches an epoch
State = dict[str, np.ndarray]
LEFT = {"config.json", "metrics.jsonl", "checkpoint.safetensors", "last.safetensors"}
# Of 14 images held out, one more mistake is a fall of 7 points.
pytestmark = pytest.mark.filterwarnings("ignore::tinygrad_ckn.errors.TrainingWarning")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def assert_same(model: CKN, state: State) -> None:
    assert model.state_dict().keys() == state.keys()
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> list[State]:
    """The parameters at each validation: before the first epoch and after each."""
    found: list[State] = []

    def scores(self: CKN, x: np.ndarray) -> np.ndarray:
        if not self.training:
            found.append(self.state_dict())
        return scored(self, x)

    scored = CKN._test_features
    monkeypatch.setattr(CKN, "_test_features", scores)
    return found


def broken_in_epoch(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the augmentation put NaN into an image of the second batch of an epoch."""
    shown: list[int] = []

    def augment(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        shown.append(len(images))
        return images * np.float32(math.nan if len(shown) == 3 * (epoch - 1) + 2 else 1)

    monkeypatch.setitem(AUGMENTATIONS, "crop-flip", augment)


def test_the_best_and_the_last_epoch_are_kept_on_the_way_and_removed_at_the_end(
    few_digits: Dataset, tmp_path: Path, states: list[State]
) -> None:
    measured: list[tuple[float, float]] = []

    def look(progress: Progress) -> None:
        there = {"checkpoint.safetensors", "last.safetensors"} & names(tmp_path)
        if progress.phase in ("start", "epoch"):
            measured.append(
                (progress.values["validation_accuracy"], -progress.values["validation_loss"])
            )
            best = measured.index(max(measured))
            assert_same(load_model(tmp_path / "checkpoint.safetensors"), states[best])
            assert_same(load_model(tmp_path / "last.safetensors"), states[progress.done])
            assert (
                epoch_of(tmp_path / "checkpoint.safetensors"),
                epoch_of(tmp_path / "last.safetensors"),
            ) == (
                best,
                progress.done,
            )
        elif progress.phase == "evaluate":
            assert not there
        else:
            assert measured or there <= {"last.safetensors"}
            assert len(there) == 2 or not measured

    options = {**FAST, "lr": 0.5, "schedule": "constant"}
    train(few_digits, **options, epochs=3, out=tmp_path, report=look)
    assert len(measured) == 4
    # Otherwise the two files would be the same throughout.
    assert measured.index(max(measured)) < 3
    assert names(tmp_path) == {
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "filters.png",
        "test.json",
        "report.html",
        "README.txt",
    }


def test_a_checkpoint_holds_the_state_to_resume_fine_tuning(
    few_digits: Dataset, tmp_path: Path
) -> None:
    live: list[TrainingState] = []

    def stop(progress: Progress) -> None:
        if progress.phase == "epoch" and progress.done == 2:
            live.append(progress.state)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(few_digits, **FAST, epochs=5, out=tmp_path, report=stop)
    with safe_open(tmp_path / "last.safetensors", framework="np") as file:
        record = json.loads(file.metadata()["training"])
        arrays = {
            name: file.get_tensor(name) for name in file.keys() if name.startswith("training.")
        }
    state, best = live[0].descent, live[0].descent.best
    assert (record["stage"], record["done"]) == ("epoch", 2)
    assert (record["epoch"], record["epochs"], record["best_epoch"]) == (2, 5, best.epoch)
    assert (record["best_accuracy"], record["best_loss"], record["l2"]) == (
        best.accuracy,
        best.loss,
        state.l2,
    )
    assert len(arrays["training.held_out"]) == 14
    model = load_model(tmp_path / "last.safetensors")
    optimizer, schedule = FineTuning(epochs=5, batch_size=50, lr=0.001).make_optimizer(
        list(model.parameters()), 3
    )
    kept = {
        name.removeprefix("training.optimizer."): a
        for name, a in arrays.items()
        if "optimizer" in name
    }
    optimizer.load_state_dict({"lr": record["lr"], **kept})
    schedule.load_state_dict(record["scheduler"])
    assert (optimizer.lr, schedule.steps) == (state.optimizer.lr, 6)
    for mine, theirs in zip(optimizer.state, state.optimizer.state, strict=True):
        np.testing.assert_array_equal(mine["momentum"], theirs["momentum"])
    generator = np.random.default_rng()
    generator.bit_generator.state = record["generator"]
    assert generator.random() == live[0].rng.random()


def test_an_unsupervised_training_writes_no_checkpoint(few_digits: Dataset, tmp_path: Path) -> None:
    def look(progress: Progress) -> None:
        assert "checkpoint.safetensors" not in names(tmp_path)

    train(few_digits, n_patches=1000, out=tmp_path, report=look)


@pytest.mark.parametrize("epoch", [1, 3])
def test_after_nan_the_checkpoint_is_the_best_epoch(
    few_digits: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    states: list[State],
    epoch: int,
) -> None:
    broken_in_epoch(epoch, monkeypatch)
    measured: list[tuple[float, float]] = []

    def look(progress: Progress) -> None:
        if progress.phase == "epoch":
            measured.append(
                (progress.values["validation_accuracy"], -progress.values["validation_loss"])
            )

    options = {**FAST, "lr": 0.5, "schedule": "constant", "augment": "crop-flip"}
    message = (
        rf"in epoch {epoch}, batch 2 \(first in the images of the batch\); .* parameters are those "
        r"of epoch (\d)\n"
    )
    with pytest.raises(GradientError, match=message) as caught:
        train(few_digits, **options, epochs=4, out=tmp_path / "run", report=look)
    best = int(str(caught.value)[-1])
    assert len(measured) == epoch - 1
    assert best == 0 or measured[best - 1] == max(measured)
    assert names(tmp_path / "run") == LEFT
    assert "checkpoint.safetensors (" in caught.value.__notes__[0]
    assert_same(load_model(tmp_path / "run" / "checkpoint.safetensors"), states[best])
    assert [r["phase"] for r in Run.open(tmp_path / "run").records()].count("epoch") == epoch - 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError])
@pytest.mark.parametrize("phase", ["epoch", "classifier", "evaluate"])
def test_whatever_goes_wrong_later_the_checkpoints_stay_and_a_note_names_them(
    few_digits: Dataset, tmp_path: Path, error: type[BaseException], phase: str
) -> None:
    done: list[int] = []

    def fail(progress: Progress) -> None:
        done.extend([progress.done] if progress.phase in ("start", "epoch") else [])
        if progress.phase == phase and len(done) == 3:
            raise error("no more")

    with pytest.raises(error) as caught:
        train(few_digits, **FAST, epochs=2, out=tmp_path / "run", report=fail)
    finished = phase == "evaluate"
    assert names(tmp_path / "run") == (
        {"config.json", "metrics.jsonl", "model.safetensors"} if finished else LEFT
    )
    note = caught.value.__notes__[-1]
    assert note.startswith(f"kept in {tmp_path / 'run'}: ")
    assert all(
        name in note
        for name in (["model.safetensors"] if finished else LEFT)
        if name.endswith("safetensors")
    )
    for name in names(tmp_path / "run"):
        if name.endswith(".safetensors"):
            assert (
                load_model(tmp_path / "run" / name).accuracy(
                    few_digits.test.images, few_digits.test.labels
                )
                > 0.5
            )


def test_the_only_trained_weights_are_not_removed_by_another_training(
    few_digits: Dataset, tmp_path: Path
) -> None:
    def stop(progress: Progress) -> None:
        if progress.phase == "epoch" and progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(few_digits, **FAST, out=tmp_path, report=stop)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before.keys() == LEFT
    with pytest.raises(
        ConfigError,
        match=r"got one with checkpoint\.safetensors and last\.safetensors of an interrupted",
    ):
        train(few_digits, **FAST, epochs=1, out=tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(
        DataError,
        match=r"is still running; .*, load_model\('.*checkpoint.safetensors'\) reads",
    ):
        Run.open(tmp_path).load()
    for name in ("checkpoint.safetensors", "last.safetensors"):
        (tmp_path / name).unlink()
    train(few_digits, **FAST, epochs=1, out=tmp_path)
    assert names(tmp_path) == {
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "filters.png",
        "test.json",
        "report.html",
        "README.txt",
    }


@pytest.mark.parametrize("alternating", [False, True])
def test_same_seed_same_file(few_digits: Dataset, tmp_path: Path, alternating: bool) -> None:
    files = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = {
            **FAST,
            "epochs": 2,
            "alternating": alternating,
            "augment": "crop-flip",
            "mirror_average": "features",
        }
        files.append(
            train(few_digits, **options, seed=seed, out=tmp_path / name).run.model_path.read_bytes()
        )
    assert files[0] == files[1] != files[2]


def test_checkpoints_need_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="argument folder expected an existing folder"):
        Checkpoints(tmp_path / "none")
