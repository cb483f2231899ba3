import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.nn import Parameter, Sphere
from tinygrad_ckn.optim import MovingAverage

DECAY = 0.8


def parameters(seed=0):
    rng = np.random.default_rng(seed)
    return [
        Tensor(rng.normal(size=3), requires_grad=True),
        Parameter(Sphere().retract(rng.normal(size=(2, 4)).astype("float32")), constraint=Sphere()),
    ]


def moved(params, average, steps, seed=1):
    """Move the parameters at random, and return their values after each step."""
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(steps):
        params[0].data = params[0].data + rng.normal(size=3)
        step = params[1].data + 0.3 * rng.normal(size=(2, 4)).astype("float32")
        params[1].data = Sphere().retract(step)
        average.update()
        values.append([p.numpy().copy() for p in params])
    return values


def test_the_average_is_the_weighted_sum_of_all_values():
    params = parameters()
    average = MovingAverage(params, DECAY)
    expected = params[0].numpy().copy()
    for t, (value, _) in enumerate(moved(params, average, 60), 1):
        decay = min(DECAY, t / (t + 9))
        expected = decay * expected + (1 - decay) * value
    np.testing.assert_allclose(average.averages[0], expected, rtol=1e-12)
    filters = average.averages[1]
    assert filters.dtype == "float32"
    np.testing.assert_allclose(np.linalg.norm(filters, axis=1), 1, rtol=1e-6)


def test_averages_are_applied_within_the_block_only():
    params = parameters()
    average = MovingAverage(params, DECAY)
    moved(params, average, 5)
    raw = [p.numpy().copy() for p in params]
    averages = [a.copy() for a in average.averages]
    with average.applied():
        for parameter, expected in zip(params, averages, strict=True):
            np.testing.assert_array_equal(parameter.numpy(), expected)
        # What is written there is not the average's memory.
        params[0].data = params[0].data * 0
    for parameter, expected in zip(params, raw, strict=True):
        np.testing.assert_array_equal(parameter.numpy(), expected)
    np.testing.assert_array_equal(average.averages[0], averages[0])


def test_a_block_that_fails_leaves_what_it_set():
    params = parameters()
    average = MovingAverage(params, DECAY)
    moved(params, average, 2)
    with pytest.raises(ValueError, match="stop"), average.applied():
        params[0].data = np.zeros(3)
        raise ValueError("stop")
    assert not params[0].numpy().any()


def test_a_loaded_average_goes_on_with_the_same_bits():
    params, others = parameters(), parameters(5)
    average, other = MovingAverage(params, DECAY), MovingAverage(others, DECAY)
    moved(params, average, 4)
    # As at the end of an epoch.
    with average.applied():
        state = average.state_dict()
    other.load_state_dict(state)
    for p, q in zip(params, others, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())
    moved(params, average, 3, seed=2)
    moved(others, other, 3, seed=2)
    assert state["steps"] == 4
    for a, b in zip(average.averages, other.averages, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_state_of_other_parameters_is_refused():
    average = MovingAverage(parameters(), DECAY)
    state = average.state_dict()
    for wrong in (
        {**state, "0.average": np.zeros(4)},
        {name: value for name, value in state.items() if name != "1.parameter"},
        {**state, "2.average": np.zeros(1)},
    ):
        with pytest.raises(DataError, match="MovingAverage"):
            average.load_state_dict(wrong)


@pytest.mark.parametrize("decay", [0, 1, 1.5, "0.5"])
def test_decay_is_between_0_and_1(decay):
    with pytest.raises(ConfigError, match=r"MovingAverage: argument decay expected a number in"):
        MovingAverage(parameters(), decay)
