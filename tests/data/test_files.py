from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_ckn.data import load, load_images, load_test, read_idx
from tinygrad_ckn.data.files import existing_file, existing_folder
from tinygrad_ckn.errors import DataError, DTypeError


def test_paths_that_exist_come_back_as_path(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.touch()
    assert existing_file(str(file), "a file") == file
    assert existing_folder(str(tmp_path), "files") == tmp_path


@pytest.mark.parametrize("of", [load, load_images, read_idx, load_test])
def test_what_is_no_path_is_refused(of: Callable[[Any], object]) -> None:
    for value in (np.zeros((2, 4, 4)), None, b"digits", 3):
        with pytest.raises(DTypeError, match=f"expected a path, .* got {type(value).__name__}; p"):
            of(value)
    # Not the files of the current folder.
    with pytest.raises(DataError, match=r"got an empty text; write \. for the current folder"):
        of("")


def test_an_empty_folder_of_a_set_is_refused() -> None:
    with pytest.raises(DataError, match="got an empty text"):
        load("mnist", data_dir="")


@pytest.mark.parametrize(("name", "got"), [("absent", "nothing"), (".", "a folder")])
def test_a_missing_file_is_refused(tmp_path: Path, name: str, got: str) -> None:
    with pytest.raises(DataError, match=f"expected an IDX file, got {got}; check the path"):
        existing_file(tmp_path / name, "an IDX file")


@pytest.mark.parametrize(("name", "got"), [("absent", "nothing"), ("file", "a file")])
def test_a_missing_folder_is_refused(tmp_path: Path, name: str, got: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        DataError, match=f"{name}: expected a folder with IDX files, got {got}; check the path"
    ):
        existing_folder(tmp_path / name, "IDX files")
