"""The exponential moving average of parameters over the steps of a descent.

Averages of the iterates of stochastic gradient descent vary less than the last iterate.
Source: B. Polyak and A. Juditsky, Acceleration of stochastic approximation by averaging,
SIAM Journal on Control and Optimization 30 (1992), for the mean of all iterates; the
exponential average forgets the early ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, NDArray, to_numpy
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.nn.constraint import Constraint
from tinygrad_ckn.nn.state_dict import checked_state
from tinygrad_ckn.optim.groups import trainable
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor


class MovingAverage:
    """The average of each parameter, projected back onto its constraint after each step.

    In step t = 1, 2, ... an average a becomes d a + (1 - d) p with d = min(decay, t / (t +
    9)), so that the first steps, far from what follows, are soon forgotten.

    Parameters
    ----------
    parameters
        Leaves, each on its constraint if it has one; their values are the first averages.
    decay
        In (0, 1); about 1 / (1 - decay) steps count.

    Raises
    ------
    ConfigError
        If decay is not in (0, 1), or `parameters` is empty, has a tensor twice, or one that
        is not a leaf or does not require grad.
    DTypeError
        If they are not tensors.

    Examples
    --------
    >>> x = Tensor([0.0], requires_grad=True)
    >>> average = MovingAverage([x], decay=0.5)
    >>> for value in (1.0, 2.0):
    ...     x.data = np.array([value])
    ...     average.update()
    >>> with average.applied():
    ...     x
    Tensor((1,), float64, cpu, requires_grad=True) [1.8]
    >>> x
    Tensor((1,), float64, cpu, requires_grad=True) [2.]
    """

    @plain_arguments
    def __init__(self, parameters: Iterable[Tensor], decay: float) -> None:
        self.parameters = trainable("MovingAverage", parameters, "parameters")
        self.decay = checks.number(
            "MovingAverage", "decay", decay, "a number in (0, 1)", lambda d: 0 < d < 1
        )
        self.steps = 0
        self.averages: list[NDArray[Any]] = [p.data.copy() for p in self.parameters]
        # What the descent goes on from, while the averages are applied.
        self._kept: list[NDArray[Any]] | None = None

    def update(self) -> None:
        """Take in the parameters after a step."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 9))
        for i, parameter in enumerate(self.parameters):
            average = decay * self.averages[i] + (1 - decay) * parameter.data
            constraint: Constraint | None = getattr(parameter, "constraint", None)
            if constraint is not None:
                average = unwrap(constraint.retract(average))
            self.averages[i] = average

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the parameters their averages within a block.

        If the block raises, they keep the values that it left.
        """
        kept = [parameter.data for parameter in self.parameters]
        self._kept = kept
        try:
            for parameter, average in zip(self.parameters, self.averages, strict=True):
                parameter.data = average.copy()
            yield
            for parameter, data in zip(self.parameters, kept, strict=True):
                parameter.data = data
        finally:
            self._kept = None

    def state_dict(self) -> dict[str, NDArray[Any] | int]:
        """Return the number of steps, and copies of averages and parameters on the host.

        Those of parameter i have the names "i.average" and "i.parameter"; within
        `applied` the latter are the values from before.
        """
        return {
            name: value if isinstance(value, int) else to_numpy(value).copy()
            for name, value in self._state().items()
        }

    def load_state_dict(self, state: Mapping[str, Array | int]) -> None:
        """Set the number of steps, the averages and the parameters.

        Raises
        ------
        DataError
            If a name, shape or dtype differs: those of other parameters.
        """
        arrays = checked_state("MovingAverage", self._state(), state, strict=True)
        self.steps = int(arrays["steps"].item())
        for i, parameter in enumerate(self.parameters):
            self.averages[i] = unwrap(arrays[f"{i}.average"])
            parameter.data = arrays[f"{i}.parameter"]

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"steps": self.steps}
        for i, parameter in enumerate(self.parameters):
            state[f"{i}.average"] = self.averages[i]
            state[f"{i}.parameter"] = parameter.data if self._kept is None else self._kept[i]
        return state
