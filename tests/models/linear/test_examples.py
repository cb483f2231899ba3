import numpy as np
import pytest

from tinygrad_ckn.models.linear import examples as examples_of
from tinygrad_ckn.models.linear.examples import Examples
from tinygrad_ckn.models.linear.l2_search import held_out_indices

LABELS = np.arange(40) % 4


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_without_weights_all_count_and_one_part_is_held_out():
    examples = Examples(40, None, None)
    assert (examples.n, examples.weights, examples.counted) == (40, None, None)
    (part,) = examples.held_out_parts(LABELS, rng())
    np.testing.assert_array_equal(part, held_out_indices(40, rng()))


def test_weights_have_mean_1():
    weights = np.array([0.0, 5.0] * 10)
    np.testing.assert_allclose(Examples(20, weights, None).weights, weights / 2.5)


def test_with_weights_each_example_that_counts_is_held_out_once_with_its_class_and_group():
    weights = np.arange(40) % 10 > 0
    examples = Examples(40, weights, None)
    parts = examples.held_out_parts(LABELS, rng())
    assert len(parts) == 5
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.flatnonzero(weights))
    for part in parts:
        # Nine of each class, or eight, in five folds.
        assert np.bincount(LABELS[part], minlength=4).min() >= 1
        assert np.bincount(LABELS[part], minlength=4).max() <= 3
    groups = np.arange(40) // 4
    for part in Examples(40, weights, groups).held_out_parts(LABELS, rng()):
        others = np.setdiff1d(np.flatnonzero(weights), part)
        assert not set(groups[part]) & set(groups[others])


def test_of_eight_of_a_class_no_fold_holds_out_more_than_two():
    labels = np.r_[np.zeros(100, int), np.ones(8, int)]
    parts = Examples(108, labels + 1, None).held_out_parts(labels, rng())
    assert {int(labels[part].sum()) for part in parts} == {1, 2}


def test_many_examples_are_held_out_in_one_part(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(examples_of, "MAX_FOLDED", 30)
    weights = np.arange(40) % 10 > 0
    (part,) = Examples(40, weights, None).held_out_parts(LABELS, rng())
    assert weights[part].all()


def test_examples_are_calibrated_on_that_were_not_fitted():
    generator = rng()
    examples = Examples(20, np.r_[0.0, np.ones(19)], None)
    searched = [np.array([4, 5])]
    (part,) = examples.parts_to_calibrate_on(np.array([0, 1, 2]), searched, generator)
    assert part.tolist() == [1, 2]
    assert examples.parts_to_calibrate_on(np.array([0]), searched, generator) == []
    assert examples.parts_to_calibrate_on(None, searched, generator) == []
    state = generator.bit_generator.state
    (part,) = examples.parts_to_calibrate_on(None, [], generator)
    assert generator.bit_generator.state == state
    assert 0 not in part
    assert len(part) == 3


def test_few_examples_are_left_out_one_by_one():
    few = Examples(5, np.array([1, 0, 1, 1, 0]), None)
    parts = few.parts_to_calibrate_on(None, [], rng())
    assert [part.tolist() for part in parts] == [[0], [2], [3]]
    assert Examples(1, None, None).parts_to_calibrate_on(None, [], rng()) == []
