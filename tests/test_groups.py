import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.groups import joined, whole_groups

numbers = st.lists(st.integers(0, 8), min_size=1, max_size=30)


@given(data=st.data(), first=numbers)
def test_examples_are_joined_that_are_alike_in_one_of_two_ways(data: st.DataObject, first: list):
    n = len(first)
    second = data.draw(st.lists(st.integers(0, 8), min_size=n, max_size=n))
    groups = joined(np.array([f"s{i}" for i in first]), np.array(second))
    # The same by passing the lowest number on until nothing changes.
    expected = list(range(n))
    for _ in range(n):
        for i in range(n):
            for j in range(n):
                if first[i] == first[j] or second[i] == second[j]:
                    expected[i] = expected[j] = min(expected[i], expected[j])
    assert groups.min() == 0
    np.testing.assert_array_equal(
        groups[:, None] == groups, np.array(expected)[:, None] == expected
    )


@given(groups=numbers, share=st.floats(0.05, 0.95), seed=st.integers(0, 9))
def test_groups_are_held_out_whole_and_about_as_many_examples(
    groups: list[int], share: float, seed: int
):
    group = np.array(groups)
    held_out = np.zeros(len(group), np.bool_)
    wanted = max(1, round(share * len(group)))
    held_out[np.random.default_rng(seed).permutation(len(group))[:wanted]] = True
    chosen = whole_groups(held_out, group)
    sizes = np.unique(group, return_counts=True)[1]
    if len(sizes) == 1:
        np.testing.assert_array_equal(chosen, held_out)
        return
    assert not set(group[chosen].tolist()) & set(group[~chosen].tolist())
    assert chosen.any()
    assert not chosen.all()
    within = wanted / 2 <= chosen.sum() <= 2 * wanted
    assert within or abs(int(chosen.sum()) - wanted) <= sizes.max()
    np.testing.assert_array_equal(chosen, whole_groups(held_out, group))


def test_one_large_group_is_not_held_out_for_a_small_share():
    group = np.array([0] * 90 + list(range(1, 11)))
    held_out = np.zeros(100, np.bool_)
    held_out[[0, 1, 2, 95]] = True
    chosen = whole_groups(held_out, group)
    assert chosen[95]
    assert chosen.sum() == 4
    assert not chosen[:90].any()
    assert whole_groups(held_out, None) is held_out
