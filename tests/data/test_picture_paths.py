"""Files and folders as a data set of pictures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.data.picture_paths import (
    class_labels,
    find_classes,
    find_pictures,
    has_pictures,
    natural_key,
)
from tinygrad_ckn.errors import DataError


def make(root, *names):
    """Make files; nothing here opens them."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def relative(paths, root):
    return [path.relative_to(root).as_posix() for path in paths]


@given(st.lists(st.text("aB0123456789 .", max_size=6), unique=True))
def test_natural_order_is_total(names):
    ordered = sorted(names, key=natural_key)
    backwards = names[::-1]
    assert sorted(backwards, key=natural_key) == ordered
    numbers = sorted((name for name in names if name.isdecimal()), key=natural_key)
    assert [int(number) for number in numbers] == sorted(map(int, numbers))


def test_classes_in_natural_order(tmp_path):
    make(tmp_path, "c10/2.png", "c10/10.PNG", "c10/1.jpg", "c2/deep/er/x.webp", "c2/z.tiff")
    make(tmp_path, "README", "labels.csv", ".DS_Store", "c2/Thumbs.db", "c2/.hidden.png")
    train, validation, test = find_classes(tmp_path)
    assert relative(train.paths, tmp_path) == [
        *("c2/z.tiff", "c2/deep/er/x.webp", "c10/1.jpg", "c10/2.png", "c10/10.PNG")
    ]
    assert train.names == ["c2"] * 2 + ["c10"] * 3
    assert validation is None
    assert test is None
    assert find_pictures(tmp_path) == train.paths
    assert list(class_labels(train.names)) == ["c2", "c10"]


def test_labels_are_integers_if_all_names_are():
    assert class_labels(["10", "2", "02x"]) == {"2": "2", "02x": "02x", "10": "10"}
    assert list(class_labels(["10", "-2", "003"]).items()) == [("-2", -2), ("003", 3), ("10", 10)]
    # One number twice: the names are the labels.
    assert class_labels(["1", "01"]) == {"01": "01", "1": "1"}


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "validation", "testing")])
def test_parts(tmp_path, names):
    make(tmp_path, *(f"{name}/{label}/1.png" for name in names for label in "ab"))
    for part, name in zip(find_classes(tmp_path), names, strict=True):
        assert relative(part.paths, tmp_path) == [f"{name}/a/1.png", f"{name}/b/1.png"]
        assert part.names == ["a", "b"]


def test_a_class_may_be_called_train(tmp_path):
    make(tmp_path, "train/1.png", "car/1.png")
    assert find_classes(tmp_path).train.names == ["car", "train"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["a/1.png", "2.png"], "expected folders named as the classes, got 1 files beside them"),
        (["1.png"], "expected folders named as the classes"),
        (["a/1.png", "b/readme.txt"], "b: expected pictures of a class, got none; add some"),
        (["a/1.png", "a/1.heic", "a/2.heic", "a/x"], r"other files \(2 .heic, 1 without a suffix"),
        (["train/a/1.png", "test/b/1.png"], "classes of the training part .*, got also b; add"),
        (["train/a/1.png", "car/1.png"], "one of test, testing at most, got also car; move it"),
        (["train/a/1.png", "val/a/1.png", "valid/a/2.png"], "at most, got also val"),
    ],
)
def test_folders_that_are_no_data_set(tmp_path, files, message):
    make(tmp_path, *files)
    with pytest.raises(DataError, match=message):
        find_classes(tmp_path)


def test_folders_without_pictures(tmp_path):
    assert not has_pictures(make(tmp_path, "a/1.txt"))
    for function, message in ((find_pictures, "with pictures, got none"), (find_classes, "a: exp")):
        with pytest.raises(DataError, match=message):
            function(tmp_path)


def test_links_are_followed_but_not_in_circles(tmp_path):
    make(tmp_path, "elsewhere/1.png", "data/b/2.png")
    (tmp_path / "data" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "b" / "again").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "b" / "self").symlink_to(tmp_path / "data" / "b")
    found = find_classes(tmp_path / "data").train
    assert relative(found.paths, tmp_path) == [
        *("data/a/1.png", "data/b/2.png", "data/b/again/a/1.png")
    ]


def test_links_among_many_folders_are_followed_once(tmp_path):
    names = [f"f{i}" for i in range(12)]
    make(tmp_path, *(f"class/{name}/1.png" for name in names))
    for name in names:
        for other in names:
            (tmp_path / "class" / name / f"to-{other}").symlink_to(tmp_path / "class" / other)
    assert len(find_classes(tmp_path).train.paths) == 12
