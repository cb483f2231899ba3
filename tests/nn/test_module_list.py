from typing import Any

import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import ConfigError, DTypeError
from tinygrad_ckn.nn import Dropout, Linear, Module, ModuleList


class Residual(Module):
    def __init__(self) -> None:
        self.blocks = ModuleList([Linear(2, 2, rng=i) for i in range(3)])

    def forward(self, x: Any) -> Tensor:
        for block in self.blocks:
            x = x + block(x)
        return x  # type: ignore[no-any-return]


def test_its_modules_belong_to_the_module_that_has_it() -> None:
    net = Residual()
    assert list(net.state_dict())[:3] == ["blocks.0.weight", "blocks.0.bias", "blocks.1.weight"]
    assert net(Tensor(np.ones((1, 2), np.float32))).shape == (1, 2)
    net.blocks.append(Dropout(rng=0))
    assert not net.eval().blocks[-1].training


def test_it_is_a_list() -> None:
    layers = ModuleList(Linear(1, 1, rng=i) for i in range(3))
    layers.extend([Linear(1, 2, rng=3)])
    assert len(layers) == 4
    assert isinstance(layers[1:], ModuleList)
    assert layers[1:][0] is layers[1]
    assert list(layers)[3] is layers[-1]


def test_what_is_no_module_is_refused_and_a_call_too() -> None:
    layers = ModuleList()
    with pytest.raises(
        DTypeError, match=r"ModuleList: argument modules\[1\] expected a Module, go"
    ):
        layers.extend([Linear(1, 1), np.tanh])  # type: ignore[list-item]
    assert len(layers) == 0
    with pytest.raises(DTypeError, match="expected an iterable of Modules, got Linear"):
        ModuleList(Linear(1, 1))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="use Sequential to apply them one after the other"):
        layers(np.ones(2))
