import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import Dataset, load_digits

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_digits()


def test_sizes_and_values(digits: Dataset) -> None:
    assert digits.train.images.shape == (1437, 1, 8, 8)
    assert digits.test.images.shape == (360, 1, 8, 8)
    assert digits.name == "digits"
    assert digits.class_names == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    both = np.concatenate([digits.train.images, digits.test.images])
    assert np.unique(both).tolist() == [i / 16 for i in range(17)]


def test_every_class_is_divided_alike(digits: Dataset) -> None:
    train, test = np.bincount(digits.train.labels), np.bincount(digits.test.labels)
    assert len(train) == 10
    np.testing.assert_allclose(test / (train + test), 0.2, atol=0.005)


def test_equals_scikit_learns_split(digits: Dataset) -> None:
    datasets = pytest.importorskip(
        "sklearn.datasets", reason="scikit-learn, a development tool, has the original"
    )
    selection = pytest.importorskip(
        "sklearn.model_selection", reason="scikit-learn, a development tool"
    )
    x, y = datasets.load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = selection.train_test_split(
        x, y, test_size=0.2, random_state=0, stratify=y
    )
    for split, images, labels in ((digits.train, x_train, y_train), (digits.test, x_test, y_test)):
        np.testing.assert_array_equal(split.images.reshape(-1, 64), images / 16)
        np.testing.assert_array_equal(split.labels, labels)


def test_the_embedded_file_is_small() -> None:
    assert (ROOT / "tinygrad_ckn" / "data" / "digits.npz").stat().st_size <= 100_000


def test_the_script_writes_the_same_arrays_and_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn, a development tool, has the original")
    spec = importlib.util.spec_from_file_location(
        "make_digits", ROOT / "scripts" / "make_digits.py"
    )
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "make_digits", script)
    spec.loader.exec_module(script)
    for name in ("first.npz", "second.npz"):
        monkeypatch.setattr(script, "TARGET", tmp_path / name)
        script.main()
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    with (
        np.load(tmp_path / "first.npz") as made,
        np.load(ROOT / "tinygrad_ckn" / "data" / "digits.npz") as embedded,
    ):
        assert set(made) == set(embedded) == {"images", "labels", "train", "test"}
        for key in made:
            np.testing.assert_array_equal(made[key], embedded[key])
