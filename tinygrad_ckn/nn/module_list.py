"""ModuleList: modules in a list, for a forward that is written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from tinygrad_ckn.errors import ConfigError, DTypeError
from tinygrad_ckn.nn.module import Module
from tinygrad_ckn.tensor import Tensor


class ModuleList(Module):
    """Modules in a list, whose tensors are named after their number, such as "0.weight".

    A plain list in an attribute does the same; this class is PyTorch's spelling of it.

    Parameters
    ----------
    modules
        Any number of modules; default none.

    Raises
    ------
    DTypeError
        If one is not a Module.

    Examples
    --------
    >>> from tinygrad_ckn.nn import Linear
    >>> layers = ModuleList(Linear(2, 2, rng=i) for i in range(2))
    >>> layers.append(Linear(2, 1, rng=2))
    >>> len(layers), [name for name, _ in layers.named_parameters()][:2]
    (3, ['0.weight', '0.bias'])
    """

    items: list[Module]

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.items = []
        self.extend(modules)

    def _members(self) -> Mapping[str, Any]:
        others = {name: value for name, value in vars(self).items() if name != "items"}
        return {str(i): module for i, module in enumerate(self.items)} | others

    def append(self, module: Module) -> None:
        """Add a module at the end."""
        self.extend([module])

    def extend(self, modules: Iterable[Module]) -> None:
        """Add modules at the end; none of them if one is not a Module."""
        if not isinstance(modules, Iterable):
            raise DTypeError(
                f"ModuleList: argument modules expected an iterable of Modules, got {modules!r}; "
                "pass a list"
            )
        added = list(modules)
        for i, module in enumerate(added):
            if not isinstance(module, Module):
                raise DTypeError(
                    f"ModuleList: argument modules[{i}] expected a Module, got {module!r}"
                )
        self.items += added

    def forward(self, *args: Any, **options: Any) -> Tensor:
        """Raise a ConfigError: a list is not a function."""
        raise ConfigError(
            "ModuleList: expected a forward that calls the modules in it, got a call of the list; "
            "use Sequential to apply them one after the other"
        )

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Module]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> ModuleList: ...
    def __getitem__(self, index: int | slice) -> Module:
        """Return a module, or for a slice a ModuleList of the same modules."""
        return ModuleList(self.items[index]) if isinstance(index, slice) else self.items[index]
