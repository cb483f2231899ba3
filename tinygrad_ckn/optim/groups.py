"""Groups of parameters with options of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Required, TypeAlias, TypedDict

from tinygrad_ckn import checks
from tinygrad_ckn.errors import ConfigError, DTypeError
from tinygrad_ckn.plain import plain
from tinygrad_ckn.tensor import Tensor


class ParameterGroup(TypedDict, total=False):
    """Parameters, and the options in which they differ from the others."""

    params: Required[Iterable[Tensor]]
    lr: float
    weight_decay: float


Parameters: TypeAlias = Iterable[Tensor] | Iterable[ParameterGroup]


@dataclass
class Group:
    """Checked parameters of an optimiser with options of their own.

    Attributes
    ----------
    params
        Tensors.
    lr_factor
        Multiple of the optimiser's learning rate, >= 0.
    weight_decay
        None: that of the optimiser.
    """

    params: list[Tensor]
    lr_factor: float = 1.0
    weight_decay: float | None = None


def split_groups(owner: str, params: Any, lr: float) -> list[Group]:
    """Return the groups of `params`: one of all of them, if they are tensors.

    Parameters
    ----------
    owner
        Class that error messages name.
    params
        Tensors, or mappings with "params" and options.
    lr
        The optimiser's learning rate, > 0.

    Raises
    ------
    ConfigError
        If a group has no "params", an unknown entry, or an option out of range; if the
        tensors cannot be trained.
    DTypeError
        If `params` are neither tensors nor mappings.

    Examples
    --------
    >>> x = Tensor([1.0], requires_grad=True)
    >>> [group.lr_factor for group in split_groups("SGD", [{"params": [x], "lr": 0.5}], 0.25)]
    [2.0]
    """
    given = params if isinstance(params, Tensor) or not isinstance(params, Iterable) else [*params]
    if not isinstance(given, list) or not any(isinstance(group, Mapping) for group in given):
        return [Group(trainable(owner, given))]
    return [_group(owner, i, group, lr) for i, group in enumerate(given)]


def _group(owner: str, i: int, group: Any, lr: float) -> Group:
    name = f"params[{i}]"
    if not isinstance(group, Mapping) or "params" not in group:
        got = sorted(map(str, group)) if isinstance(group, Mapping) else type(group).__name__
        raise ConfigError(
            f"{owner}: argument {name} expected a mapping with the entry 'params', as the others, "
            f"got {got}"
        )
    unknown = [entry for entry in group if entry not in ("params", "lr", "weight_decay")]
    if unknown:
        raise ConfigError(
            f"{owner}: argument {name} expected the entries 'params', 'lr' and 'weight_decay', "
            f"got {unknown[0]!r}; other options hold for all groups"
        )
    options = {entry: plain(group[entry]) for entry in ("lr", "weight_decay") if entry in group}
    checks.nonnegative(owner, **{f"{name}[{entry!r}]": value for entry, value in options.items()})
    inner = group["params"]
    return Group(
        trainable(owner, [inner] if isinstance(inner, Tensor) else inner, f"{name}['params']"),
        options.get("lr", lr) / lr,
        options.get("weight_decay"),
    )


def trainable(owner: str, params: Iterable[Tensor], name: str = "params") -> list[Tensor]:
    """Check parameters, and return them as a list.

    Raises
    ------
    DTypeError
        If they are not tensors, or a single tensor.
    ConfigError
        If there are none, or one occurs twice, is not a leaf, or does not require grad.

    Examples
    --------
    >>> len(trainable("SGD", [Tensor([1.0], requires_grad=True)]))
    1
    """
    if isinstance(params, Tensor) or not isinstance(params, Iterable):
        raise DTypeError(
            f"{owner}: argument {name} expected an iterable of tensors, "
            f"got {type(params).__name__}; pass module.parameters() or a list"
        )
    tensors = list(params)
    if not tensors:
        raise ConfigError(
            f"{owner}: argument {name} expected at least one tensor, got none; "
            "pass module.parameters()"
        )
    seen: dict[int, int] = {}
    for i, tensor in enumerate(tensors):
        subject = f"{owner}: argument {name}[{i}] expected"
        if not isinstance(tensor, Tensor):
            raise DTypeError(
                f"{subject} a Tensor, got {type(tensor).__name__}; "
                "pass module.parameters() or a list"
            )
        if not tensor.is_leaf:
            raise ConfigError(
                f"{subject} a leaf, got the result of an operation; "
                "pass the tensor it was computed from"
            )
        if not tensor.requires_grad:
            raise ConfigError(
                f"{subject} requires_grad=True, got False; set it, or leave the tensor out"
            )
        if id(tensor) in seen:
            raise ConfigError(
                f"{subject} each tensor once, got that of {name}[{seen[id(tensor)]}] again; "
                "leave it out"
            )
        seen[id(tensor)] = i
    return tensors
