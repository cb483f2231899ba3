"""Checks of a saved state."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import DataError, DTypeError
from tinygrad_ckn.nn.state_dict import checked_state

current = {"weight": np.zeros((2, 1), "float32"), "steps": 3}


def test_arrays_are_copied() -> None:
    state = {"weight": np.ones((2, 1), "float32"), "steps": 4}
    arrays = checked_state("Net", current, state, strict=True)
    assert list(arrays) == ["weight", "steps"]
    assert arrays["steps"].item() == 4
    assert not np.shares_memory(arrays["weight"], state["weight"])
    assert (
        type(
            checked_state("Net", current, {"weight": Tensor(state["weight"])}, strict=False)[
                "weight"
            ]
        )
        is np.ndarray
    )


def test_every_problem_is_listed() -> None:
    with pytest.raises(
        DataError,
        match=r"^Net.load_state_dict: .* got missing 'steps'; unexpected 'bias'; "
        r"wrong shape or dtype 'weight' \(float64 \(2,\), not float32 \(2, 1\)\); build",
    ):
        checked_state("Net", current, {"weight": np.ones(2), "bias": np.ones(1)}, strict=True)


def test_without_strict_only_shapes_and_dtypes_are_checked() -> None:
    assert checked_state("Net", current, {"bias": np.ones(1)}, strict=False) == {}
    with pytest.raises(DataError, match="got wrong shape or dtype 'weight'"):
        checked_state("Net", current, {"weight": np.ones(2)}, strict=False)


def test_a_state_is_a_mapping() -> None:
    with pytest.raises(DTypeError, match=r"expected a mapping from names to arrays, .* got list"):
        checked_state("Net", current, [1.0], strict=True)
