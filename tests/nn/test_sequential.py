import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import DTypeError
from tinygrad_ckn.nn import Linear, Parameter, ReLU, Sequential, Tanh


def net() -> Sequential:
    return Sequential(Linear(3, 4, rng=0), ReLU(), Linear(4, 2, rng=1))


def test_layers_are_applied_in_order() -> None:
    module, x = net(), Tensor(np.random.default_rng(0).normal(size=(5, 3)).astype("f4"))
    first, relu, last = module
    np.testing.assert_array_equal(module(x).numpy(), last(relu(first(x))).numpy())
    assert Sequential()(x) is x


def test_it_is_a_sequence() -> None:
    module = net()
    assert len(module) == 3
    assert list(module) == module.layers
    assert module[-1] is module.layers[2]
    tail = module[1:]
    assert type(tail) is Sequential
    assert list(tail) == module.layers[1:]
    with pytest.raises(IndexError):
        module[3]


def test_names_are_numbers_and_a_subclass_may_have_other_tensors() -> None:
    class Scaled(Sequential):
        def __init__(self) -> None:
            super().__init__(Tanh(), Linear(1, 1, bias=False, rng=0))
            self.scale = Parameter([2.0])

    assert list(net().state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert list(Scaled().state_dict()) == ["1.weight", "scale"]


def test_layers_that_are_not_modules_are_rejected() -> None:
    with pytest.raises(
        DTypeError,
        match=r"Sequential: argument layers\[1\] expected a Module, got <built-in function abs>",
    ):
        Sequential(ReLU(), abs)  # type: ignore[arg-type]
