"""The counterparts in PyTorch and CuPy compute the same as ours.

This runs on the CPU, with SciPy in place of CuPy, which has the same functions.
"""

import math

import pytest
import scipy.signal

from benchmarks import operations
from benchmarks.measure import relative_error
from benchmarks.suites import kernels

SMALL = {
    "IMAGE": 20,
    "FILTER": 4,
    "BATCH": 2,
    "CHANNELS": 4,
    "SIZE": 6,
    "UNFOLDED": 2,
    "POINTS": 40,
    "CENTROIDS": 5,
}
WITH_TORCH = [
    name for name, operation in operations.operations().items() if operation.torch is not None
]


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    for name, size in SMALL.items():
        monkeypatch.setattr(operations, name, size)


@pytest.mark.parametrize("number", range(len(WITH_TORCH)), ids=WITH_TORCH)
def test_pytorch_computes_the_same(number):
    pytest.importorskip("torch", reason="the peer is PyTorch: pip install -e '.[bench]'")
    operation = [each for each in operations.operations().values() if each.torch is not None][
        number
    ]
    inputs = {"operands": operation.operands()}
    ours = kernels._ours(inputs, "cpu", name=operation.title, dtype="float64").outputs()["result"]
    theirs = kernels._torch(inputs, "cpu", name=operation.title).outputs()["result"]
    assert relative_error(theirs, ours) < 1e-5
    assert theirs[0].dtype == "float32"


def test_cupyx_computes_the_same():
    (operation,) = (each for each in operations.operations().values() if each.cupyx is not None)
    operands = operation.operands()
    ours = kernels._ours({"operands": operands}, "cpu", name=operation.title).outputs()["result"][0]
    assert relative_error(operation.cupyx(scipy.signal, *operands), ours) < 1e-5


def test_operands_have_norm_1():
    for operation in operations.operations().values():
        for operand, shape in zip(operation.operands(), operation.shapes, strict=True):
            assert operand.shape == tuple(shape)
            assert operand.dtype == "float32"
            assert math.sqrt((operand[0] ** 2).sum()) == pytest.approx(1, abs=1e-5)
