import re
from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import load
from tinygrad_ckn.data.by_name import BY_NAME
from tinygrad_ckn.errors import DataError


@pytest.mark.parametrize("name", sorted(set(BY_NAME) - {"digits", "fashion-mnist"}))
def test_the_folder_is_needed_and_must_be_one(name: str, tmp_path: Path):
    with pytest.raises(DataError, match=f"{name}: expected the folder of .*; pass it as argument"):
        load(name)
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'none'}: expected a folder")):
        load(name, data_dir=tmp_path / "none")


def test_kmnist_has_the_names_of_its_characters(mnist_folder: Path):
    data = load("kmnist", data_dir=mnist_folder)
    assert (data.name, data.class_names[:3]) == ("kmnist", ("o", "ki", "su"))


def test_kmnist_is_read_from_its_npz_files(tmp_path: Path):
    rng = np.random.default_rng(0)
    images = {part: rng.integers(0, 256, (12, 28, 28), np.uint8) for part in ("train", "test")}
    for part, stored in images.items():
        np.savez_compressed(tmp_path / f"kmnist-{part}-imgs.npz", stored)
        np.savez_compressed(tmp_path / f"kmnist-{part}-labels.npz", np.arange(12, dtype="u1") % 9)
    for data in (load("kmnist", data_dir=tmp_path), load(tmp_path)):
        np.testing.assert_array_equal(
            data.test.images[:, 0], images["test"].astype(np.float32) / 255
        )
        assert data.train.labels.tolist() == [*range(9), 0, 1, 2]
    # Ten classes, though the last does not occur.
    assert load("kmnist", data_dir=tmp_path).class_names[9] == "wo"
