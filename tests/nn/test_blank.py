"""Modules without initial values."""

import numpy as np
import pytest

from tinygrad_ckn.backend import manual_seed
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.nn import Linear, init
from tinygrad_ckn.nn.blank import blank, without_values


def test_values_are_zero_and_nothing_is_drawn() -> None:
    manual_seed(3)
    with without_values():
        layer = Linear(3, 2)
    assert not layer.weight.numpy().any()
    assert layer.weight.dtype == np.float32
    after = Linear(3, 2).weight.numpy()
    manual_seed(3)
    assert np.array_equal(Linear(3, 2).weight.numpy(), after)
    assert blank((2,), "float32") is None


def test_the_limit_is_shared_by_all_modules_in_the_block() -> None:
    with without_values(limit=10):
        Linear(3, 2)
        with pytest.raises(
            DataError, match=r"^expected at most 2 initial values in all, got shape \(2, 2\)"
        ):
            init.constant((2, 2), 1.0)


def test_the_block_ends_with_an_error_too() -> None:
    with pytest.raises(ZeroDivisionError), without_values():
        _ = 1 / 0
    assert init.constant((1,), 1.0).item() == 1
