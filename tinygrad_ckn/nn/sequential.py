"""Sequential: layers applied one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast, overload

from tinygrad_ckn.backend import Array
from tinygrad_ckn.errors import DTypeError
from tinygrad_ckn.nn.module import Module
from tinygrad_ckn.tensor import Tensor


class Sequential(Module):
    """Layers applied one after the other.

    Its tensors are named after the number of their layer, such as "0.weight".

    Parameters
    ----------
    layers
        Modules of one argument.

    Raises
    ------
    DTypeError
        If a layer is not a Module.

    Examples
    --------
    >>> from tinygrad_ckn.nn import Linear, ReLU
    >>> net = Sequential(Linear(64, 64, rng=0), ReLU(), Linear(64, 10, rng=1))
    >>> net
    Sequential (4,810 parameters)
      0: Linear(64 -> 64)  weight (64, 64) bias (64,)  4,160
      1: ReLU
      2: Linear(64 -> 10)  weight (10, 64) bias (10,)  650
    >>> len(net[1:])
    2
    """

    layers: list[Module]

    def __init__(self, *layers: Module) -> None:
        for i, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise DTypeError(
                    f"Sequential: argument layers[{i}] expected a Module, got {layer!r}; "
                    "wrap a function in a Module whose forward calls it"
                )
        self.layers = list(layers)

    def _members(self) -> Mapping[str, Any]:
        others = {name: value for name, value in vars(self).items() if name != "layers"}
        return {str(i): layer for i, layer in enumerate(self.layers)} | others

    def forward(self, x: Array) -> Tensor:
        """Return the result of the last layer."""
        result = cast(Tensor, x)
        for layer in self.layers:
            result = layer(result)
        return result

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module:
        """Return a layer, or for a slice a Sequential of the same layers."""
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]
