"""Files with the state of a training, as `fit(resume=...)` takes them."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import load_digits
from tinygrad_ckn.errors import DataError, TrainingWarning
from tinygrad_ckn.models import CKN, CKNLayer, FineTuning, Progress
from tinygrad_ckn.models.learning.state_file import read_state
from tinygrad_ckn.training import Checkpoints, save_model
from tinygrad_ckn.training.checkpoint import record_of

IMAGES = load_digits().train.images[:200]
LABELS = load_digits().train.labels[:200]


def small() -> CKN:
    layers = [CKNLayer(1, 4, 3, subsampling=2, rng=0), CKNLayer(4, 6, 3, subsampling=2, rng=1)]
    return CKN(1, 8, 10, layers, rng=0)


def fit(model: CKN, resume: Path | None = None, report=lambda progress: None, **others) -> CKN:
    options = {"descent": FineTuning(epochs=2, batch_size=64), "n_patches": 300, "iterations": 2}
    return model.fit(IMAGES, LABELS, **{**options, **others}, rng=3, resume=resume, report=report)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    save = Checkpoints(folder)

    def report(progress: Progress) -> None:
        save(progress)
        if progress.phase == "epoch":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(small(), report=report)
    return folder


def test_a_fit_goes_on_from_its_files_to_the_same_bits(folder: Path) -> None:
    whole, resumed = fit(small()), fit(small(), folder)
    for name, array in whole.state_dict().items():
        np.testing.assert_array_equal(resumed.state_dict()[name], array)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"n_patches": 301}, "n_patches"),
        ({"descent": FineTuning(epochs=3, batch_size=64)}, "descent"),
    ],
)
def test_other_options_are_named(folder: Path, options: dict[str, object], name: str) -> None:
    with pytest.raises(DataError, match=f"argument {name} expected .*, as in the training"):
        fit(small(), folder, **options)


def test_the_entry_that_differs_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"argument descent expected epochs 2, as .* got epochs 3;"):
        fit(small(), folder, descent=FineTuning(epochs=3, batch_size=64))


def test_other_models_are_refused(folder: Path) -> None:
    layers = [CKNLayer(1, 4, 3, subsampling=2), CKNLayer(4, 6, 3, subsampling=2, eps=0.01)]
    with pytest.raises(DataError, match="argument model expected"):
        fit(CKN(1, 8, 10, layers), folder)


def test_with_an_interval_of_epochs_the_best_epoch_is_saved_at_once(tmp_path: Path) -> None:
    save = Checkpoints(tmp_path, every="9e")
    saved = []

    def report(progress: Progress) -> None:
        save(progress)
        if progress.phase == "epoch":
            record = record_of(tmp_path / "checkpoint.safetensors")
            saved.append((progress.done, record["epoch"], progress.state.record()["best_epoch"]))

    descent = FineTuning(epochs=4, batch_size=64, lr=0.003, validation=0.3)
    with warnings.catch_warnings():
        # Some epochs are much worse than the best.
        warnings.simplefilter("ignore", TrainingWarning)
        fit(small(), descent=descent, report=report)
    assert all(epoch == best for _, epoch, best in saved)
    # Some epoch is the best, and some is not.
    assert {done == best for done, _, best in saved} == {True, False}


def test_the_best_epoch_of_another_training_is_refused(folder: Path, tmp_path: Path) -> None:
    def save_at(progress: Progress) -> None:
        save(progress)
        if progress.phase == "batch":
            raise KeyboardInterrupt

    for name, options in (("one", {}), ("other", {"n_patches": 301})):
        (tmp_path / name).mkdir()
        save = Checkpoints(tmp_path / name, every="0m")
        with pytest.raises(KeyboardInterrupt):
            fit(small(), report=save_at, **options)
    best = "checkpoint.safetensors"
    (tmp_path / "one" / best).write_bytes((tmp_path / "other" / best).read_bytes())
    model = small()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    with pytest.raises(DataError, match=r"checkpoint\.safetensors: expected the best epoch of the"):
        fit(model, tmp_path / "one")
    for name, array in before.items():
        np.testing.assert_array_equal(model.state_dict()[name], array)


def test_the_temperature_goes_on(folder: Path) -> None:
    seen: list[dict[str, object]] = []

    def report(progress: Progress) -> None:
        if progress.state is not None and progress.phase == "batch" and progress.done == 4:
            seen.append(progress.state.record())

    fit(small(), report=report)
    fit(small(), folder, report=report)
    assert seen[0] == seen[1]


def test_a_model_without_a_state_is_refused(folder: Path, tmp_path: Path) -> None:
    save_model(small(), tmp_path / "last.safetensors")
    with pytest.raises(DataError, match="expected"):
        read_state(tmp_path)
    with pytest.raises(DataError, match="got nothing"):
        read_state(tmp_path / "none.safetensors")
