import re
from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import load
from tinygrad_ckn.data.by_name import BY_NAME, load_known
from tinygrad_ckn.data.stl10 import load_stl10
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


def test_folders_are_told_apart_by_their_files(tmp_path: Path):
    assert load_known(tmp_path) is None
    # Folders of pictures have these names too.
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    assert load_known(tmp_path) is None
    np.zeros(3, np.uint8).tofile(tmp_path / "train_X.bin")
    assert load_known(tmp_path) is load_stl10
