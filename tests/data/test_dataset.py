import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.data import Dataset, Split, batches, split_off
from tinygrad_ckn.errors import DataError


def split_of(labels: list[int], shape: tuple[int, int, int] = (1, 2, 2)) -> Split:
    """A Split whose image i is filled with i, so that images can be distinguished."""
    images = np.broadcast_to(
        np.arange(len(labels), dtype=np.float32)[:, None, None, None], (len(labels), *shape)
    )
    return Split(np.ascontiguousarray(images), np.array(labels, dtype=np.int64))


def test_split_keeps_its_arrays() -> None:
    images, labels = np.ones((2, 3, 4, 5), np.float32), np.array([1, 0])
    split = Split(images, labels)
    assert split.images is images
    assert split.labels is labels
    assert len(split) == 2
    assert repr(split) == "Split(2 images of 3x4x5)"
    with pytest.raises(DataError, match="expected 2 paths, one per image, got 1"):
        Split(images, labels, paths=[Path("a.png")])


def test_take_follows_the_order_of_the_indices() -> None:
    paths = [Path(f"{i}.png") for i in range(3)]
    taken = replace(split_of([5, 6, 7]), paths=paths).take(np.array([2, 0]))
    assert taken.paths == [paths[2], paths[0]]
    assert taken.labels.tolist() == [7, 5]
    assert taken.images[:, 0, 0, 0].tolist() == [2, 0]


IMAGES = np.zeros((2, 1, 3, 3), np.float32)
LABELS = np.zeros(2, np.int64)
NAN = np.full((2, 1, 3, 3), np.nan, np.float32)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[0], LABELS, "expected at least one image, shape (n, C, H, W), got shape (1, 3, 3)"),
        (
            IMAGES[:0],
            LABELS[:0],
            "expected at least one image, shape (n, C, H, W), got shape (0, 1, 3, 3)",
        ),
        (
            IMAGES.astype(np.float64),
            LABELS,
            "expected images of dtype float32, C-contiguous, got float64;",
        ),
        (
            np.zeros((2, 1, 3, 6), np.float32)[..., ::2],
            LABELS,
            "expected images of dtype float32, C-contiguous, got float32 not",
        ),
        (
            IMAGES,
            LABELS.astype(np.uint8),
            "expected labels of dtype int64, bool or str, shape (2,), one per image, got ui",
        ),
        (
            IMAGES,
            LABELS[:1],
            "expected labels of dtype int64, bool or str, shape (2,), one per image, got int64 "
            "of sh",
        ),
        (NAN, LABELS, "expected finite pixels, got nan at index (0, 0, 0, 0)"),
    ],
)
def test_a_bad_split_is_refused(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(f"Split: {message}")):
        Split(images, labels)


def test_dataset_has_the_classes_that_occur_or_the_given_ones() -> None:
    data = Dataset("toy", split_of([4, 1]), split_of([1]), 2, ("one", "four"))
    assert (data.classes, data.data_format.class_names) == ((1, 4), ("one", "four"))
    assert Dataset("toy", split_of([1]), split_of([1]), 3, tuple("abc")).classes == (0, 1, 2)
    told = replace(data.data_format, classes=(1, 4, 9))
    assert Dataset("toy", split_of([4, 1]), split_of([1]), 3, tuple("abc"), told).classes == (
        1,
        4,
        9,
    )
    with pytest.raises(DataError, match="toy: expected 2 classes, got 3"):
        Dataset("toy", split_of([4, 1]), split_of([1]), 2, tuple("ab"), told)
    with pytest.raises(
        DataError, match="toy, test labels: expected labels of the classes 1, 4, got 9 at index 0"
    ):
        Dataset(
            "toy", split_of([4, 1]), split_of([9]), 2, tuple("ab"), replace(told, classes=(1, 4))
        )


def test_equal_images_are_held_out_together_and_every_class_keeps_one() -> None:
    images = np.repeat(split_of([0] * 40).images[:10], 4, axis=0)
    split = Split(images, np.repeat([0, 1], 20))
    for seed in range(20):
        rest, held_out = split_off(split, 0.3, np.random.default_rng(seed))
        assert not np.isin(rest.fingerprints, held_out.fingerprints).any()
        assert len(rest) + len(held_out) == 40
    same = Split(
        np.ones((12, 1, 2, 2), np.float32) * np.repeat([1, 2], 6)[:, None, None, None].astype("f4"),
        np.repeat([0, 1], 6),
    )
    for seed in range(20):
        try:
            rest, _ = split_off(same, 0.5, np.random.default_rng(seed))
        except DataError as error:
            assert "expected at least one image to hold out" in str(error)
        else:
            assert set(rest.labels.tolist()) == {0, 1}


def test_dataset_describes_its_images() -> None:
    data = Dataset("toy", split_of([0, 1], (3, 4, 5)), split_of([1], (3, 4, 5)), 2, ("no", "yes"))
    assert (data.in_channels, data.image_size) == (3, (4, 5))


@pytest.mark.parametrize(
    ("train", "test", "n_classes", "message"),
    [
        (
            split_of([0]),
            split_of([0], (1, 2, 3)),
            1,
            "training images' shape (C, H, W) (1, 2, 2), got (1, 2, 3)",
        ),
        (split_of([0]), split_of([0]), 2, "toy: expected 2 class names, one per class, got 1"),
        (split_of([0, 1]), split_of([0]), 1, "toy, labels: expected labels of 1 classes, or class"),
        (
            split_of([0]),
            split_of([7]),
            1,
            "toy, labels: expected labels of 1 classes, or class numbers 0 .. 0, got 2",
        ),
    ],
)
def test_a_bad_dataset_is_refused(train: Split, test: Split, n_classes: int, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        Dataset("toy", train, test, n_classes, ("only",))


@given(n=st.integers(0, 50), batch_size=st.integers(1, 60), seed=st.none() | st.integers(0, 9))
def test_batches_hold_every_index_once(n: int, batch_size: int, seed: int | None) -> None:
    cut = list(batches(n, batch_size, None if seed is None else np.random.default_rng(seed)))
    assert all(len(batch) == batch_size for batch in cut[:-1])
    order = [int(i) for batch in cut for i in batch]
    assert (order if seed is None else sorted(order)) == list(range(n))


def test_batches_are_shuffled_by_the_generator_given() -> None:
    def order(seed: int) -> list[int]:
        return [int(i) for batch in batches(100, 7, np.random.default_rng(seed)) for i in batch]

    assert order(0) == order(0)
    assert order(0) != order(1)
    assert order(0) != list(range(100))


@pytest.mark.parametrize(("n", "batch_size"), [(-1, 2), (5, 0)])
def test_batches_refuse_bad_sizes_at_once(n: int, batch_size: int) -> None:
    with pytest.raises(DataError, match=f"batch_size >= 1, got n={n} and batch_size={batch_size}"):
        batches(n, batch_size)


@given(
    labels=st.lists(st.integers(0, 4), min_size=8, max_size=60),
    fraction=st.floats(0.2, 0.8),
    seed=st.integers(0, 9),
)
def test_split_off_is_stratified_and_loses_nothing(
    labels: list[int], fraction: float, seed: int
) -> None:
    rest, held_out = split_off(split_of(labels), fraction, np.random.default_rng(seed))
    positions = [part.images[:, 0, 0, 0].astype(int).tolist() for part in (rest, held_out)]
    assert sorted(positions[0] + positions[1]) == list(range(len(labels)))
    for part, where in zip((rest, held_out), positions, strict=True):
        assert where == sorted(where)
        assert part.labels.tolist() == [labels[i] for i in where]
    for label in set(labels):
        held = held_out.labels.tolist().count(label)
        assert abs(held - fraction * labels.count(label)) <= 1
        assert held < labels.count(label)


def test_split_off_holds_out_the_fraction_of_the_whole() -> None:
    labels = [
        label for label in range(10) for _ in range(13)
    ]  # 13 does not divide evenly: 1.3 images a class
    rest, held_out = split_off(split_of(labels), 0.1, np.random.default_rng(0))
    assert (len(rest), len(held_out)) == (117, 13)
    assert np.bincount(held_out.labels).tolist() == [2, 2, 2, 1, 1, 1, 1, 1, 1, 1]


def test_split_off_takes_more_images_from_the_classes_with_the_largest_remainders() -> None:
    _, held_out = split_off(
        split_of([0] * 11 + [1] * 19), 0.1, np.random.default_rng(0)
    )  # 1.1 and 1.9 images
    assert np.bincount(held_out.labels).tolist() == [1, 2]


def test_split_off_depends_on_the_generator_only() -> None:
    def held(seed: int) -> list[float]:
        _, held_out = split_off(split_of([0] * 50 + [1] * 50), 0.3, np.random.default_rng(seed))
        return [float(pixel) for pixel in held_out.images[:, 0, 0, 0]]

    assert held(0) == held(0)
    assert held(0) != held(1)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan")])
def test_split_off_refuses_a_fraction_out_of_range(fraction: float) -> None:
    with pytest.raises(DataError, match=f"strictly between 0 and 1, got {fraction}"):
        split_off(split_of([0, 0]), fraction, np.random.default_rng(0))


def test_split_off_refuses_to_hold_out_nothing() -> None:
    with pytest.raises(DataError, match=r"got none from fraction 0\.5 of 2 images"):
        split_off(split_of([0, 1]), 0.5, np.random.default_rng(0))
