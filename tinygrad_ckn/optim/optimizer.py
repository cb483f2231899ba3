"""What all first-order optimisers share: their parameters, the learning rate, constraints, and saved state."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import to_numpy, xp_of
from tinygrad_ckn.errors import BackendError, ConfigError, DTypeError
from tinygrad_ckn.nn.constraint import Constraint
from tinygrad_ckn.nn.state_dict import checked_state
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.profiling import record_function
from tinygrad_ckn.tensor import Tensor


class Optimizer(ABC):
    """Steps against the gradients of some tensors; the kinds differ in `_direction`.

    A parameter with a `constraint` stays on it: its gradient and its weight decay are
    projected on the tangent space before anything is made of them, after the step the
    data are retracted, and the running mean of the gradients, if the optimiser keeps
    one, is projected on the tangent space of the new point. Source: Absil, Mahony &
    Sepulchre 2008, Optimization Algorithms on Matrix Manifolds.

    A parameter whose `grad` is None is skipped. Parameters get new arrays: nothing that
    shares the memory of their old ones, or of their gradients, changes.

    Parameters
    ----------
    params
        Tensors that require grad and that no operation made.
    lr
        The learning rate, > 0; assignable.
    weight_decay
        The factor of the parameters that is added to their gradients, >= 0.

    Raises
    ------
    ConfigError
        If there is no parameter, one is given twice, is no leaf or does not require
        grad, or an option is out of range.
    DTypeError
        If `params` are no tensors.
    """

    # names of the arrays kept for each parameter
    moments: tuple[str, ...] = ()
    # those among them that are combinations of gradients
    tangents: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Tensor], *, lr: float, weight_decay: float = 0.0) -> None:
        owner = type(self).__name__
        self.params = trainable(owner, params)
        self._lr = checks.number(
            owner, "lr", lr, "a finite number > 0", lambda value: 0 < value < math.inf
        )
        self.weight_decay = checks.number(
            owner,
            "weight_decay",
            weight_decay,
            "a finite number >= 0",
            lambda value: 0 <= value < math.inf,
        )
        self.state: list[dict[str, Any]] = [
            {"steps": 0} | {name: xp_of(p.data).zeros_like(p.data) for name in self.moments}
            for p in self.params
        ]

    @property
    def lr(self) -> float:
        """The learning rate; schedules assign it, down to 0."""
        return self._lr

    @lr.setter
    @plain_arguments
    def lr(self, value: float) -> None:
        self._lr = checks.number(
            type(self).__name__,
            "lr",
            value,
            "a finite number >= 0",
            lambda number: 0 <= number < math.inf,
        )

    @abstractmethod
    def _direction(self, gradient: Any, decay: Any, state: dict[str, Any]) -> Any:
        """Return what times lr is subtracted from the data, and update the state.

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
            keeps its value. A GPU is not waited for: there it becomes NaN.
        BackendError
            If a parameter was moved to another device after the optimiser was made.
        """
        for parameter, state in zip(self.params, self.state, strict=True):
            if parameter.grad is not None:
                self._step(parameter, parameter.grad.data, state)

    def _step(self, parameter: Tensor, gradient: Any, state: dict[str, Any]) -> None:
        data = parameter.data
        if any(type(state[name]) is not type(data) for name in self.moments):
            raise BackendError(
                f"{type(self).__name__}: expected parameters where they were, got one that was moved to "
                f"{parameter.device!r}; make the optimiser after module.to({parameter.device!r})"
            )
        constraint: Constraint | None = getattr(parameter, "constraint", None)
        decay = self.weight_decay * data if self.weight_decay else None
        if constraint is not None:
            gradient = constraint.tangent(data, gradient)
            decay = None if decay is None else constraint.tangent(data, decay)
        state["steps"] += 1
        moved = data - self.lr * self._direction(gradient, decay, state)
        parameter.set_data(moved if constraint is None else constraint.retract(moved))
        if constraint is not None:
            for name in self.tangents:
                state[name] = constraint.tangent(parameter.data, state[name])

    def zero_grad(self) -> None:
        """Set the `grad` of every parameter to None."""
        for parameter in self.params:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return the learning rate, and copies of what is kept for each parameter as "0.steps", "0.momentum" ...

        Arrays are NumPy arrays; options other than the learning rate are not part of it.

        Examples
        --------
        >>> from tinygrad_ckn.optim import SGD
        >>> SGD([Tensor([1.0], requires_grad=True)], lr=0.1, momentum=0.9).state_dict()
        {'lr': 0.1, '0.steps': 0, '0.momentum': array([0.])}
        """
        state: dict[str, Any] = {"lr": self.lr}
        for i, mine in enumerate(self.state):
            for name, value in mine.items():
                state[f"{i}.{name}"] = value if name == "steps" else to_numpy(value).copy()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the learning rate and what was kept for each parameter; all of it, or nothing on error.

        Raises
        ------
        DataError
            If a name, shape or dtype does not fit: other parameters, or other options.
        ConfigError
            If the learning rate is out of range.
        """
        mine = {"lr": self.lr} | {
            f"{i}.{name}": v for i, kept in enumerate(self.state) for name, v in kept.items()
        }
        arrays = checked_state(type(self).__name__, mine, state, strict=True)
        self.lr = arrays["lr"].item()
        for i, kept in enumerate(self.state):
            for name in kept:
                array = arrays[f"{i}.{name}"]
                kept[name] = array.item() if name == "steps" else array


def trainable(owner: str, params: Iterable[Tensor]) -> list[Tensor]:
    """Return the parameters as a list.

    Raises
    ------
    DTypeError
        If they are no tensors, or a single one.
    ConfigError
        If there are none, or one is given twice, is no leaf, or does not require grad.

    Examples
    --------
    >>> len(trainable("SGD", [Tensor([1.0], requires_grad=True)]))
    1
    """
    if isinstance(params, Tensor) or not isinstance(params, Iterable):
        raise DTypeError(
            f"{owner}: argument params expected an iterable of tensors, got {type(params).__name__}; "
            "pass module.parameters() or a list"
        )
    tensors = list(params)
    if not tensors:
        raise ConfigError(
            f"{owner}: argument params expected at least one tensor, got none; pass module.parameters()"
        )
    seen: dict[int, int] = {}
    for i, tensor in enumerate(tensors):
        what = f"{owner}: argument params[{i}] expected"
        if not isinstance(tensor, Tensor):
            raise DTypeError(
                f"{what} a Tensor, got {type(tensor).__name__}; pass module.parameters() or a list"
            )
        if not tensor.is_leaf:
            raise ConfigError(
                f"{what} a leaf, got the result of an operation; pass the tensor it was computed from"
            )
        if not tensor.requires_grad:
            raise ConfigError(
                f"{what} requires_grad=True, got False; set it, or leave the tensor out"
            )
        if id(tensor) in seen:
            raise ConfigError(
                f"{what} each tensor once, got that of params[{seen[id(tensor)]}] again; leave it out"
            )
        seen[id(tensor)] = i
    return tensors
