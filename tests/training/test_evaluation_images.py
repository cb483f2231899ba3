import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import Dataset, load, load_digits
from tinygrad_ckn.errors import DataError, DataWarning
from tinygrad_ckn.training import save_model, train
from tinygrad_ckn.training.evaluation_images import evaluation_images, open_model

DIGITS = load_digits().train.take(np.arange(200))
BYTES = np.rint(255 * DIGITS.images[:, 0]).astype(np.uint8)
SMALL = {"model": "unsup-32-64", "n_patches": 500, "iterations": 1}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A file of images, and the folder of a run that was trained on four fifths of them."""
    folder = tmp_path_factory.mktemp("evaluation")
    path = folder / "mine.npz"
    np.savez(path, images=BYTES, labels=DIGITS.labels)
    train(load(path), source={"data": str(path), "data_dir": None}, out=folder / "run", **SMALL)
    return path, folder / "run"


@pytest.fixture
def chosen(trained: tuple[Path, Path], tmp_path: Path) -> Callable[..., tuple[list[bytes], str]]:
    """A function that changes the file and returns the chosen images and their description."""

    def choose(
        images: np.ndarray, labels: np.ndarray, data: str | None = None, **more: np.ndarray
    ) -> tuple[list[bytes], str]:
        path, folder = trained
        before = path.read_bytes()
        try:
            np.savez(path if data is None else data, images=images, labels=labels, **more)
            found = evaluation_images(*open_model(folder), data, None)
        finally:
            path.write_bytes(before)
        return sorted(image.tobytes() for image in found.split.images), found.description

    return choose


@pytest.fixture
def held_out(trained: tuple[Path, Path]) -> list[bytes]:
    return sorted(image.tobytes() for image in load(trained[0]).test.images)


def test_the_images_that_were_held_out_are_found_wherever_they_are(chosen, held_out):
    order = np.random.default_rng(0).permutation(200)
    others = load_digits().test.images[:50, 0]
    more = np.concatenate([np.rint(255 * others).astype(np.uint8), BYTES])
    labels = np.concatenate([load_digits().test.labels[:50], DIGITS.labels])
    for images, of_images in (
        (BYTES, DIGITS.labels),
        (BYTES[order], DIGITS.labels[order]),
        (more, labels),
    ):
        assert chosen(images, of_images) == (held_out, "the 40 test images of mine.npz")


def test_a_file_without_all_that_was_held_out_is_refused(chosen):
    with pytest.raises(
        DataError,
        match=r"expected the 40 images that the run held out, got \d+ of them: the images are",
    ):
        chosen(BYTES[:150], DIGITS.labels[:150])
    changed = BYTES.copy()
    changed[:, 0, 0] ^= 1
    with pytest.raises(
        DataError, match="expected the 40 images that the run held out, got 0 of them"
    ):
        chosen(changed, DIGITS.labels)


def test_images_that_were_trained_on_are_left_out_of_other_data(
    chosen, held_out, trained, tmp_path
):
    other = str(tmp_path / "other.npz")
    line = "the 40 test images of other.npz, without 160 that the model was trained on"
    assert chosen(BYTES, DIGITS.labels, other) == (held_out, line)
    new = load_digits().test
    found, line = chosen(new.images, new.labels, other)
    assert (len(found), line) == (360, "all 360 images of other.npz")
    split = load(trained[0]).train
    with pytest.raises(
        DataError, match="expected images that the model was not trained on, got 160 that it was"
    ):
        chosen(split.images, split.labels, other)


def test_a_model_without_a_run_needs_data_and_warns(trained, tmp_path):
    path, folder = trained
    model = open_model(folder)[1]
    save_model(model, tmp_path / "model.safetensors")
    for alone in (tmp_path, tmp_path / "model.safetensors"):
        run, loaded = open_model(alone)
        assert run is None
        assert loaded.data_format == model.data_format
        with pytest.raises(
            DataError,
            match=r"argument data expected a data set for a model without the config\.json",
        ):
            evaluation_images(run, loaded, None, None)
        with pytest.warns(
            DataWarning, match="images that the model was trained on cannot be recognised"
        ):
            assert len(evaluation_images(run, loaded, str(path), None).split) == 200


def test_a_run_on_arrays_asks_for_its_images(tmp_path):
    parts = (DIGITS.take(np.arange(100)), DIGITS.take(np.arange(100, 200)))
    train(Dataset("mine", *parts, 10, tuple("0123456789")), out=tmp_path / "run", **SMALL)
    opened = open_model(tmp_path / "run")
    with pytest.raises(
        DataError,
        match=r"expected the source of the data, got none, .*; pass its images as argument data",
    ):
        evaluation_images(*opened, None, None)
    np.savez(tmp_path / "all.npz", images=DIGITS.images, labels=DIGITS.labels)
    assert len(evaluation_images(*opened, str(tmp_path / "all.npz"), None).split) == 100


@pytest.mark.parametrize("fingerprints", [None, {}, {"test": 3}, {"test": "abc"}, "text"])
def test_damaged_fingerprints_are_refused(trained, tmp_path, fingerprints):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((trained[1] / name).read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["data"]["fingerprints"] = fingerprints
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        DataError,
        match=r"config\.json: expected data\.fingerprints\.test, got none or damaged ones",
    ):
        evaluation_images(*open_model(tmp_path), None, None)


def test_names_of_labels_come_back_after_loading(tmp_path):
    names = np.array([f"digit {i}" for i in range(10)])
    np.savez(tmp_path / "named.npz", images=BYTES, labels=names[DIGITS.labels])
    data = load(tmp_path / "named.npz")
    result = train(data, out=tmp_path / "run", **SMALL)
    model = open_model(tmp_path / "run")[1]
    predicted = model.predict(data.test.images)
    assert set(predicted.tolist()) <= set(names.tolist())
    assert model.accuracy(data.test.images, data.test.labels) == result.accuracy
    assert (predicted == data.test.labels).mean() == result.accuracy
