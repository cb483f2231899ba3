"""Learning rate schedules.

A schedule maps a step, counted from 0, to a factor of the initial learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array
from tinygrad_ckn.nn.state_dict import checked_state
from tinygrad_ckn.optim.optimizer import Optimizer
from tinygrad_ckn.plain import plain_arguments

Schedule: TypeAlias = Callable[[int], float]


@plain_arguments
@dataclass(frozen=True, slots=True)
class StepDecay:
    """Factor gamma^floor(step / step_size).

    Parameters
    ----------
    step_size
        Number of steps between decays, at least 1.
    gamma
        Factor of each decay, in (0, 1].

    Raises
    ------
    ConfigError
        If an option is out of range.

    Examples
    --------
    >>> [StepDecay(2, 0.5)(step) for step in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    step_size: int
    gamma: float

    def __post_init__(self) -> None:
        checks.integers("StepDecay", step_size=self.step_size)
        checks.number(
            "StepDecay", "gamma", self.gamma, "a number in (0, 1]", lambda value: 0 < value <= 1
        )

    def __call__(self, step: int) -> float:
        """Return the factor of a step."""
        return float(self.gamma ** (step // self.step_size))


@plain_arguments
@dataclass(frozen=True, slots=True)
class CosineDecay:
    """Half a cosine from 1 at step 0 to `final` at `total_steps`; constant afterwards.

    Source: Loshchilov & Hutter 2017 (arXiv 1608.03983), eq. 5, without restarts.

    Parameters
    ----------
    total_steps
        Length of the decay in steps, at least 1.
    final
        Last factor, in [0, 1]; default 0.

    Raises
    ------
    ConfigError
        If an option is out of range.

    Examples
    --------
    >>> [round(CosineDecay(4)(step), 3) for step in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """

    total_steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        checks.integers("CosineDecay", total_steps=self.total_steps)
        checks.number(
            "CosineDecay", "final", self.final, "a number in [0, 1]", lambda value: 0 <= value <= 1
        )

    def __call__(self, step: int) -> float:
        """Return the factor of a step."""
        progress = min(step / self.total_steps, 1.0)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * progress)) / 2


@plain_arguments
@dataclass(frozen=True, slots=True)
class LinearWarmup:
    """Linear increase to 1 over the first steps, followed by another schedule.

    The factor is (step + 1) / steps for the first `steps` steps.

    Parameters
    ----------
    steps
        Length of the warm-up, at least 1.
    then
        Schedule to follow, whose steps count from 0; None (default): the factor stays 1.

    Raises
    ------
    ConfigError
        If `steps` is not a positive integer.

    Examples
    --------
    >>> [LinearWarmup(2, then=StepDecay(1, 0.5))(step) for step in range(5)]
    [0.5, 1.0, 1.0, 0.5, 0.25]
    """

    steps: int
    then: Schedule | None = None

    def __post_init__(self) -> None:
        checks.integers("LinearWarmup", steps=self.steps)

    def __call__(self, step: int) -> float:
        """Return the factor of a step."""
        if step < self.steps:
            return (step + 1) / self.steps
        return 1.0 if self.then is None else self.then(step - self.steps)


class Scheduler:
    """Set the learning rate of an optimiser to a schedule's multiple of the initial one.

    It is set for step 0 immediately, and for the next step by each `step()`.

    Parameters
    ----------
    optimizer
        Optimiser whose current `lr` is the initial one.
    schedule
        Function from the step, counted from 0, to a factor >= 0.

    Examples
    --------
    >>> from tinygrad_ckn.optim import SGD
    >>> optimizer = SGD([Tensor([1.0], requires_grad=True)], lr=0.8)
    >>> scheduler = Scheduler(optimizer, StepDecay(1, 0.5))
    >>> scheduler.step()
    >>> optimizer.lr
    0.4
    """

    def __init__(self, optimizer: Optimizer, schedule: Schedule) -> None:
        self.optimizer = optimizer
        self.schedule = schedule
        self.initial = optimizer.lr
        self.steps = 0
        optimizer.lr = self.initial * schedule(0)

    def step(self) -> None:
        """Count a step, and set the learning rate for the next.

        Raises
        ------
        ConfigError
            If the factor makes the learning rate negative or not finite; the step is
            not counted then.
        """
        self.optimizer.lr = self.initial * self.schedule(self.steps + 1)
        self.steps += 1

    def state_dict(self) -> dict[str, float]:
        """Return the number of steps and the initial learning rate."""
        return {"steps": self.steps, "initial": self.initial}

    def load_state_dict(self, state: Mapping[str, Array | float]) -> None:
        """Continue from a saved state, and set the learning rate for its step.

        Parameters
        ----------
        state
            As returned by `state_dict`.

        Raises
        ------
        DataError
            If the state is not that of a Scheduler; nothing is changed then.
        """
        arrays = checked_state("Scheduler", self.state_dict(), state, strict=True)
        steps = int(arrays["steps"].item())
        initial = arrays["initial"].item()
        self.optimizer.lr = initial * self.schedule(steps)
        self.steps = steps
        self.initial = initial
