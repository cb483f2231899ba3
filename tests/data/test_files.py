from pathlib import Path

import pytest

from tinygrad_ckn.data.files import existing_file, existing_folder
from tinygrad_ckn.errors import DataError


def test_paths_that_exist_come_back_as_path(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.touch()
    assert existing_file(str(file), "a file") == file
    assert existing_folder(str(tmp_path), "files") == tmp_path


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
