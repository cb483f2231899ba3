import numpy as np

from tinygrad_ckn.models.linear.examples import Examples


def test_without_weights_all_count():
    examples = Examples(20, None, None)
    assert (examples.n, examples.weights, examples.counted) == (20, None, None)
    assert len(examples.hold_out(np.random.default_rng(0))) == 4


def test_weights_have_mean_1_and_those_of_weight_0_are_never_held_out():
    weights = np.array([0.0, 5.0] * 10)
    examples = Examples(20, weights, np.arange(20) // 4)
    np.testing.assert_allclose(examples.weights, weights / 2.5)
    held_out = examples.hold_out(np.random.default_rng(0))
    assert (held_out % 2 == 1).all()
    # groups of two that count
    assert len(held_out) % 2 == 0


def test_examples_are_calibrated_on_that_were_not_fitted():
    rng = np.random.default_rng(0)
    weights = np.r_[0.0, np.ones(19)]
    examples = Examples(20, weights, None)
    chosen = np.array([4, 5])
    (part,) = examples.parts_to_calibrate_on(np.array([0, 1, 2]), chosen, rng)
    assert part.tolist() == [1, 2]
    assert examples.parts_to_calibrate_on(np.array([0]), chosen, rng)[0] is chosen
    state = rng.bit_generator.state
    (part,) = examples.parts_to_calibrate_on(None, None, rng)
    assert rng.bit_generator.state == state
    np.testing.assert_array_equal(part, examples.hold_out(rng))


def test_few_examples_are_left_out_one_by_one():
    rng = np.random.default_rng(0)
    few = Examples(5, np.array([1, 0, 1, 1, 0]), None)
    assert [part.tolist() for part in few.parts_to_calibrate_on(None, None, rng)] == [[0], [2], [3]]
    assert Examples(1, None, None).parts_to_calibrate_on(None, None, rng) == []
