import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.data import Split, split_off
from tinygrad_ckn.data.group_split import hold_out_groups
from tinygrad_ckn.errors import DataError


@given(
    pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=2, max_size=60),
    copies=st.lists(st.integers(0, 59), max_size=8),
    fraction=st.floats(0.1, 0.6),
    seed=st.integers(0, 9),
)
def test_no_group_and_no_copy_is_on_both_sides(
    pairs: list[tuple[int, int]], copies: list[int], fraction: float, seed: int
):
    labels, groups = np.array(pairs).T
    values = np.arange(len(labels), dtype=np.float32)
    values[[i % len(labels) for i in copies]] = 0
    images = np.broadcast_to(values[:, None, None, None], (len(labels), 1, 1, 2)).copy()
    split = Split(images, labels, np.array([f"s{group}" for group in groups]))
    try:
        rest, held_out = split_off(split, fraction, np.random.default_rng(seed))
    except DataError as error:
        assert f"images in {len(set(groups.tolist()))} groups" in str(error)
        return
    assert len(rest) + len(held_out) == len(split)
    assert not np.isin(held_out.groups, rest.groups).any()
    assert not np.isin(held_out.fingerprints, rest.fingerprints).any()
    assert set(rest.labels.tolist()) == set(labels.tolist())
    again = split_off(split, fraction, np.random.default_rng(seed))[1]
    np.testing.assert_array_equal(again.images, held_out.images)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=3, max_size=30),
    fraction=st.floats(0.1, 0.5),
    seed=st.integers(0, 9),
)
def test_the_fraction_is_kept_as_nearly_as_groups_allow(
    sizes: list[int], fraction: float, seed: int
):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    held_out = hold_out_groups(
        np.zeros(len(groups), np.int64), groups, fraction, np.random.default_rng(seed)
    )
    off = abs(int(held_out.sum()) - fraction * len(groups))
    # No group that is left could bring the number closer.
    left = [size for i, size in enumerate(sizes) if not held_out[groups == i].any()]
    missing = fraction * len(groups) - held_out.sum()
    assert len(left) == 1 or all(abs(missing - size) >= off - 1e-9 for size in left)
    assert off <= max(sizes)


def test_the_order_of_the_groups_is_random_and_classes_are_held_out_alike():
    labels = np.repeat(np.arange(2), 100)
    groups = np.arange(200) // 5
    chosen = [hold_out_groups(labels, groups, 0.2, np.random.default_rng(s)) for s in range(20)]
    assert {(int(x[:100].sum()), int(x[100:].sum())) for x in chosen} == {(20, 20)}
    assert len({x.tobytes() for x in chosen}) == 20


def test_groups_of_many_classes_keep_the_number_of_images():
    labels = np.arange(400) % 7
    for seed in range(10):
        chosen = hold_out_groups(labels, np.arange(400) // 10, 0.2, np.random.default_rng(seed))
        assert chosen.sum() == 80
        assert np.ptp(np.bincount(labels[chosen])) <= 6


def test_one_group_cannot_be_divided():
    split = Split(
        np.eye(4, dtype=np.float32).reshape(4, 1, 2, 2), np.arange(4) % 2, np.zeros(4, int)
    )
    with pytest.raises(
        DataError, match=r"got none from fraction 0\.5 of 4 images in 1 groups; raise"
    ):
        split_off(split, 0.5, np.random.default_rng(0))
    with pytest.raises(DataError, match=r"Split: expected groups of shape \(4,\), one per image"):
        Split(split.images, split.labels, np.zeros(3, int))


def test_other_classes_give_the_share_of_a_class_that_is_in_one_group():
    groups = np.concatenate([np.zeros(2000, np.int64), 1 + np.arange(3000) // 2])
    labels = np.where(groups == 0, 0, 1 + groups % 3)
    held_out = hold_out_groups(labels, groups, 0.2, np.random.default_rng(0))
    assert held_out.sum() == 1000
    counts = np.bincount(labels[held_out], minlength=4)
    assert counts[0] == 0
    assert np.ptp(counts[1:]) <= 2


def test_each_class_keeps_an_image_if_many_small_groups_are_held_out_at_a_time():
    labels = np.arange(2000) // 2
    held_out = hold_out_groups(labels, np.arange(2000), 0.2, np.random.default_rng(0))
    assert held_out.sum() == 400
    assert set(labels[~held_out].tolist()) == set(range(1000))
