"""Functions without derivative on the stand-in for CuPy have the values of the CPU."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import ShapeError

x = np.array([[3.0, 1.0, np.nan], [0.0, -2.0, 1.0]])
steps = np.array([0.0, 1.0, 2.0])
whole = np.array([[1, 5, 2], [0, 7, 3]])
CALLS = {
    "argsort": lambda t: ops.argsort(t(x), axis=1),
    "argsort descending": lambda t: ops.argsort(t(x), axis=0, descending=True),
    "searchsorted": lambda t: ops.searchsorted(t(steps), t(x), "right"),
    "searchsorted by order": lambda t: ops.searchsorted(t(steps), 1.5, sorter=t(np.arange(3))),
    "count_nonzero": lambda t: ops.count_nonzero(t(x), axis=1),
    "nonzero": lambda t: ops.nonzero(t(x)),
    "isin": lambda t: ops.isin(t(x), t(steps)),
    "isclose": lambda t: ops.isclose(t(x), t(x), equal_nan=True),
    "unique": lambda t: ops.unique_all(t(whole)),
    "signbit": lambda t: ops.signbit(t(x)),
    "shift": lambda t: ops.bitwise_left_shift(t(whole), 2),
    "xor": lambda t: ops.logical_xor(t(x), t(whole)),
    "clip": lambda t: ops.clip(t(whole), t(whole) - 1, 4),
    "cumulative": lambda t: ops.cumulative_sum(t(whole), axis=1, include_initial=True),
    "prod": lambda t: ops.prod(t(whole), axis=0, dtype="float32"),
    "diff": lambda t: ops.diff(t(whole), prepend=0),
    "take": lambda t: ops.take(t(x), t(np.array([1, 0])), axis=1),
    "take from the host": lambda t: ops.take(t(x), [2, 0], axis=1),
    "repeat": lambda t: ops.repeat(t(whole), t(np.array([2, 0, 1])), axis=1),
    "broadcast": lambda t: ops.add(*ops.broadcast_arrays(t(whole), 2)),
    "diag": lambda t: ops.diag(t(whole[0]), 1),
    "tile": lambda t: ops.tile(t(whole), (2, 2)),
    "zeros_like": lambda t: ops.zeros_like(t(x), dtype="int8"),
    "full_like": lambda t: ops.full_like(t(x), 2),
    "array": lambda t: ops.array([t(np.array(1.0)), 2.0]),
    "asarray": lambda t: ops.asarray(t(x), dtype="float32"),
    "nan_to_num": lambda t: ops.nan_to_num(t(x)),
    "vdot": lambda t: ops.vdot(t(whole), t(whole)),
    "diagonal": lambda t: np.diagonal(t(whole), 1),
    "result_type": lambda t: ops.zeros_like(t(x), dtype=ops.result_type(t(whole), np.float32(1))),
}
CREATED = {
    "zeros": lambda device: ops.zeros((2, 1), device=device),
    "ones": lambda device: ops.ones(2, dtype="float32", device=device),
    "full": lambda device: ops.full((2, 2), 7, device=device),
    "eye": lambda device: ops.eye(2, 3, k=1, device=device),
    "arange": lambda device: ops.arange(1, 6, 2, device=device),
    "linspace": lambda device: ops.linspace(0, 1, 5, endpoint=False, device=device),
    "array": lambda device: ops.array([[1, 2]], device=device),
}


@pytest.mark.parametrize("name", CALLS)
def test_values_are_those_of_the_cpu(plain, name):
    results = []
    for device in ("cpu", "cuda"):
        made = CALLS[name](lambda array, device=device: Tensor(array, device=device))
        parts = made if isinstance(made, tuple) else (made,)
        assert all(part.device == device for part in parts)
        results.append([part.numpy() for part in parts])
    for one, other in zip(*results, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


@pytest.mark.parametrize("name", CREATED)
def test_tensors_are_made_on_the_device(plain, name):
    found, expected = CREATED[name]("cuda"), CREATED[name]("cpu")
    assert found.device == "cuda"
    assert found.dtype == expected.dtype
    assert np.array_equal(found.numpy(), expected.numpy())


def test_the_device_is_told(plain):
    info = ops.__array_namespace_info__()
    assert info.devices() == ["cpu", "cuda"]
    assert Tensor([1.0]).to_device("cuda").cpu().device == "cpu"
    with pytest.raises(ShapeError, match="copy=False"):
        ops.asarray(np.ones(2), device="cuda", copy=False)
