"""Pictures, folders and files of arrays on the command line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinygrad_ckn.cli import inputs
from tinygrad_ckn.cli.inputs import open_inputs
from tinygrad_ckn.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures 1 .. 12 of 1x1 pixels in a folder; pixels are their numbers."""
    (tmp_path / "dir").mkdir()
    for i in range(1, 13):
        Image.new("L", (1, 1), i).save(tmp_path / "dir" / f"{i}.png")
    return tmp_path / "dir"


def test_images_are_in_the_order_given(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inputs, "BLOCK", 5)
    np.save(folder.parent / "a.npy", np.array([[[100]], [[101]]], np.uint8))
    paths = [folder / "7.png", folder, folder.parent / "a.npy", folder / "2.png"]
    found, keys = [], []
    for images in open_inputs(paths, None, {}):
        for block in images.blocks():
            pixels = images.read(block)
            assert len(pixels) <= 5
            found += np.round(pixels[:, 0, 0, 0] * 255).astype(int).tolist()
        keys += images.keys
    assert found == [7, *range(1, 13), 100, 101, 2]
    assert keys[0] == (str(folder / "7.png"), "0")
    assert keys[13:] == [
        *((str(folder.parent / "a.npy"), index) for index in "01"),
        (str(folder / "2.png"), "0"),
    ]


def test_wrong_files_are_named(folder: Path):
    for path, message in (
        (folder / "absent.png", r"absent.png: expected a picture, got nothing; check the path"),
        (folder / "absent", r"absent: expected a file of images: a picture"),
        (folder.parent / "empty", r"empty: expected a folder with pictures, got none"),
    ):
        (folder.parent / "empty").mkdir(exist_ok=True)
        with pytest.raises(DataError, match=message):
            list(open_inputs([path], None, {}))
