"""Parts of a data set from its own files and from others."""

from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import load, load_digits, load_images
from tinygrad_ckn.errors import ConfigError, DataError

DIGITS = load_digits().train.take(np.arange(60))
BYTES = np.rint(255 * DIGITS.images[:, 0]).astype(np.uint8)


@pytest.fixture
def train(tmp_path: Path) -> Path:
    np.savez(tmp_path / "train.npz", images=BYTES[:30], labels=DIGITS.labels[:30])
    return tmp_path / "train.npz"


def table(path: Path, rows: slice, header: str = "label", extra: list[str] | None = None) -> Path:
    names = [header, *(["subject"] if extra else []), *(f"p{i}" for i in range(64))]
    lines = [",".join(names)]
    for i, (image, label) in enumerate(zip(BYTES[rows], DIGITS.labels[rows], strict=True)):
        of_group = [extra[i]] if extra else []
        lines.append(",".join(map(str, [label, *of_group, *image.ravel().tolist()])))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_other_files_are_the_parts(train: Path, tmp_path: Path):
    test = table(tmp_path / "test.csv", slice(30, 50))
    validation = table(tmp_path / "validation.csv", slice(50, 60))
    dataset = load(train, test_data=test, validation_data=validation)
    assert list(dataset.parts) == ["training", "test", "validation"]
    for split, rows in zip(
        dataset.parts.values(), (slice(30), slice(30, 50), slice(50, 60)), strict=True
    ):
        np.testing.assert_array_equal(split.images[:, 0], np.float32(BYTES[rows]) / 255)
        np.testing.assert_array_equal(split.labels, DIGITS.labels[rows])
    # With validation images alone, a fifth is held out for testing.
    sizes = {k: len(x) for k, x in load(train, validation_data=validation).parts.items()}
    assert sizes == {"training": 24, "test": 6, "validation": 10}
    assert list(load(train, holdout=0).parts) == ["training"]
    half = load(train, holdout=0.5)
    assert (len(half.train), len(half.test or ())) == (15, 15)


def test_other_files_are_read_as_the_training_images(tmp_path: Path):
    # On a scale of 0..16, which nothing in the other file says.
    small = np.rint(16 * DIGITS.images[:, 0]).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=small[:30], labels=DIGITS.labels[:30])
    np.savez(tmp_path / "b.npz", images=small[30:], labels=DIGITS.labels[30:])
    test = load(tmp_path / "a.npz", scale=16, test_data=tmp_path / "b.npz").test
    assert test is not None
    np.testing.assert_array_equal(test.images, DIGITS.images[30:])
    np.savez(tmp_path / "c.npz", images=np.zeros((4, 9, 9), "u1"), labels=[0, 1, 0, 1])
    with pytest.raises(
        DataError, match=r"c\.npz, images: expected images 1x8x8 as those the model"
    ):
        load(tmp_path / "a.npz", test_data=tmp_path / "c.npz")


def test_parts_that_there_are_are_not_replaced(train: Path, tmp_path: Path):
    both = tmp_path / "both.npz"
    np.savez(
        both,
        images=BYTES,
        labels=DIGITS.labels,
        test_images=BYTES[:9],
        test_labels=DIGITS.labels[:9],
    )
    message = r"argument test_data expected None with .*both\.npz, which has test images, got"
    with pytest.raises(ConfigError, match=message):
        load(both, test_data=train)
    message = r"argument holdout expected None with .*both\.npz, which has test images, got 0\.3"
    with pytest.raises(ConfigError, match=message):
        load(both, holdout=0.3)
    with pytest.raises(
        DataError, match=r"both\.npz: expected test images alone as argument test_d"
    ):
        load(train, test_data=both)


def test_copies_contradictions_and_groups_across_parts_are_counted(tmp_path: Path):
    labels = DIGITS.labels.copy()
    labels[40] = (labels[3] + 1) % 10
    images = BYTES.copy()
    images[40], images[41] = images[3], images[4]
    labels[41] = labels[4]
    subjects = np.arange(60) // 10
    subjects[45] = 0
    np.savez(
        tmp_path / "a.npz",
        images=images[:40],
        labels=labels[:40],
        subject=subjects[:40],
        test_images=images[40:],
        test_labels=labels[40:],
        test_subject=subjects[40:],
    )
    dataset = load(tmp_path / "a.npz", group="subject")
    assert (dataset.copies, dataset.n_copies) == ({"test in training": 2}, 2)
    assert dataset.shared_groups == {"test in training": 1}
    # The image in the training part, and that in the test part.
    assert dataset.n_conflicting == 2
    assert load("digits").copies == {}


def test_groups_of_a_table_and_of_an_archive(train: Path, tmp_path: Path):
    subjects = [f"s{i // 5}" for i in range(60)]
    path = table(tmp_path / "a.csv", slice(60), extra=subjects)
    dataset = load(path, group="Subject")
    assert dataset.test is not None
    assert dataset.train.images.shape[1:] == (1, 8, 8)
    assert not set(dataset.train.groups) & set(dataset.test.groups)
    assert load_images(path, group="subject").shape == (60, 1, 8, 8)
    # A model knows the column: it is no pixel of later files, which may lack it.
    assert dataset.data_format.group == "subject"
    np.testing.assert_array_equal(
        load_images(path, data_format=dataset.data_format), load_images(path, group="subject")
    )
    without = table(tmp_path / "without.csv", slice(60))
    assert load_images(without, data_format=dataset.data_format).shape == (60, 1, 8, 8)
    with pytest.raises(DataError, match="expected a header with one column 'patient' besides"):
        load(path, group="patient")
    np.savez(tmp_path / "b.npz", images=BYTES, labels=DIGITS.labels, who=np.arange(60) // 5)
    dataset = load(tmp_path / "b.npz", group="who")
    assert dataset.test is not None
    assert not set(dataset.train.groups) & set(dataset.test.groups)
    with pytest.raises(DataError, match="expected an array named 'who'"):
        load(train, group="who")
    np.savez(tmp_path / "c.npz", images=BYTES, labels=DIGITS.labels, who=np.arange(59))
    with pytest.raises(DataError, match=r"c\.npz, who: expected 60 groups, one per image, got 59"):
        load(tmp_path / "c.npz", group="who")


def test_groups_are_compared_whatever_their_type_in_files(tmp_path: Path):
    subjects = np.arange(60) // 10
    for name, rows, groups in (
        ("a", slice(30), subjects),
        ("b", slice(25, 60), subjects.astype(str)),
    ):
        np.savez(
            tmp_path / f"{name}.npz",
            images=BYTES[rows],
            labels=DIGITS.labels[rows],
            subject=groups[rows],
        )
    dataset = load(tmp_path / "a.npz", test_data=tmp_path / "b.npz", group="subject")
    assert dataset.shared_groups == {"test in training": 5}


def test_test_images_and_a_share_to_hold_out_exclude_each_other(train: Path):
    message = "argument holdout expected None with argument test_data, got 0.1; leave one out"
    with pytest.raises(ConfigError, match=message):
        load(train, test_data=train, holdout=0.1)


def test_a_column_of_groups_that_is_there_twice_is_refused_by_its_name(tmp_path: Path):
    groups = [str(i % 5) for i in range(30)]
    trained = load(table(tmp_path / "a.csv", slice(30), extra=groups), group="subject")
    twice = table(tmp_path / "b.csv", slice(30), extra=[f"{g},{g}" for g in groups])
    twice.write_text(twice.read_text().replace("subject", "subject,subject", 1))
    with pytest.raises(DataError, match="expected a header with one column 'subject' besides"):
        load_images(twice, data_format=trained.data_format)
