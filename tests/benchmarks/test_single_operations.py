"""The suite of single operations: what each side computes."""

import numpy as np
import pytest

from benchmarks.measure import relative_error
from benchmarks.suites import operations
from benchmarks.suites.operations import OPERATIONS, Operation

CHEAP = [op for op in OPERATIONS if max(np.prod(shape) for shape in op.shapes) <= 500_000]


def test_titles_differ_and_shapes_are_those_of_the_issue():
    titles = [operation.title for operation in OPERATIONS]
    assert len(set(titles)) == len(titles) == 24


@pytest.mark.parametrize("operation", CHEAP, ids=lambda operation: operation.title)
def test_our_side_returns_the_output_and_the_gradients(operation: Operation):
    inputs = operations._inputs(operation.title, "float32")
    ours = operations._ours(inputs, "cpu", title=operation.title).outputs()
    exact = operations._ours(inputs, "cpu", title=operation.title, dtype="float64").outputs()
    assert [g.shape for g in ours["gradients"]] == list(operation.shapes)
    assert ours["output"].dtype == np.float32
    assert exact["output"].dtype == np.float64
    assert relative_error(ours["output"], exact["output"]) < 1e-4
    assert relative_error(ours["gradients"], exact["gradients"]) < 1e-4


@pytest.mark.parametrize("operation", CHEAP, ids=lambda operation: operation.title)
def test_pytorch_computes_the_same(operation: Operation):
    pytest.importorskip("torch", reason="the peer is PyTorch: pip install -e '.[bench]'")
    inputs = operations._inputs(operation.title, "float64")
    ours, theirs = (
        side(inputs, "cpu", title=operation.title).outputs()
        for side in (operations._ours, operations._torch)
    )
    assert relative_error(ours["output"], theirs["output"]) < 1e-10
    assert relative_error(ours["gradients"], theirs["gradients"]) < 1e-10
