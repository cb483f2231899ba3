"""Base class of the first-order optimisers: learning rate, constraints, saved state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeAlias

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, NDArray, to_numpy, xp_of
from tinygrad_ckn.errors import BackendError
from tinygrad_ckn.nn.constraint import Constraint
from tinygrad_ckn.nn.state_dict import checked_state
from tinygrad_ckn.optim.groups import Group, Parameters, split_groups, trainable
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.profiling import record_function
from tinygrad_ckn.tensor import Tensor

# "steps", the number of steps so far, and arrays of the parameter's shape by name.
ParameterState: TypeAlias = dict[str, Any]


class Optimizer(ABC):
    """Base class of optimisers, which subclasses complete with `_direction`.

    A parameter with a `constraint` stays on it: its gradient and its weight decay are
    projected onto the tangent space before they are used, and the data are retracted
    after the step. A running mean of the gradients is then projected onto the tangent
    space at the new point. Source: Absil, Mahony & Sepulchre 2008, Optimization
    Algorithms on Matrix Manifolds.

    A parameter whose `grad` is None is skipped. Parameters are assigned new arrays:
    nothing that shares memory with the old ones, or with the gradients, changes.

    Gradients of several batches add up until `zero_grad`. To take a step for k batches as
    for one that has all of them, call `(loss / k).backward()` for each, then `step()`.

    Parameters
    ----------
    params
        Leaf tensors that require grad. Or groups of them, each a mapping with the tensors
        as "params" and its own "lr", "weight_decay" or both; where `lr` is assigned, by a
        schedule for instance, that of a group stays the same multiple of it.
    lr
        Learning rate > 0; can be assigned.
    weight_decay
        Multiple of the parameters that is added to their gradients, >= 0; default 0.

    Raises
    ------
    ConfigError
        If `params` is empty, a parameter occurs twice, is not a leaf or does not
        require grad, or an option is out of range.
    DTypeError
        If `params` are not tensors.
    """

    # Names of the arrays kept for each parameter.
    moments: tuple[str, ...] = ()
    # Those of them that are combinations of gradients.
    tangents: tuple[str, ...] = ()

    def __init__(self, params: Parameters, *, lr: float, weight_decay: float = 0.0) -> None:
        owner = type(self).__name__
        checks.positive(owner, lr=lr)
        checks.nonnegative(owner, weight_decay=weight_decay)
        self.groups = split_groups(owner, params, float(lr))
        self.params = trainable(owner, [p for group in self.groups for p in group.params])
        self._lr = float(lr)
        self.weight_decay = float(weight_decay)
        self.state: list[ParameterState] = [
            {"steps": 0} | {name: xp_of(p.data).zeros_like(p.data) for name in self.moments}
            for p in self.params
        ]

    @property
    def lr(self) -> float:
        """Learning rate; schedules assign it, down to 0."""
        return self._lr

    @lr.setter
    @plain_arguments
    def lr(self, value: float) -> None:
        checks.nonnegative(type(self).__name__, lr=value)
        self._lr = float(value)

    @abstractmethod
    def _direction(self, gradient: Array, decay: Array | None, state: ParameterState) -> Array:
        """Update the state; return the direction that is subtracted, multiplied by lr.

        `decay` is weight_decay * data, or None; `state["steps"]` counts from 1. Neither
        array may be modified.
        """

    @record_function("optimizer step")
    def step(self) -> None:
        """Move each parameter that has a gradient.

        Raises
        ------
        LinearAlgebraError
            If data on a sphere have become NaN, from NaN gradients; that parameter
            keeps its value. On a GPU, which is not waited for, it becomes NaN instead.
        BackendError
            If a parameter was moved to another device after the optimiser was created.
        """
        states = iter(self.state)
        for group in self.groups:
            for parameter, state in zip(group.params, states, strict=False):
                if parameter.grad is not None:
                    self._step(group, parameter, parameter.grad.data, state)

    def _step(
        self, group: Group, parameter: Tensor, gradient: Array, state: ParameterState
    ) -> None:
        data = parameter.data
        if any(type(state[name]) is not type(data) for name in self.moments):
            raise BackendError(
                f"{type(self).__name__}: expected parameters where they were, got one that was "
                f"moved to {parameter.device!r}; "
                f"make the optimiser after module.to({parameter.device!r})"
            )
        constraint: Constraint | None = getattr(parameter, "constraint", None)
        weight_decay = self.weight_decay if group.weight_decay is None else group.weight_decay
        decay = weight_decay * data if weight_decay else None
        if constraint is not None:
            gradient = constraint.tangent(data, gradient)
            decay = None if decay is None else constraint.tangent(data, decay)
        state["steps"] += 1
        moved = data - self.lr * group.lr_factor * self._direction(gradient, decay, state)
        parameter.set_data(moved if constraint is None else constraint.retract(moved))
        if constraint is not None:
            for name in self.tangents:
                state[name] = constraint.tangent(parameter.data, state[name])

    def zero_grad(self) -> None:
        """Set the `grad` of each parameter to None."""
        for parameter in self.params:
            parameter.grad = None

    def state_dict(self) -> dict[str, NDArray[Any] | float]:
        """Return the learning rate, and a copy of the state of each parameter.

        The state of parameter i has the names "i.steps", "i.momentum" ...; arrays are
        NumPy arrays. Options other than the learning rate are not included.

        Examples
        --------
        >>> from tinygrad_ckn.optim import SGD
        >>> SGD([Tensor([1.0], requires_grad=True)], lr=0.1, momentum=0.9).state_dict()
        {'lr': 0.1, '0.steps': 0, '0.momentum': array([0.])}
        """
        state: dict[str, NDArray[Any] | float] = {"lr": self.lr}
        for i, parameter_state in enumerate(self.state):
            for name, value in parameter_state.items():
                state[f"{i}.{name}"] = value if name == "steps" else to_numpy(value).copy()
        return state

    def load_state_dict(self, state: Mapping[str, Array | float]) -> None:
        """Load the learning rate and the state of each parameter.

        On an error nothing is loaded.

        Parameters
        ----------
        state
            As returned by `state_dict`.

        Raises
        ------
        DataError
            If a name, shape or dtype differs: other parameters, or other options.
        ConfigError
            If the learning rate is out of range.
        """
        current = {"lr": self.lr} | {
            f"{i}.{name}": value
            for i, parameter_state in enumerate(self.state)
            for name, value in parameter_state.items()
        }
        arrays = checked_state(type(self).__name__, current, state, strict=True)
        self.lr = arrays["lr"].item()
        for i, parameter_state in enumerate(self.state):
            for name in parameter_state:
                array = arrays[f"{i}.{name}"]
                parameter_state[name] = array.item() if name == "steps" else array
