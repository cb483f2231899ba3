"""The operations with GPU kernels, compared with CuPy's and PyTorch's."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.ckn import EAGER, torch_on
from benchmarks.operations import Operation, operations
from benchmarks.suite import OURS, Case, Inputs, LeftOutError, Settings, Side, Suite, Work

CUPYX = "cupyx.scipy.signal"


def _work(function: Callable[[], Any], to_numpy: Callable[[Any], Any]) -> Work:
    def outputs() -> dict[str, Any]:
        result = function()
        arrays = result if isinstance(result, list) else [result]
        return {"result": [to_numpy(array) for array in arrays]}

    return Work(function, outputs)


def _ours(inputs: Inputs, device: str, *, name: str, dtype: str = "float32") -> Work:
    from tinygrad_ckn import ops
    from tinygrad_ckn.backend import asarray, to_numpy

    operands = [asarray(array, dtype=dtype, device=device) for array in inputs["operands"]]
    return _work(functools.partial(operations()[name].ours, ops, *operands), to_numpy)


def _torch(inputs: Inputs, device: str, *, name: str) -> Work:
    torch = torch_on(device)
    operands = [torch.from_numpy(array).to(device) for array in inputs["operands"]]
    function = operations()[name].torch
    assert function is not None
    return _work(functools.partial(function, torch, *operands), lambda tensor: tensor.cpu().numpy())


def _cupyx(inputs: Inputs, device: str, *, name: str) -> Work:
    from tinygrad_ckn.backend import asarray, to_numpy

    try:
        signal = importlib.import_module(CUPYX)
    except ImportError as error:
        # loads cuBLASLt
        raise LeftOutError(f"it does not import: {error}") from error
    operands = [asarray(array, device=device) for array in inputs["operands"]]
    function = operations()[name].cupyx
    assert function is not None
    return _work(functools.partial(function, signal, *operands), to_numpy)


def _case(operation: Operation) -> Case:
    """Return the case of an operation; the reference is the CPU in float64."""
    named = {"name": operation.title}
    sides = [Side(OURS, _ours, named, imports=("tinygrad_ckn.models",))]
    if operation.torch is not None:
        sides.append(Side(EAGER, _torch, named, imports=("torch",)))
    if operation.cupyx is not None:
        sides.append(Side(CUPYX, _cupyx, named))
    return Case(
        operation.title,
        sides,
        lambda: {"operands": operation.operands()},
        tolerances={"result": 1e-4},
        reference=Side("the CPU in float64", _ours, {**named, "dtype": "float64"}, device="cpu"),
        steps=5,
        costs=operation.costs,
    )


def _cases(_: Settings) -> Sequence[Case]:
    return [_case(operation) for operation in operations().values()]


SUITE = Suite(
    "kernels",
    "on a GPU: correlate2d, unfold, pooling, the CKN map, one by one",
    _cases,
    devices=("cuda",),
)
