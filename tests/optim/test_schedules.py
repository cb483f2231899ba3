import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.optim import SGD, CosineDecay, LinearWarmup, Scheduler, StepDecay


def sgd(lr: float = 0.5) -> SGD:
    return SGD([Tensor([1.0], requires_grad=True)], lr=lr)


def test_step_decay() -> None:
    schedule = StepDecay(3, 0.1)
    np.testing.assert_allclose(
        [schedule(i) for i in range(7)], [1, 1, 1, 0.1, 0.1, 0.1, 0.01], rtol=1e-12
    )
    assert StepDecay(2, 1)(5) == 1.0


@pytest.mark.parametrize("final", [0.0, 0.2])
def test_cosine_decay(final: float) -> None:
    schedule = CosineDecay(10, final=final)
    expected = [final + 0.5 * (1 - final) * (1 + math.cos(math.pi * i / 10)) for i in range(11)]
    np.testing.assert_allclose([schedule(i) for i in range(11)], expected, rtol=1e-12)
    assert schedule(0) == 1
    assert schedule(10) == schedule(11) == schedule(1000) == final


def test_linear_warmup() -> None:
    assert [LinearWarmup(4)(i) for i in range(7)] == [0.25, 0.5, 0.75, 1, 1, 1, 1]
    then = LinearWarmup(2, then=CosineDecay(4))
    assert [then(i) for i in range(2)] == [0.5, 1]
    assert [then(i) for i in range(2, 9)] == [CosineDecay(4)(i) for i in range(7)]


def test_schedules_are_values() -> None:
    schedule = LinearWarmup(2, then=StepDecay(3, 0.5))
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert repr(schedule) == "LinearWarmup(steps=2, then=StepDecay(step_size=3, gamma=0.5))"


def test_the_scheduler_multiplies_the_initial_rate() -> None:
    optimizer = sgd(0.5)
    scheduler = Scheduler(optimizer, LinearWarmup(2, then=CosineDecay(4)))
    rates = [optimizer.lr]
    for _ in range(7):
        scheduler.step()
        rates.append(optimizer.lr)
    cosine = [0.5 * (1 + math.cos(math.pi * i / 4)) for i in range(5)]
    np.testing.assert_allclose(rates, 0.5 * np.array([0.5, 1, *cosine, 0]), atol=1e-12)


def test_any_function_is_a_schedule_but_its_rates_are_checked() -> None:
    optimizer = sgd(0.5)
    scheduler = Scheduler(optimizer, lambda step: 1.0 - step)
    scheduler.step()
    assert optimizer.lr == 0
    with pytest.raises(ConfigError, match=r"argument lr expected a finite number >= 0, got -0.5"):
        scheduler.step()
    assert scheduler.steps == 1
    assert optimizer.lr == 0


def test_a_saved_scheduler_continues() -> None:
    first = sgd(0.8)
    scheduler = Scheduler(first, StepDecay(2, 0.5))
    for _ in range(3):
        scheduler.step()
    second = sgd(0.1)
    resumed = Scheduler(second, StepDecay(2, 0.5))
    resumed.load_state_dict(scheduler.state_dict())
    assert second.lr == first.lr == 0.4
    scheduler.step()
    resumed.step()
    assert second.lr == first.lr == 0.2


def test_a_state_that_does_not_match_changes_nothing() -> None:
    optimizer = sgd(0.8)
    scheduler = Scheduler(optimizer, StepDecay(2, 0.5))
    with pytest.raises(
        DataError, match=r"Scheduler.load_state_dict: .* got missing 'initial'; unexpected 'lr'"
    ):
        scheduler.load_state_dict({"steps": 3, "lr": 0.1})
    assert scheduler.state_dict() == {"steps": 0, "initial": 0.8}
    assert optimizer.lr == 0.8


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: StepDecay(0, 0.5),
            "StepDecay: argument step_size expected an integer >= 1, got 0",
        ),
        (
            lambda: StepDecay(1, 0.0),
            r"StepDecay: argument gamma expected a number in \(0, 1\], got 0.0",
        ),
        (
            lambda: StepDecay(1, 1.5),
            r"StepDecay: argument gamma expected a number in \(0, 1\], got 1.5",
        ),
        (
            lambda: CosineDecay(0),
            "CosineDecay: argument total_steps expected an integer >= 1, got 0",
        ),
        (
            lambda: CosineDecay(1, final=-0.1),
            r"CosineDecay: argument final expected a number in \[0, 1\], got -0.1",
        ),
        (lambda: LinearWarmup(0), "LinearWarmup: argument steps expected an integer >= 1, got 0"),
    ],
)
def test_options_out_of_range(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        make()
