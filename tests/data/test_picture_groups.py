from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinygrad_ckn.data import load
from tinygrad_ckn.errors import ConfigError, DataError


def write(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((2, 2), value, np.uint8)).save(path)


@pytest.mark.parametrize("group", ["folder", "prefix"])
@pytest.mark.parametrize("part", ["", "train"])
def test_pictures_of_a_folder_or_a_prefix_stay_together(tmp_path: Path, group: str, part: str):
    for label in "ab":
        for i in range(20):
            name = f"p{i // 4}/{i}.png" if group == "folder" else f"p{i // 4}-{i}_x.png"
            write(tmp_path / part / label / name, 4 * i + 100 * (label == "b"))
    dataset = load(tmp_path, group=group)
    assert dataset.test is not None
    groups = [set(split.groups.tolist()) for split in (dataset.train, dataset.test)]
    # The same subject in both classes is one group.
    assert groups[0] | groups[1] == {f"p{i}" for i in range(5)}
    assert not groups[0] & groups[1]
    assert (len(dataset.train), len(dataset.test)) == (32, 8)


def test_pictures_without_a_group_are_named(tmp_path: Path):
    for label in "ab":
        write(tmp_path / label / "s1" / "1.png", 1)
        write(tmp_path / label / "2.png", 2)
    with pytest.raises(
        DataError, match=r"a/2\.png: expected a picture in a folder inside .* prefix"
    ):
        load(tmp_path, group="folder")
    with pytest.raises(DataError, match=r"2\.png: expected a picture whose name has a _ or -"):
        load(tmp_path, group="prefix")
    with pytest.raises(ConfigError, match="argument group expected folder or prefix with the pic"):
        load(tmp_path, group="subject")
